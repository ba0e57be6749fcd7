"""The tripwires of this worker: a challenger that fails grossly is taken out here, at once, without asking anyone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mainspring.serving.routing import ReleaseRoute
from mainspring.serving.tripwire import Tripwire


class Tripwires:
    """One tripwire a challenger, kept across snapshots. ``disabled`` is ``{version: reason}``."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._wires: dict[str, dict[str, Tripwire]] = {}
        self.disabled: dict[str, str] = {}

    def tripped(self, release: ReleaseRoute | None) -> bool:
        """Return whether every challenger of the release was taken out."""
        if release is None or not self.disabled:
            return False
        return all(version in self.disabled for version in release.challengers)

    def stable_answered(self, release: ReleaseRoute, failed: bool) -> None:
        """Count an answer of the stable version beside a running release."""
        for wire in self._of(release).values():
            wire.stable_answered(failed, time.monotonic())

    def challenger_answered(self, release: ReleaseRoute, version: str, failed: bool, fault: str) -> None:
        """Count an answer of a challenger, and take it out if that was one failure too many."""
        wire = self._of(release)[version]
        if wire.challenger_answered(failed, time.monotonic()) and version not in self.disabled:
            last = f", the last one: {fault}" if fault else ""
            reason = f"{wire.failures} of {wire.requests} requests failed{last}"
            self.disabled = {**self.disabled, version: reason}  # a new one: requests under way keep what they drew by
            self._tell()

    def follow(self, disabled: Mapping[str, str]) -> None:
        """Take out what another worker has taken out: together they answer for one release, and each sees a part."""
        fresh = {version: reason for version, reason in disabled.items() if version not in self.disabled}
        if fresh:
            self.disabled = {**self.disabled, **fresh}
            self._tell()

    def keep(self, releases: set[str], versions: set[str]) -> None:
        """Forget releases and versions that the routing no longer names."""
        self._wires = {id: wire for id, wire in self._wires.items() if id in releases}
        self.disabled = {id: reason for id, reason in self.disabled.items() if id in versions}

    def _of(self, release: ReleaseRoute) -> dict[str, Tripwire]:
        wires = self._wires.get(release.id)
        if wires is not None and len(wires) == 1 + len(release.others):
            return wires
        wires = self._wires.setdefault(release.id, {})
        for version in release.challengers:
            if version not in wires:
                wires[version] = Tripwire(release.planned_requests)
        return wires
