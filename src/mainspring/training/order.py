"""What control asks of a training worker, and the manifest that the worker answers with."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.features.frame import FrameSpec
from mainspring.kernel.duration import DAY_US
from mainspring.kernel.schema import Signature
from mainspring.registry.model import ModelSpec, Recipe
from mainspring.registry.version import Environment, Parity
from mainspring.serving.routing import VersionRoute
from mainspring.training.backtest import Origin
from mainspring.training.ports import Folders


class ChampionOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version to compare with. Rows whose outcome was known by ``trained_until_us`` it may have seen."""

    version: VersionRoute
    trained_until_us: int | None = None


class TrainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Make one version. ``frame`` also holds the champion's views; ``code`` maps project files to paths."""

    project: str
    model: ModelSpec
    recipe: Recipe
    frame: FrameSpec
    code: dict[str, str] = {}
    root: str | None = None
    champion: ChampionOrder | None = None
    folders: Folders = Folders()


class BacktestOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask whether retraining would have helped at ``origins`` moments of the last ``span_us``.

    ``turns`` are the moments that this worker takes; others may take the rest at the same time.
    """

    project: str
    model: ModelSpec
    recipe: Recipe
    frame: FrameSpec
    champion: ChampionOrder
    until_us: int
    code: dict[str, str] = {}
    origins: int = 6
    turns: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    span_us: int = 28 * DAY_US
    folders: Folders = Folders()


class JudgeOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask a version that was made elsewhere for its answers: on the rows that a recipe holds out, or on a blank one.

    ``frame`` also holds the champion's views; it is None where there are no rows to ask about.
    """

    version: VersionRoute
    folders: Folders
    recipe: Recipe | None = None
    frame: FrameSpec | None = None
    champion: ChampionOrder | None = None


class JudgeManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it answered. ``held_out`` is a path; where it is empty, ``reason`` says why there are no answers."""

    held_out: str = ""
    rows: int = 0
    metrics: dict[str, float | None] = {}
    champion: dict[str, Any] = {}
    p999_ms: float | None = None
    reason: str = ""


class BacktestManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one worker found at its moments; ``answers`` is a Parquet file with a row for each row that was answered."""

    origins: tuple[Origin, ...]
    answers: str


class TrainManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version as a worker made it; ``files`` and ``held_out`` are paths of what it wrote or was given."""

    runtime: str
    files: dict[str, str]
    signature: Signature
    frame_digest: str
    rows: dict[str, int]
    from_us: int
    until_us: int
    environment: Environment = Environment("", "", {})
    metrics: dict[str, float | None] = {}
    held_out: str = ""
    parity: Parity | None = None
    plain_graph: bool = False
    p999_ms: float | None = None
    commit: str = ""
    dirty: str = ""
    champion: dict[str, Any] = {}
