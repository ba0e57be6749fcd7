"""A version: immutable, content-addressed, with everything needed to run it again and to say where it came from."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.kernel.schema import Signature


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Proof that the ONNX build answers as the estimator does: largest difference and flips on ``rows`` rows.

    ``edge_rows`` of them were chosen to break it: missing values, unseen categories, extremes, values beside splits.
    Where it is not ``equal``, or there is no build, ``reason`` says why, and the version runs in a process of its own.
    ``build`` says which was proven and answers: the graph with one input a column, or the one packed into one tensor.
    """

    rows: int
    largest_difference: float
    tolerance: float
    flips: int
    equal: bool
    reason: str = ""
    edge_rows: int = 0
    edge_largest_difference: float = 0.0
    edge_flips: int = 0
    build: Literal["columns", "packed"] = "columns"


HELD_OUT = "held_out"  # the snapshot with answers on rows that it was not fitted on


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it was made and must be run: interpreter and the distributions that its code imported.

    ``lock`` names an approved environment that it must have; empty, any that holds the same distributions will do.
    """

    python: str
    platform: str
    packages: dict[str, str]
    lock: str = ""


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it came from."""

    recipe: str = ""
    revision: str = ""
    commit: str = ""
    dirty: str = ""
    source_digest: str = ""
    snapshots: dict[str, str] = {}
    params: dict[str, Any] = {}
    seed: int = 0
    trained_from_us: int | None = None
    trained_until_us: int | None = None
    run: str = ""
    parent: str = ""


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version as the registry keeps it. ``files`` maps names in the package to digests of blobs.

    ``views`` are digests of the views whose features it looks up, in this home; ``definitions`` digests of what those
    say, the same in every home. ``p999_ms`` is measured with one row at registration.
    """

    id: str
    model: str
    number: int
    runtime: Literal["onnx", "python", "rule", "mlflow"]
    files: dict[str, str]
    signature: Signature
    environment: Environment
    lineage: Lineage = Lineage()
    views: tuple[str, ...] = ()
    metrics: dict[str, float | None] = {}
    parity: Parity | None = None
    plain_graph: bool = False
    p999_ms: float | None = None
    threshold: float | None = None
    created_us: int = 0
    digest: str = ""
    definitions: tuple[str, ...] = ()
