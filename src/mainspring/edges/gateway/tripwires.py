"""The tripwires of this worker: a challenger that fails grossly is taken out here, at once, without asking anyone."""

from __future__ import annotations

import time
from collections.abc import Callable

from mainspring.edges.gateway.snapshot import Model
from mainspring.serving.tripwire import Tripwire


class Tripwires:
    """One tripwire a release, kept across snapshots. ``disabled`` is ``{version: reason}``."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._wires: dict[str, Tripwire] = {}
        self.disabled: dict[str, str] = {}

    def tripped(self, model: Model) -> bool:
        """Return whether the model's challenger was taken out."""
        return model.release is not None and model.release.challenger in self.disabled

    def stable_answered(self, model: Model, failed: bool) -> None:
        """Count an answer of the stable version beside a running release."""
        self._wire(model).stable_answered(failed, time.monotonic())

    def challenger_answered(self, model: Model, failed: bool, fault: str) -> None:
        """Count an answer of the challenger, and take it out if that was one failure too many."""
        assert model.release is not None
        wire = self._wire(model)
        if wire.challenger_answered(failed, time.monotonic()) and not self.tripped(model):
            self.disabled[model.release.challenger] = (
                f"{wire.failures} of {wire.requests} requests failed, the last one: {fault or 'before'}"
            )
            self._tell()

    def keep(self, releases: set[str], versions: set[str]) -> None:
        """Forget releases and versions that the routing no longer names."""
        self._wires = {id: wire for id, wire in self._wires.items() if id in releases}
        self.disabled = {id: reason for id, reason in self.disabled.items() if id in versions}

    def _wire(self, model: Model) -> Tripwire:
        assert model.release is not None
        wire = self._wires.get(model.release.id)
        if wire is None:
            wire = self._wires[model.release.id] = Tripwire(model.release.planned_requests)
        return wire
