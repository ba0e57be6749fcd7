"""Tells a tracker which versions and aliases there are: again and again what is, never what happened.

A promotion never waits for it. What could not be told is told later, whole; telling it twice changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.ids import digest_of
from mainspring.registry.service import ModelRow, Registry

TELL_AGAIN_S = 600.0
_FIRST_BACK_OFF_S = 2.0
_LONGEST_BACK_OFF_S = 300.0


class Tracked(msgspec.Struct, frozen=True):
    """One version that an alias points at."""

    id: str
    number: int
    digest: str
    runtime: str
    created_us: int


class TrackedModel(msgspec.Struct, frozen=True):
    """One model as a tracker shall have it: its name there, and its aliases."""

    name: str
    aliases: dict[str, Tracked]


class Tracker(Protocol):
    """Where others look for models. Satisfied by an MLflow server."""

    def mirror(self, models: Sequence[TrackedModel]) -> int:
        """Make what is there equal to ``models`` and return how much was changed; what others put there stays."""
        ...


class MirrorState(msgspec.Struct, frozen=True):
    """What the tracker was last told. ``trouble`` says why it could not be told since."""

    configured: bool
    told: tuple[TrackedModel, ...] = ()
    changed: int = 0
    trouble: str = ""


def tracked_names(models: Sequence[ModelRow]) -> list[tuple[str, ModelRow]]:
    """Return what models are called where projects are not known: by their names, or ``project.model`` if need be."""
    names = [model.name for model in models]
    called = [(row.name if names.count(row.name) == 1 else f"{row.project_name}.{row.name}", row) for row in models]
    return sorted(called, key=lambda pair: pair[0])


class Mirror:
    """Level-triggered: ``step`` may be called at any time; it asks the tracker when there is a reason to."""

    def __init__(
        self, *, registry: Registry, tracker: Tracker | None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._tracker = tracker
        self._monotonic_s = monotonic_s
        self._turn = threading.Lock()
        self._state = MirrorState(tracker is not None)
        self._digest = ""
        self._not_before_s = self._again_s = float("-inf")
        self._failures = 0

    def state(self) -> MirrorState:
        """Return what the tracker was last told."""
        return self._state

    def step(self) -> bool:
        """Tell the tracker what is, if that changed, was not told or is long ago; return whether it was told."""
        if self._tracker is None or self._monotonic_s() < self._not_before_s:
            return False
        with self._turn:
            models = self.desired()
            digest = digest_of(models)
            if digest == self._digest and self._monotonic_s() < self._again_s:
                return False
            return self._tell(self._tracker, models, digest)

    def desired(self) -> tuple[TrackedModel, ...]:
        """Return every model with an alias."""
        made = []
        for name, row in tracked_names(self._registry.models()):
            pointed = {
                alias: Tracked(version.id, version.number, version.digest, version.runtime, version.created_us)
                for alias, version in self._registry.aliases(row.id).items()
            }
            if pointed:
                made.append(TrackedModel(name, pointed))
        return tuple(made)

    def _tell(self, tracker: Tracker, models: tuple[TrackedModel, ...], digest: str) -> bool:
        now_s = self._monotonic_s()
        try:
            changed = tracker.mirror(models)
        except MainspringError as error:
            self._failures += 1
            self._not_before_s = now_s + min(_FIRST_BACK_OFF_S * 2 ** (self._failures - 1), _LONGEST_BACK_OFF_S)
            self._state = msgspec.structs.replace(self._state, trouble=error.sentence())
            return False
        self._failures, self._digest, self._again_s = 0, digest, now_s + TELL_AGAIN_S
        self._state = MirrorState(True, models, changed)
        return True
