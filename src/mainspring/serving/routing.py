"""The routing snapshot: all that a gateway needs to answer, as one immutable value with a generation.

Control writes it to ``routing/current``; gateways swap it in by one reference; nothing else tells them what to do.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.duration import DAY_US
from mainspring.kernel.errors import unknown
from mainspring.kernel.schema import Column, Signature
from mainspring.registry.model import Batching
from mainspring.registry.version import Environment, Version

FORMAT = 1
OLDEST_DECISION_US = DAY_US  # the latest features are kept for a day of decision times


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of a version: name in the package to digest of the blob."""

    files: dict[str, str]
    runtime: Literal["onnx", "python", "rule", "mlflow"]
    in_gateway: bool = False


class VersionRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One loaded version. ``views`` are the views (by digest) that its features come from.

    A model process refuses an ``environment`` that is not its own; empty, it is not checked. ``lock`` names the
    approved environment that it runs in where that is not ours.
    """

    id: str
    number: int
    package: Package
    signature: Signature
    views: tuple[str, ...] = ()
    threshold: float | None = None
    environment: Environment | None = None
    lock: str = ""


class ArmRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more challenger of a release that draws among several, and its share of the units."""

    version: str
    share: float


def version_route(version: Version, lock: str, *, in_gateway: bool = False) -> VersionRoute:
    """Return a registered version as it is run; ``lock`` names its environment where that is not ours."""
    return VersionRoute(
        id=version.id,
        number=version.number,
        package=Package(version.files, version.runtime, in_gateway),
        signature=version.signature,
        views=version.views,
        threshold=version.threshold,
        environment=version.environment,
        lock=lock,
    )


class ReleaseRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A running release that draws units: ``share`` of them to ``challenger`` by a hash salted per epoch.

    Where it draws among several versions, ``others`` are those beside the first. ``per`` says what is drawn: a unit,
    which meets the same version as long as shares stay, or each request for itself.
    """

    id: str
    epoch: int
    salt: str
    challenger: str
    share: float
    planned_requests: int = 20_000
    others: tuple[ArmRoute, ...] = ()
    per: Literal["unit", "request"] = "unit"

    @property
    def challengers(self) -> tuple[str, ...]:
        """Return every version that it draws beside the champion."""
        return (self.challenger, *(arm.version for arm in self.others))


class HoldoutRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share of units that always meets the champion, whatever is released; its salt never changes."""

    share: float
    salt: str


class ShadowRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that scores rows after the answer. ``release`` is empty for one that stays for comparison.

    It scores a ``sample`` of the rows, chosen by a hash of the prediction.
    """

    version: str
    release: str = ""
    sample: float = 1.0


class ModelRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one model is asked and answered."""

    project: str
    project_name: str
    model: str
    name: str
    entity: str
    unit: str
    subject: str | None
    columns: tuple[Column, ...]
    champion: str
    release: ReleaseRoute | None = None
    holdout: HoldoutRoute | None = None
    shadows: tuple[ShadowRoute, ...] = ()
    pinned: tuple[str, ...] = ()
    outcome_kind: Literal["bool", "float", "class"] = "float"
    deadline_ms: int = 1_000
    max_rows: int = 1_000
    oldest_decision_us: int = OLDEST_DECISION_US
    batching: Batching = Batching()


class ViewRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view that is fed, under its digest, with the source it reads."""

    digest: str
    project: str
    spec: ViewSpec
    source: str


class SourceRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source that takes pushed rows."""

    project: str
    project_name: str
    source: str
    spec: SourceSpec


class KeyRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API key as gateways know it: never the key, only its hash."""

    id: str
    name: str
    hash: str
    roles: tuple[str, ...]
    expires_us: int | None = None

    def __repr__(self) -> str:
        return f"KeyRoute(id={self.id!r}, name={self.name!r}, roles={self.roles!r})"


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole snapshot. ``invocations`` is the model (``project/name``) that routes without a name mean."""

    generation: int
    written_us: int
    models: tuple[ModelRoute, ...] = ()
    versions: tuple[VersionRoute, ...] = ()
    views: tuple[ViewRoute, ...] = ()
    sources: tuple[SourceRoute, ...] = ()
    acknowledgement: Literal["durable", "batched", "best_effort"] = "batched"
    invocations: str = ""
    format: int = FORMAT
    keys: tuple[KeyRoute, ...] = ()

    def version(self, id: str) -> VersionRoute:
        """Return the loaded version of that id."""
        for version in self.versions:
            if version.id == id:
                return version
        raise unknown("version", id, (version.id for version in self.versions))
