"""Turn what registry, releases and features say into the routing snapshot, and publish it when it changed.

The version under the alias ``baseline`` stays in shadow for comparison, outside any release.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Literal, Protocol

import msgspec
from sqlalchemy import Connection, delete, insert, select

from mainspring.features.service import FeatureService
from mainspring.features.spec import PushReader, SourceSpec
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged
from mainspring.kernel.ids import digest_of
from mainspring.kernel.schema import Task
from mainspring.ledger.ports import Store
from mainspring.loop.tables import generations
from mainspring.registry.alias import CHAMPION
from mainspring.registry.model import Batching
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.release import Release
from mainspring.release.service import ReleaseService
from mainspring.serving.draw import holdout_salt
from mainspring.serving.placement import DEADLINE_MS, placement
from mainspring.serving.routing import (
    ArmRoute,
    HoldoutRoute,
    KeyRoute,
    ModelRoute,
    ReleaseRoute,
    Routing,
    ShadowRoute,
    SourceRoute,
    VersionRoute,
    ViewRoute,
    version_route,
)

_KEPT_GENERATIONS = 200


class RoutingOut(Protocol):
    """Where gateways look for their routing."""

    def write(self, routing: Routing) -> None:
        """Replace the published snapshot, durably and in one step."""
        ...

    def read(self) -> Routing | None:
        """Return what is published now."""
        ...


class Publisher:
    """Level-triggered: ``publish`` may be called at any time and writes only when something differs."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        releases: ReleaseService,
        features: FeatureService,
        routing: RoutingOut,
        clock: Clock,
        acknowledgement: Literal["durable", "batched", "best_effort"] = "batched",
        max_rows: int = 1_000,
        invocations: str = "",
        keys: Callable[[], tuple[KeyRoute, ...]] = tuple,
    ) -> None:
        self._store = store
        self._registry = registry
        self._releases = releases
        self._features = features
        self._routing = routing
        self._clock = clock
        self._max_rows = max_rows
        self._keys = keys
        self._turn = threading.Lock()
        self._acknowledgement: Literal["durable", "batched", "best_effort"] = acknowledgement
        self._invocations = invocations

    def publish(self) -> Routing:
        """Write a new generation if the desired routing differs from the newest one; return what stands."""
        with self._turn:  # between reading what is desired and writing it nobody may publish something newer
            return self._publish()

    def _publish(self) -> Routing:
        desired = self.desired()
        digest = digest_of(desired)
        with self._store.bookkeeping() as connection:
            newest = connection.execute(select(generations).order_by(generations.c.generation.desc()).limit(1)).first()
            if newest is not None and newest.digest == digest:
                routing = msgspec.json.decode(newest.body, type=Routing)
            else:
                number = newest.generation + 1 if newest is not None else 1
                routing = msgspec.structs.replace(desired, generation=number, written_us=self._clock.now_us())
                self._keep(connection, routing, digest)
        reached("publish.before_write")
        if self._published_generation() != routing.generation:
            self._routing.write(routing)
        return routing

    def _published_generation(self) -> int | None:
        try:
            published = self._routing.read()
        except Damaged:
            return None  # gateways go on with what they hold, until it is written again
        return published.generation if published is not None else None

    def desired(self) -> Routing:
        """Return the routing that the store calls for, with generation 0."""
        models = self._registry.models()
        running = {model.id: self._releases.running(model.id) for model in models}
        routes: list[ModelRoute] = []
        loaded: dict[str, VersionRoute] = {}
        for model in models:
            champion = self._registry.alias(model.id, CHAMPION)
            if champion is None:
                continue
            baseline = self._registry.alias(model.id, "baseline")
            needed = self._needed(champion, baseline, running[model.id])
            able = {version.id: version for version in needed if _asked_alike(version, champion)}
            route = _model_route(model, champion, baseline, running[model.id], able.keys())
            routes.append(msgspec.structs.replace(route, max_rows=self._max_rows))
            deadline_ms = routes[-1].deadline_ms
            for version in able.values():
                loaded.setdefault(version.id, self._version_route(version, champion, deadline_ms))
        digests = sorted({view for version in loaded.values() for view in version.views})
        return Routing(
            generation=0,
            written_us=0,
            models=tuple(sorted(routes, key=lambda route: route.model)),
            versions=tuple(sorted(loaded.values(), key=lambda version: version.id)),
            views=tuple(self._views(digests)),
            sources=tuple(self._sources()),
            acknowledgement=self._acknowledgement,
            invocations=self._invocations,
            keys=self._keys(),
        )

    def _version_route(self, version: Version, champion: Version, deadline_ms: int) -> VersionRoute:
        in_gateway = version.id == champion.id and placement(version, deadline_ms).in_gateway
        return version_route(version, self._registry.environments.lock_of(version) or "", in_gateway=in_gateway)

    def _needed(self, champion: Version, baseline: Version | None, running: Sequence[Release]) -> Iterable[Version]:
        yield champion
        if baseline is not None:
            yield baseline
        for release in running:
            for version in (*release.challengers, *release.shadows):
                yield self._registry.version(version)

    def _views(self, digests: Sequence[str]) -> Iterable[ViewRoute]:
        for view in self._features.views(digests):
            yield ViewRoute(view.digest, view.project, view.spec, view.source)

    def _sources(self) -> Iterable[SourceRoute]:
        for project in self._registry.projects():
            for source, spec in self._features.sources(project.id):
                yield SourceRoute(project.id, project.name, source, _without_secrets(spec))

    def _keep(self, connection: Connection, routing: Routing, digest: str) -> None:
        connection.execute(
            insert(generations).values(
                generation=routing.generation,
                at_us=routing.written_us,
                digest=digest,
                body=msgspec.json.encode(routing).decode(),
            )
        )
        connection.execute(
            delete(generations).where(generations.c.generation <= routing.generation - _KEPT_GENERATIONS)
        )


