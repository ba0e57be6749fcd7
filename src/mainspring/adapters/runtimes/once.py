"""Run a version for a while in a process of its own, outside any gateway: for batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mainspring.adapters.runtimes.frames import socket_path
from mainspring.adapters.runtimes.launching import Place, end_group, start, words_file
from mainspring.adapters.runtimes.process import ask_and_wait, listens
from mainspring.adapters.runtimes.scorer import UNFIT
from mainspring.adapters.runtimes.words import WORDS, tail
from mainspring.kernel.errors import Unavailable, WorkerFailed
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute
from mainspring.training.ports import Run, Unfit

_LOAD_S = 300.0
_ANSWER_S = 600.0
_LOOK_EVERY_S = 0.02


@contextmanager
def running(version: VersionRoute, blobs: Path, environments: Path | None = None) -> Iterator[Run]:
    """Yield a function from rows to answers; ``blobs`` and ``environments`` are folders of the home."""
    with TemporaryDirectory(prefix="mainspring-run-") as folder:
        run = Path(folder)
        socket = socket_path(run, version.id)
        process = start(version, Place(run, blobs, environments), slow_us=60_000_000, socket=socket)
        try:
            _wait_for(socket, process.poll, words_file(run, version.id))
            yield lambda rows: _answers(socket, rows, version)
        finally:
            process.terminate()
            process.wait()
            end_group(process)


def _wait_for(socket: Path, ended: Callable[[], int | None], log: Path) -> None:
    until_s = time.monotonic() + _LOAD_S
    while not listens(socket):
        if ended() is not None or time.monotonic() > until_s:
            WORDS.wait_for(log, most_s=2.0)
            said = tail(log, 500).strip()
            raise Unavailable(f"its model process did not start: {said}", field="version")
        time.sleep(_LOOK_EVERY_S)


def _answers(socket: Path, rows: Sequence[Row], version: VersionRoute) -> Sequence[float]:
    answer = ask_and_wait(socket, rows, _ANSWER_S)
    if answer.faults:
        row, fault = next(iter(answer.faults.items()))
        if fault.startswith(UNFIT):
            raise Unfit(fault.removeprefix(UNFIT), field="version", value=version.number)
        raise WorkerFailed(f"the model could not answer row {row}: {fault}", field="version", value=version.number)
    return [value for value in answer.values if value is not None]
