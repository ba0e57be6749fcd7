"""Answers that a version never gave, since nobody asked it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl

from mainspring.features.join import BoundView
from mainspring.features.service import FeatureService
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry
from mainspring.registry.version import Version
from mainspring.release.rehearsal.cast import Cast
from mainspring.release.rehearsal.deck import Bools
from mainspring.release.rehearsal.gaps import Gap
from mainspring.release.rehearsal.inputs import inputs
from mainspring.release.rehearsal.learnt import learnt, unfitted
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute, version_route


class Answering(Protocol):
    """Runs a version in another process. Satisfied by local jobs."""

    def answer(self, version: VersionRoute, rows: Sequence[Row]) -> Sequence[float | None]:
        """Return what a version says of each row; None where it fails."""
        ...


class MissingAnswers:
    """Asks versions what they would have said of logged rows."""

    def __init__(
        self, *, registry: Registry, log: PredictionLog, features: FeatureService, answering: Answering
    ) -> None:
        self._registry = registry
        self._log = log
        self._features = features
        self._answering = answering

    def to(self, rows: pl.DataFrame, version: Version, cast: Cast) -> tuple[list[float | Gap | None], Bools]:
        """Return what a version says of rows (n,), and which of them (n,) it may have been fitted on.

        Of those it says what its recipe said when it was fitted without them.
        """
        held_out = self._registry.held_out(version)
        came = self._log.outcomes(version.model, version.lineage.trained_until_us)  # a later revision hides no earlier
        fitted = learnt(rows, came, version.lineage, held_out, _silence_us(cast))
        found: list[float | Gap | None] = [None] * rows.height
        if len(own := np.flatnonzero(fitted).tolist()):
            for place, kept in zip(own, unfitted(rows[own], held_out), strict=True):
                found[place] = Gap.LEARNT if kept is None else kept
        if len(others := np.flatnonzero(~fitted).tolist()):
            for place, said in zip(others, self._asked(rows[others], version, cast), strict=True):
                found[place] = said
        return found, fitted

    def _asked(self, rows: pl.DataFrame, version: Version, cast: Cast) -> list[float | Gap | None]:
        model = cast.model
        columns = cast.champion.signature.requested or (model.spec.columns if model.spec else ())
        until_us = int(rows["decision_us"].to_numpy().max())
        specs = dict(self._features.sources(model.project))
        views = [
            BoundView(view.spec, specs[view.source], self._log.source(view.source, known_until_us=until_us))
            for view in self._features.views(version.views)
        ]
        seen = inputs(rows["body"].to_list(), rows["decision_us"].to_list(), version.signature, columns, views)
        route = version_route(version, self._registry.environments.lock_of(version) or "")
        said = iter(self._answering.answer(route, [row for row in seen if row is not None]))
        return [Gap.UNREAD if row is None else next(said) for row in seen]


def _silence_us(cast: Cast) -> int | None:
    """Return after how long no outcome is one, where it is."""
    outcome = cast.model.spec.outcome if cast.model.spec is not None else None
    return outcome.matures_after_us if outcome is not None and outcome.if_absent == "negative" else None
