"""The revision: everything a project declares, as plain data under one digest."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import canonical_json, digest
from mainspring.registry.model import ModelSpec

FORMAT = 1


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model with its checks, release, monitors and retraining, each as plain data for the folder that reads it."""

    spec: ModelSpec
    checks: tuple[dict[str, Any], ...] = ()
    release: dict[str, Any] | None = None
    monitors: tuple[dict[str, Any], ...] = ()
    retrain: dict[str, Any] | None = None


class Revision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One immutable state of a project. ``files`` maps local modules to digests of blobs; ``lock`` is a digest too.

    The same declarations and files give the same digest, so that applying them again changes nothing.
    """

    project: str
    file: str
    sources: tuple[SourceSpec, ...] = ()
    views: tuple[ViewSpec, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    files: dict[str, str] = {}
    lock: str = ""
    format: int = FORMAT

    def encoded(self) -> bytes:
        """Return the bytes that the digest is taken over; they are kept as a blob under it."""
        return canonical_json(self)

    def digest(self) -> str:
        return digest(self.encoded())

    def source(self, name: str) -> SourceSpec | None:
        return next((source for source in self.sources if source.name == name), None)

    def view(self, name: str) -> ViewSpec | None:
        return next((view for view in self.views if view.name == name), None)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as a worker reports it."""

    what: str
    field: str | None = None
    value: str | None = None
    remedy: str | None = None

    def error(self) -> InvalidInput:
        field = f"{self.field} = {self.value}" if self.field and self.value else self.field
        return InvalidInput(self.what, field=field, remedy=self.remedy)


class Evaluated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker found in a declaring file. With faults the revision holds what could be read.

    ``rows_per_day`` is by source, for those whose files tell.
    """

    revision: Revision
    faults: tuple[Fault, ...] = ()
    rows_per_day: dict[str, float] = {}
