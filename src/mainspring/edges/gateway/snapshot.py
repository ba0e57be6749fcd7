"""The loaded snapshot: decoders, runtimes and look-ups of one generation, swapped in by one reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from mainspring.edges.gateway.engines import Engine
from mainspring.edges.gateway.outcomes import outcome_decoder
from mainspring.edges.gateway.protocols.codec import Described
from mainspring.edges.gateway.protocols.spoken import spoken
from mainspring.features.keys import encode_key
from mainspring.features.ports import FeatureRow, Latest
from mainspring.kernel.classes import class_texts
from mainspring.kernel.errors import InvalidInput, Unavailable, unknown
from mainspring.kernel.schema import Column
from mainspring.serving.assemble import Assembly, Seen, distinct_json, features_json
from mainspring.serving.columnar import ColumnRows, column_of
from mainspring.serving.decode import RowDecoder
from mainspring.serving.looked import Found, Looked, LookedRows
from mainspring.serving.ports import Row
from mainspring.serving.routing import ModelRoute, ReleaseRoute, Routing, SourceRoute, VersionRoute, ViewRoute

PREDICTION = "id"  # what outcomes of a model without an entity are told by: the id of the prediction
_MOST_ENCODED = 50_000  # keys of a view whose encoding is remembered


class Sight:
    """What one version sees of a model's requests; ``views`` are all that are looked up, its own among them."""

    __slots__ = ("_assembly", "_pick", "_views")

    def __init__(self, version: VersionRoute, columns: Sequence[Column], views: Sequence[View]) -> None:
        places = {view.digest: place for place, view in enumerate(views)}
        chosen = [places[digest] for digest in version.views]
        own = [views[place] for place in chosen]
        self._pick = None if chosen == list(range(len(views))) else chosen
        self._views = [(view.spec, view.digest) for view in own]
        self._assembly = Assembly(version.signature, columns, [view.spec for view in own])

    def row(self, asked: Row, looked: Sequence[Looked]) -> Row:
        """Return what the version sees of one row."""
        return self._assembly.row(asked, looked if self._pick is None else [looked[place] for place in self._pick])

    def columns(self, asked: ColumnRows, looked: LookedRows) -> list[Any]:
        """Return what the version sees of rows that are held as columns."""
        return self._assembly.columns(asked, looked.pick(self._pick))

    def features(self, looked: Sequence[Sequence[Looked]]) -> bytes:
        """Return what is logged of the features that the version saw."""
        pick = self._pick
        return features_json(self._views, looked if pick is None else [[row[at] for at in pick] for row in looked])

    def distinct_features(self, looked: LookedRows) -> tuple[bytes, Seen]:
        """Return the same of rows that share features, and which of them each row saw."""
        return distinct_json(self._views, looked.pick(self._pick))


class Arm(Sight):
    """One version as one model's requests meet it."""

    __slots__ = ("classes", "engine", "id", "number", "parts", "threshold")

    def __init__(self, version: VersionRoute, engine: Engine, columns: Sequence[Column], views: Sequence[View]) -> None:
        super().__init__(version, columns, views)
        self.id = version.id
        self.number = version.number
        self.threshold = version.threshold
        self.classes = version.signature.classes
        self.parts = class_texts(self.classes)
        self.engine = engine


