"""Asks finished versions on behalf of workers: a graph is data and runs here, user code in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.once import running
from mainspring.adapters.runtimes.package import load_onnx
from mainspring.serving.routing import VersionRoute
from mainspring.training import judging, worker
from mainspring.training.ports import Folders, Run


@contextmanager
def asking(version: VersionRoute, folders: Folders) -> Iterator[Run]:
    """Yield what runs a version, in the environment that serving would give it; satisfies ``Asking``."""
    if version.package.runtime == "onnx":
        yield load_onnx(version, FileBlobs(Path(folders.blobs), LocalDisk()).get).run
        return
    with running(version, Path(folders.blobs), Path(folders.environments)) as run:
        yield run


def train(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Make one version, beside the champion's answers."""
    return worker.train(spec, staging, asking)


def backtest(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Fit at some moments of the past, beside the champion's answers."""
    return worker.backtest(spec, staging, asking)


def judge(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Ask a version that was made elsewhere about rows whose outcomes are known, beside the champion's answers."""
    return judging.judge(spec, staging, asking)
