"""Replay: recompute a logged prediction from model, code, environment, and features as known then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import polars as pl

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.service import FeatureService, FedView
from mainspring.kernel.errors import NotFound
from mainspring.kernel.values import Vector
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry
from mainspring.registry.version import Version
from mainspring.serving.ports import Row
from mainspring.serving.replay import Logged, Replay, replay
from mainspring.serving.routing import VersionRoute, version_route

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
        version = self._registry.version(scored[0]["version"])
        answers = [row for row in scored if row["version"] == version.id]
        views = self._features.views(version.views)
        differences = [
            difference
            for row in answers
            if (difference := self._feature_difference(asked[row["row"]], row, views, version.model))
        ]
        logged = [_logged(asked[row["row"]], row) for row in answers]
        columns, specs = version.signature.requested, [view.spec for view in views]
        replays = replay(logged, version.id, version.signature, columns, specs, self._runner(version))
        differences += [f"row {one.row}: said {one.then!r}, now {one.again!r}" for one in replays if not one.equal]
        return Replayed(
            id=prediction_id,
            model=self._registry.model(None, version.model).name,
            version=version.number,
            role=answers[0]["role"],
            rows=tuple(replays),
            features_equal=not any(difference.startswith("feature") for difference in differences),
            equal=not differences,
            difference=differences[0] if differences else "",
        )

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

    def _feature_difference(
        self, asked: dict[str, Any], scored: dict[str, Any], views: Sequence[FedView], model: str
    ) -> str:
        """Return the first feature that the sources, as known then, give otherwise than it was logged."""
        if not views:
            return ""
        then = msgspec.json.decode(scored["features"])
        project = self._registry.model(None, model).project
        sources = dict(self._features.sources(project))
        at_us = scored["decision_us"]
        row = pl.DataFrame([{**msgspec.json.decode(asked["body"]), "at_us": at_us}], infer_schema_length=None)
        bound = [
            BoundView(view.spec, sources[view.source], self._log.source(view.source, known_until_us=at_us))
            for view in views
        ]
        again = as_of_join(row, "at_us", bound).row(0, named=True)
        for view in views:
            for feature, value in zip(view.spec.features, then[view.spec.name][0], strict=True):
                name = f"{view.spec.name}.{feature.name}"
                if again[name] != value:
                    return f"feature {name}: was {value!r}, the sources as known then give {again[name]!r}"
        return ""


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