class View:
    """One view: where a request's key stands, and how its features are looked up."""

    __slots__ = ("_encoded", "_key", "digest", "spec")

    def __init__(self, route: ViewRoute, columns: Sequence[Column]) -> None:
        self.spec = route.spec
        self.digest = route.digest
        places = {column.name: place for place, column in enumerate(columns)}
        missing = [name for name in route.spec.key if name not in places]
        if missing:
            raise InvalidInput("the view's key is not a column of the request", field=route.spec.name, value=missing)
        self._key = [places[name] for name in route.spec.key]
        self._encoded: dict[Any, str] = {}

    def warm(self, latest: Latest) -> None:
        """Open what the first look-up would open; raises ``Unavailable`` while the view is not fed."""
        self._fed(latest.get(self.digest, [encode_key([""] * len(self._key))], 0))

    def look_up(self, latest: Latest, row: Row, at_us: int) -> Looked:
        """Return the features of a row as known at ``at_us``."""
        return self._fed(latest.get(self.digest, (encode_key([row[place] for place in self._key]),), at_us))[0]

    def find(self, latest: Latest, rows: Sequence[Row], at_us: int) -> Found:
        """Return the features of many rows, which ask for the same few keys again and again."""
        columns = [column_of(rows, place) for place in self._key]
        keys = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        if len(self._encoded) > _MOST_ENCODED:
            self._encoded.clear()
        encoded = [self._encoded.get(key) or self._encode(key) for key in places]
        return Found(self._fed(latest.get(self.digest, encoded, at_us)), list(map(places.__getitem__, keys)))

    def _encode(self, key: Any) -> str:
        encoded = self._encoded[key] = encode_key((key,) if len(self._key) == 1 else key)
        return encoded

    def _fed(self, found: list[FeatureRow | None]) -> list[FeatureRow]:
        """Refuse to take a view that nobody feeds yet for one that has never seen the key."""
        if None in found:
            raise Unavailable("is not fed yet", field="view", value=self.spec.name, remedy="try again in a second")
        return cast("list[FeatureRow]", found)


class Model:
    """All that is needed to answer requests to one model."""

    __slots__ = (
        "_latest", "arms", "challengers", "champion", "codecs", "described", "entity", "generation", "outcomes",
        "pinned", "release", "route", "shadows", "subject", "unit", "views",
    )  # fmt: skip

    def __init__(self, route: ModelRoute, routing: Routing, engines: dict[str, Engine], latest: Latest | None) -> None:
        self.route = route
        self.generation = routing.generation
        decoder = RowDecoder(route.columns)
        places = {name: place for place, name in enumerate(decoder.names)}
        self.entity = _place(places, route.entity) if route.entity else None
        entity = Column(PREDICTION, "str") if self.entity is None else route.columns[self.entity]
        self.unit = _place(places, route.unit) if route.unit else self.entity
        self.subject = _place(places, route.subject) if route.subject else None
        versions = {id: routing.version(id) for id in _versions(route)}
        digests = dict.fromkeys(digest for version in versions.values() for digest in version.views)
        known = {(view.digest, view.project): view for view in routing.views}
        unfed = [digest for digest in digests if (digest, route.project) not in known]
        if unfed:
            raise InvalidInput("a version needs a view that is not fed", field=route.name, value=unfed[0])
        self.views = [View(known[digest, route.project], route.columns) for digest in digests]
        self._latest = latest
        for view in self.views:
            if latest is None:
                raise Unavailable("the latest features cannot be read", field="features", value=route.name)
            view.warm(latest)
        self.arms = {id: Arm(version, engines[id], route.columns, self.views) for id, version in versions.items()}
        self.champion = self.arms[route.champion]
        self.outcomes = outcome_decoder(entity, route.outcome_kind, self.champion.classes)
        self.release: ReleaseRoute | None = route.release
        self.challengers = {id: self.arms[id] for id in route.release.challengers} if route.release else {}
        self.shadows: dict[str, tuple[Arm, str, float]] = {}
        for shadow in route.shadows:
            before = self.shadows.get(shadow.version)
            release = shadow.release if before is None or not before[1] else before[1]
            sample = shadow.sample if before is None else max(shadow.sample, before[2])
            self.shadows[shadow.version] = (self.arms[shadow.version], release, sample)
        self.pinned = {self.arms[id].number: self.arms[id] for id in route.pinned}
        numbers = tuple(sorted({self.champion.number, *self.pinned}))
        decides = self.champion.threshold is not None
        self.described = Described(
            route.name, route.columns, self.champion.number, numbers, decides, route.max_rows, self.champion.classes
        )
        self.codecs = spoken(self.described, decoder)

    def look_up(self, rows: Sequence[Row], at_us: int) -> Sequence[Sequence[Looked]]:
        """Return, for each row, the features of every view that some version of this model needs."""
        latest, many = self._latest, len(rows)
        if latest is None or not self.views:
            return [()] if many == 1 else LookedRows(many, [])
        if many == 1:
            return [tuple([view.look_up(latest, rows[0], at_us) for view in self.views])]
        return LookedRows(many, [view.find(latest, rows, at_us) for view in self.views])


