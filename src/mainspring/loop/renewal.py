"""A retraining's steps, from the proposal to the release: each is taken up again where a crash has left it."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.checks.service import CheckService
from mainspring.kernel.errors import MainspringError
from mainspring.ledger.ports import Store
from mainspring.loop import plan as planned
from mainspring.loop.retrainings import ACTOR, advance, open_retraining, propose
from mainspring.registry.service import Registry
from mainspring.release.release import Release
from mainspring.release.service import ReleaseService
from mainspring.training.backtesting import BacktestService
from mainspring.training.runs import Run
from mainspring.training.service import TrainingService

_RELEASES_LOOKED_AT = 20  # one that was stored just before a crash is among the newest
_WHY_TRAINED = "retraining would have helped"


class Renewal:
    """Backtests, trains, checks and releases what is to follow a champion."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        training: TrainingService,
        backtests: BacktestService,
        checks: CheckService,
        releases: ReleaseService,
    ) -> None:
        self._store = store
        self._registry = registry
        self._training = training
        self._backtests = backtests
        self._checks = checks
        self._releases = releases

    def propose(self, action: planned.ProposeRetraining) -> None:
        """Write down that a model should be retrained."""
        propose(self._store, action.model, action.trigger, action.reason, project=self._project(action.model))

    def backtest(self, action: planned.Backtest) -> None:
        """Ask the past whether it would have helped."""
        found = self._backtests.run(action.model, origins=action.origins, by=ACTOR, retraining=action.retraining)
        state = "worthwhile" if found.verdict == "helps" else "dropped"
        numbers = {**msgspec.to_builtins(found), "champion": self._registry.version(found.champion).number}
        self._advance(action, state, found.reason, numbers)

    def train(self, action: planned.Train) -> None:
        """Make the candidate."""
        run = self._trained_before(action)
        if run is None:
            recipe = self._training.renewing(action.model)
            run = self._training.train(action.model, recipe, by=ACTOR, reason=_WHY_TRAINED)
        self._advance(action, "trained", f"version {run.number} was made", {"run": run.id}, version=run.version)

    def check(self, action: planned.Check) -> None:
        """Run the declared checks on it."""
        self._checks.run(action.version, by=ACTOR)

    def start(self, action: planned.StartRelease) -> None:
        """Begin its release."""
        release = self._started_before(action) or self._releases.start(
            action.model, action.version, by=ACTOR, reason="its checks passed"
        )
        self._advance(action, "releasing", "its release was started", {"release": release.id}, release=release.id)

    def finish(self, action: planned.Finish) -> None:
        """Close what has come to its end."""
        self._advance(action, action.state, action.reason, {})

    def drop(self, action: planned.Action, error: MainspringError) -> None:
        """Give a retraining up whose step failed: it would fail again each turn."""
        self._advance(action, "dropped", error.sentence(), error.as_dict())

    def _trained_before(self, action: planned.Train) -> Run | None:
        """Return the run that was stored for this retraining just before a crash."""
        with self._store.read() as connection:
            going = open_retraining(connection, action.model)
        for run in self._training.runs(action.model):
            mine = run.status == "done" and run.reason == _WHY_TRAINED
            if mine and going is not None and going.id == action.retraining and run.started_us >= going.proposed_us:
                return run
        return None

    def _started_before(self, action: planned.StartRelease) -> Release | None:
        """Return the release that was stored for this retraining just before a crash."""
        for release in reversed(self._releases.list(action.model, newest=_RELEASES_LOOKED_AT)):
            if release.challenger == action.version:
                return release
        return None

    def _project(self, model: str) -> str:
        return self._registry.model(None, model).project

    def _advance(self, action: Any, state: Any, reason: str, numbers: dict[str, Any], **changed: str | None) -> None:
        project = self._project(action.model)
        advance(self._store, action.retraining, state, reason, numbers, project=project, **changed)
