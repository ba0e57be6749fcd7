"""Replay: recompute a logged prediction from model, code, environment, and features as known then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import polars as pl

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.service import FeatureService, FedView
from mainspring.kernel.errors import NotFound
from mainspring.kernel.schema import Column
from mainspring.kernel.values import Vector
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry
from mainspring.registry.version import Version
from mainspring.serving.ports import Row
from mainspring.serving.replay import Logged, Replay, decoded, replay
from mainspring.serving.routing import VersionRoute, version_route

_AT = "decided at, in microseconds"  # no column of a request has this name: it has a comma in it
ANSWERED = ("served", "fallback", "pinned", "batch")
Recompute = Callable[[VersionRoute, Sequence[Row]], Sequence[float]]


class Replayed(msgspec.Struct, frozen=True):
    """What a replay found. ``difference`` names the first thing that is not as it was; empty if all is equal."""

    id: str
    model: str
    version: int
    role: str
    rows: tuple[Replay, ...]
    features_equal: bool
    equal: bool
    difference: str = ""
    erased: bool = False  # its subject was erased: nothing is left to answer from


class ReplayService:
    """Replays predictions. ``recompute`` runs a version on rows in a process of its own."""

    def __init__(
        self, *, registry: Registry, features: FeatureService, log: PredictionLog, recompute: Recompute
    ) -> None:
        self._registry = registry
        self._features = features
        self._log = log
        self._recompute = recompute

    def replay(self, prediction_id: str) -> Replayed:
        """Recompute what callers were answered, and the features from the sources as they were known then."""
        found = self._log.prediction(prediction_id)
        asked = {row["row"]: row for row in found["requests"]}
        if any(row["body"] == "" for row in asked.values()):
            return self._erased(prediction_id, found)
        scored = [row for row in found["scored"] if row["role"] in ANSWERED and row["status"] == "ok"]
        if not scored:
            raise NotFound("no version answered this prediction", field="prediction", value=prediction_id)
        answers: dict[str, list[dict[str, Any]]] = {}
        for row in scored:  # a challenger answers some rows, the champion the others
            answers.setdefault(row["version"], []).append(row)
        differences: list[str] = []
        replays: list[Replay] = []
        for id, rows in answers.items():
            found_here = self._again(self._registry.version(id), asked, rows)
            differences += found_here[0]
            replays += found_here[1]
        differences += [f"row {one.row}: said {one.then!r}, now {one.again!r}" for one in replays if not one.equal]
        version = self._registry.version(scored[0]["version"])
        return Replayed(
            id=prediction_id,
            model=self._registry.model(None, version.model).name,
            version=version.number,
            role=scored[0]["role"],
            rows=tuple(sorted(replays, key=lambda one: one.row)),
            features_equal=not any(difference.startswith("feature") for difference in differences),
            equal=not differences,
            difference=differences[0] if differences else "",
        )

    def _again(
        self, version: Version, asked: dict[int, dict[str, Any]], rows: Sequence[dict[str, Any]]
    ) -> tuple[list[str], list[Replay]]:
        """Return what of the features is not as it was, and each row's answer then and now, of one version."""
        views = self._features.views(version.views)
        columns, specs = version.signature.requested, [view.spec for view in views]
        logged = [_logged(asked[row["row"]], row) for row in rows]
        moments = [row["decision_us"] for row in rows]
        differences = self._feature_differences(logged, moments, columns, views, version.model)
        return differences, replay(logged, version.id, version.signature, columns, specs, self._runner(version))

    def _erased(self, prediction_id: str, found: dict[str, Any]) -> Replayed:
        model = self._registry.model(None, found["requests"][0]["model"])
        version = next((self._registry.version(row["version"]).number for row in found["scored"]), 0)
        return Replayed(
            prediction_id,
            model.name,
            version,
            "",
            (),
            features_equal=False,
            equal=False,
            difference="erased",
            erased=True,
        )

    def _runner(self, version: Version) -> Callable[[Sequence[Row]], Sequence[float]]:
        route = version_route(version, self._registry.environments.lock_of(version) or "")
        return lambda rows: self._recompute(route, rows)

    def _feature_differences(
        self,
        logged: Sequence[Logged],
        moments: Sequence[int],
        columns: Sequence[Column],
        views: Sequence[FedView],
        model: str,
    ) -> list[str]:
        """Return the features that the sources, as known then, give otherwise than they were logged."""
        if not views:
            return []
        sources = dict(self._features.sources(self._registry.model(None, model).project))
        bound = [
            BoundView(view.spec, sources[view.source], self._log.source(view.source, known_until_us=max(moments)))
            for view in views
        ]
        asked = zip(*decoded(logged, columns), strict=True)
        frame = pl.DataFrame({column.name: pl.Series(values) for column, values in zip(columns, asked, strict=True)})
        again = as_of_join(frame.with_columns(pl.Series(_AT, moments, pl.Int64)), _AT, bound)
        differences = []
        for one, now in zip(logged, again.iter_rows(named=True), strict=True):
            then = msgspec.json.decode(one.features) if one.features else {}
            differences += _differing(one.row, views, then, now)
        return differences


def _differing(row: int, views: Sequence[FedView], then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    for view in views:
        values = then[view.spec.name][0] if view.spec.name in then else [None] * len(view.spec.features)
        for feature, value in zip(view.spec.features, values, strict=True):
            name = f"{view.spec.name}.{feature.name}"
            if now[name] != value:
                found.append(
                    f"feature {name} of row {row}: was {value!r}, the sources as known then give {now[name]!r}"
                )
    return found


def _logged(asked: dict[str, Any], scored: dict[str, Any]) -> Logged:
    return Logged(
        prediction_id=asked["prediction_id"],
        row=asked["row"],
        body=_bytes(asked["body"]),
        features=_bytes(scored["features"]),
        output=scored["output"] if scored.get("vector") is None else Vector(scored["output"], scored["vector"]),
    )


def _bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text or b"")