def _asked_alike(version: Version, champion: Version) -> bool:
    """Tell whether requests to the champion carry all that the version needs; else it can answer none of them."""
    carried = {column.name for column in champion.signature.requested}
    return all(column.name in carried for column in version.signature.requested)


def _model_route(
    model: ModelRow, champion: Version, baseline: Version | None, running: Sequence[Release], able: Set[str]
) -> ModelRoute:
    spec = model.spec
    drawing = next((one for one in running if one.share > 0 and able >= set(one.challengers)), None)
    shadows = {
        ShadowRoute(version, release.id, release.terms.sample)
        for release in running
        for version in release.shadows
        if version != champion.id and version in able
    }
    if drawing is not None and drawing.shadows:  # what the challenger answers is scored by the champion too: in pairs
        shadows.add(ShadowRoute(champion.id, drawing.id))
    there = {champion.id, *(shadow.version for shadow in shadows)}
    if baseline is not None and baseline.id in able and baseline.id not in there:
        shadows.add(ShadowRoute(baseline.id))
    return ModelRoute(
        project=model.project,
        project_name=model.project_name,
        model=model.id,
        name=model.name,
        entity=spec.entity if spec else "",
        unit=(spec.unit or spec.entity) if spec else "",
        subject=spec.subject if spec else None,
        columns=champion.signature.requested,
        champion=champion.id,
        release=_release_route(drawing) if drawing else None,
        holdout=_holdout(model, running),
        shadows=tuple(sorted(shadows, key=lambda shadow: (shadow.version, shadow.release))),
        outcome_kind=_outcome_kind(model, champion),
        deadline_ms=spec.deadline_ms if spec else DEADLINE_MS,
        batching=spec.batching if spec else Batching(),
    )


_KIND_OF: dict[Task, Literal["bool", "float", "class"]] = {"binary": "bool", "multiclass": "class"}


def _outcome_kind(model: ModelRow, champion: Version) -> Literal["bool", "float", "class"]:
    if model.spec is not None:
        return model.spec.outcome.kind
    return _KIND_OF.get(champion.signature.task, "float")


def _holdout(model: ModelRow, running: Sequence[Release]) -> HoldoutRoute | None:
    """Return the units that no release may draw: those of the model, and more while a running policy asks for more."""
    declared = model.spec.holdout if model.spec is not None else 0.0
    share = max([declared, *(release.policy.holdout for release in running)])
    return HoldoutRoute(share, holdout_salt(model.id)) if share > 0 else None


def _release_route(release: Release) -> ReleaseRoute:
    (first, share), *others = release.shares
    allocation = release.terms.allocation
    return ReleaseRoute(
        id=release.id,
        epoch=release.epoch,
        salt=release.salt,
        challenger=first,
        share=share,
        planned_requests=release.planned_requests,
        others=tuple(ArmRoute(version, own) for version, own in others),
        per="request" if allocation is not None and allocation.per == "request" else "unit",
    )


def _without_secrets(spec: SourceSpec) -> SourceSpec:
    return msgspec.structs.replace(spec, reader=PushReader())
