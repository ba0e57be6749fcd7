"""What a rehearsal leaves to workers: answers of a version on rows that it never saw, and the plays themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.runtimes.answers import AnswerJob
from mainspring.kernel.values import from_plain
from mainspring.release.rehearsal.deck import Deck, unpacked
from mainspring.release.rehearsal.play import Ended
from mainspring.release.rehearsal.rehearse import rehearse
from mainspring.release.rehearsal.stage import Script
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute
from mainspring.training.ports import Folders, Job, Jobs
from mainspring.training.progress import Progress

TIMEOUT_S = 6 * 3_600.0


class RehearseJob(msgspec.Struct, frozen=True):
    """The order to a worker."""

    deck: bytes
    script: Script
    plays: int
    seed: int


class WorkerUnderstudy:
    """Satisfies ``Understudy`` through jobs."""

    def __init__(self, jobs: Jobs, folders: Folders) -> None:
        self._jobs = jobs
        self._folders = folders

    def answer(self, version: VersionRoute, rows: Sequence[Row]) -> Sequence[float | None]:
        if not rows:
            return []
        order = AnswerJob(version, self._folders, [list(row) for row in rows])
        return [from_plain(value) for value in self._run("answer", order)["values"]]

    def rehearse(
        self, cards: Deck, script: Script, plays: int, seed: int, say: Callable[[float, str], None] | None
    ) -> Sequence[Ended]:
        order = RehearseJob(cards.packed(), script, plays, seed)
        return msgspec.convert(self._run("rehearse", order, say)["ended"], list[Ended])

    def _run(self, kind: str, order: msgspec.Struct, say: Callable[[float, str], None] | None = None) -> dict[str, Any]:
        result = self._jobs.run(Job(kind, msgspec.to_builtins(order), timeout_s=TIMEOUT_S, on_progress=say))
        self._jobs.discard(result)
        return result.manifest


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Play what was ordered."""
    order = msgspec.convert(spec, RehearseJob)
    ended = rehearse(unpacked(order.deck), order.script, order.plays, order.seed, Progress(staging).say)
    return {"ended": msgspec.to_builtins(ended)}
