"""What stands now, as the plan looks at it, and when each thing was last seen to."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mainspring.checks.service import CheckService
from mainspring.ledger.ports import Store
from mainspring.loop.facts import Facts, ModelFacts, ProjectFacts, Retraining, RetrainRule
from mainspring.loop.retrainings import last_proposed_us, open_retraining
from mainspring.monitoring.service import MonitoringService
from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.release.service import ReleaseService
from mainspring.training.spec import Retrain


class Survey:
    """Reads every model's facts from the services."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        releases: ReleaseService,
        checks: CheckService,
        monitoring: MonitoringService,
        read_every_us: int,
        watch_every_us: int,
    ) -> None:
        self._store = store
        self._registry = registry
        self._releases = releases
        self._checks = checks
        self._monitoring = monitoring
        self._evaluated_us: dict[str, int] = {}
        self._read_us: dict[str, int] = {}
        self._retained_us = 0
        self._published_us: int | None = None
        self._publish_every_us = 0
        self._read_every_us = read_every_us
        self._watch_every_us = watch_every_us

    def evaluated(self, model: str, at_us: int) -> None:
        """Remember when a model's monitors were looked at; forgotten at a restart, when they are looked at again."""
        self._evaluated_us[model] = at_us

    def sources_read(self, project: str, at_us: int) -> None:
        """Remember when a project's files and queries were read."""
        self._read_us[project] = at_us

    def retained(self, at_us: int) -> None:
        """Remember when rows were let go last."""
        self._retained_us = at_us

    def publishing(self, every_us: int) -> None:
        """Plan from now on to publish the log so often."""
        self._published_us, self._publish_every_us = 0, every_us

    def published(self, at_us: int) -> None:
        """Remember when the log was published last."""
        self._published_us = at_us

    def read(self, busy: Collection[str] = ()) -> Facts:
        """Return what stands now. ``busy`` are models with a job under way."""
        return Facts(
            models=tuple(self._model(row, row.id in busy) for row in self._registry.models()),
            projects=tuple(ProjectFacts(row.id, self._read_us.get(row.id)) for row in self._registry.projects()),
            read_every_us=self._read_every_us,
            evaluate_every_us=self._watch_every_us,
            retained_us=self._retained_us,
            published_us=self._published_us,
            publish_every_us=self._publish_every_us,
        )

    def _model(self, row: ModelRow, busy: bool) -> ModelFacts:
        champion = self._registry.alias(row.id, CHAMPION)
        with self._store.read() as connection:
            going = open_retraining(connection, row.id)
            proposed_us = last_proposed_us(connection, row.id)
        running = tuple(release.id for release in self._releases.running(row.id))
        return ModelFacts(
            model=row.id,
            name=row.name,
            project=row.project,
            champion=champion.id if champion else None,
            champion_since_us=self._registry.latest_alias_us(row.id, CHAMPION),
            rule=_rule(row),
            retraining=going,
            last_proposed_us=proposed_us,
            alarms=tuple((alarm.monitor, alarm.opened_us) for alarm in self._monitoring.alarms(model=row.id)),
            running=running,
            checked=self._checked(going),
            release_over=bool(going and going.release and going.release not in running),
            evaluated_us=self._evaluated_us.get(row.id),
            busy=busy,
        )

    def _checked(self, going: Retraining | None) -> bool | None:
        if going is None or going.version is None or not self._checks.results(going.version):
            return None
        return self._checks.passed(going.version)


def _rule(row: ModelRow) -> RetrainRule | None:
    if not row.retrain:
        return None
    declared = msgspec.json.decode(row.retrain, type=Retrain)
    return RetrainRule(declared.every_us, tuple(declared.on), declared.cooldown_us, declared.backtest_origins)