class Source:
    """A source that takes pushed rows."""

    __slots__ = ("decoder", "known_at", "route", "time")

    def __init__(self, route: SourceRoute) -> None:
        self.route = route
        self.decoder = RowDecoder(route.spec.columns)
        places = {name: place for place, name in enumerate(self.decoder.names)}
        self.time = places.get(route.spec.time)
        self.known_at = places.get(route.spec.known_at) if route.spec.known_at else None


class Snapshot:
    """One generation, ready to answer."""

    def __init__(self, routing: Routing, engines: dict[str, Engine], latest: Latest | None) -> None:
        self.routing = routing
        self.generation = routing.generation
        self._models: dict[str, list[Model]] = {}
        for route in routing.models:
            self._models.setdefault(route.name, []).append(Model(route, routing, engines, latest))
        self._sources: dict[str, list[Source]] = {}
        for source in routing.sources:
            self._sources.setdefault(source.spec.name, []).append(Source(source))

    def model(self, name: str, project: str | None = None) -> Model:
        """Return the model of that name; ``project`` is needed where several projects have one."""
        return _one("model", name, self._models, project)

    def invoked(self, wanted: str | None) -> tuple[str | None, str]:
        """Return project and name of the model that a route without a name means; nothing is guessed."""
        known = [f"{model.route.project_name}/{model.route.name}" for model in self.models()]
        stated = self.routing.invocations if wanted is None else wanted
        if wanted == "":
            raise unknown("model", wanted, known)
        if not stated and len(known) == 1:
            stated = known[0]
        if not stated:
            remedy = f"send x-mainspring-model, or set invocations_model; known: {', '.join(sorted(known))}"
            raise InvalidInput("several models are loaded and none is named", field="model", remedy=remedy)
        project, _, name = stated.rpartition("/")
        return project or None, name

    def source(self, name: str, project: str | None = None) -> Source:
        """Return the source of that name."""
        return _one("source", name, self._sources, project)

    def models(self) -> list[Model]:
        """Return every model."""
        return [model for several in self._models.values() for model in several]

    def sources(self) -> list[Source]:
        """Return every source that takes pushed rows."""
        return [source for several in self._sources.values() for source in several]


def _versions(route: ModelRoute) -> list[str]:
    drawn = route.release.challengers if route.release else ()
    return list(dict.fromkeys([route.champion, *drawn, *route.pinned, *(shadow.version for shadow in route.shadows)]))


def _place(places: dict[str, int], name: str) -> int:
    if name not in places:
        raise InvalidInput("is not a column of the request", field=name, value=sorted(places))
    return places[name]


_T = TypeVar("_T", Model, Source)


def _one(kind: str, name: str, found: dict[str, list[_T]], project: str | None) -> _T:
    several = found.get(name)
    if not several:
        raise unknown(kind, name, found)
    if project is not None:
        of_project = [one for one in several if one.route.project_name == project]
        if not of_project:
            raise unknown("project", project, [one.route.project_name for one in several])
        return of_project[0]
    if len(several) > 1:
        owners = ", ".join(sorted(one.route.project_name for one in several))
        raise InvalidInput(
            f"several projects have this {kind}", field=kind, value=name, remedy=f"add ?project= ({owners})"
        )
    return several[0]
