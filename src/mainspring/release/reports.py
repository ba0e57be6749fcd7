"""What people look at before and beside a release's decision: where two versions differ, rows of both, the held out."""

from __future__ import annotations

import builtins

import polars as pl

from mainspring.kernel.clock import Clock
from mainspring.kernel.duration import DAY_US
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import digest_of
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry
from mainspring.release.comparison import Sample, Slice, both, disagreement, sample
from mainspring.release.evidence.frames import ROW
from mainspring.release.feedback import Feedback, feedback
from mainspring.release.outlook import UNDECLARED_HORIZON_US
from mainspring.release.release import Release
from mainspring.serving.draw import HELD_OUT

MOST_ROWS = 200_000


class ReleaseReports:
    """Reads the log for reports on releases; decides nothing."""

    def __init__(self, *, registry: Registry, log: PredictionLog, clock: Clock) -> None:
        self._registry = registry
        self._log = log
        self._clock = clock

    def disagreement(
        self, release: Release, by: builtins.list[str] | None = None, *, challenger: str | None = None
    ) -> builtins.list[Slice]:
        """Return where the answers of a release's versions to the same rows differ, by the columns of a request."""
        return disagreement(self._both(release, challenger), by or [])

    def sample(self, release: Release, rows: int, *, challenger: str | None = None) -> builtins.list[Sample]:
        """Return rows that both versions answered, with outcomes known by now, the largest differences first."""
        met = self._both(release, challenger)
        labels = self._log.outcomes(release.model, self._clock.now_us()).select("entity", "value", "label")
        return sample(met, labels, rows, int(digest_of([release.id, rows])[:12], 16))

    def feedback(
        self, model_id: str, *, days: int = 90, low: float | None = None, high: float | None = None
    ) -> Feedback:
        """Compare the outcomes of units that are held out for good with those of the rest."""
        model = self._registry.model(None, model_id)
        spec = model.spec
        if spec is not None and spec.outcome.kind == "class":
            remedy = "compare shares of a class in the prediction log"
            raise InvalidInput("is a class, which has no mean", field="outcome", value=spec.name, remedy=remedy)
        amounts = spec is not None and spec.outcome.kind == "float"
        if amounts and (low is None or high is None):
            raise InvalidInput(
                "needs bounds, for its mean to be tested",
                field="outcome",
                remedy="give --low and --high",
            )
        horizon_us = spec.outcome.matures_after_us if spec is not None else UNDECLARED_HORIZON_US
        now_us = self._clock.now_us()
        since_us, until_us = now_us - days * DAY_US, now_us - horizon_us
        drawn = self._log.assignments(model_id, since_us=since_us, until_us=until_us)
        asked = self._log.requests(model_id, since_us=since_us, until_us=until_us).select(*ROW, "entity", "unit")
        held = drawn.filter(pl.col("release") == HELD_OUT)
        rows = drawn.join(asked, on=ROW, how="inner").with_columns(held=pl.col("release") == HELD_OUT)
        rows = rows.sort("decision_us").join_asof(
            held.sort("decision_us").select("decision_us", share="propensity"), on="decision_us"
        )
        rows = rows.filter(pl.col("share").is_not_null())  # before somebody was held out there is nothing to compare
        labels = self._log.outcomes(model_id, now_us).select("entity", "value", "known_us")
        labelled = rows.select(*ROW, "entity").join(labels, on="entity", how="inner").select(*ROW, "value", "known_us")
        silent = spec is not None and spec.outcome.if_absent == "negative"
        bounds = (0.0 if low is None else low, 1.0 if high is None else high)
        return feedback(rows, labelled, horizon_us, bounds, absent_is_negative=silent)

    def _both(self, release: Release, challenger: str | None) -> pl.DataFrame:
        until_us = (release.ended_us or self._clock.now_us()) + 1
        theirs = challenger or release.challenger
        versions = [release.champion, theirs]
        scored = self._log.scored(release.model, versions, since_us=release.started_us, until_us=until_us)
        asked = self._log.requests(release.model, since_us=release.started_us, until_us=until_us)
        return both(scored, asked, release.champion, theirs).tail(MOST_ROWS)
