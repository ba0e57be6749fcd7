"""Turn the loop: read the facts, plan, act. Each act is a transaction of its own, so a kill loses one turn at most."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from mainspring.checks.service import CheckService
from mainspring.features.service import FeatureService
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, MainspringError, WorkerFailed
from mainspring.ledger.ports import Store
from mainspring.log.ingest import Ingest
from mainspring.log.retention import ACTOR as RETAINED_BY
from mainspring.log.retention import Retained, Retention
from mainspring.loop import plan as planned
from mainspring.loop.erased import Erased
from mainspring.loop.erasing import Erasure
from mainspring.loop.intake import Intake
from mainspring.loop.jobs import LoopJobs
from mainspring.loop.publish import Publisher
from mainspring.loop.renewal import Renewal
from mainspring.loop.retaining import Keeping, kept
from mainspring.loop.survey import Survey
from mainspring.monitoring.service import MonitoringService
from mainspring.registry.service import Registry
from mainspring.release.service import ReleaseService
from mainspring.training.backtesting import BacktestService
from mainspring.training.service import TrainingService

log = logging.getLogger("mainspring.loop")

_MOST_ROUNDS = 12  # a retraining goes from proposal to release in six


class Acknowledged(msgspec.Struct, frozen=True):
    """What live gateways say: the oldest generation that one answers by, and versions they took out, with why."""

    generation: int | None
    disabled: dict[str, str] = {}


class Turn(msgspec.Struct, frozen=True):
    """What one turn of the loop did."""

    at_us: int
    records: int
    actions: tuple[str, ...]
    generation: int


class Loop:
    """The one driver of change. ``step`` may be called at any time, by a thread or by the driver of a simulation."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        features: FeatureService,
        ingest: Ingest,
        training: TrainingService,
        backtests: BacktestService,
        checks: CheckService,
        releases: ReleaseService,
        monitoring: MonitoringService,
        publisher: Publisher,
        acknowledged: Callable[[], Acknowledged],
        keep_head: Callable[[], None] = lambda: None,
        clock: Clock,
        read_every_us: int,
        watch_every_us: int = 300_000_000,
        retention: Retention,
        erasure: Erasure,
        publish_log: Callable[[], object] | None = None,
        publish_every_us: int = 60_000_000,
        keeping: Keeping | None = None,
    ) -> None:
        self._intake = Intake(features, ingest)
        self._renewal = Renewal(
            store=store, registry=registry, training=training, backtests=backtests, checks=checks, releases=releases
        )
        self._retention = retention
        self._erasure = erasure
        self._keeping = keeping or Keeping()
        self._registry = registry
        self._releases = releases
        self._monitoring = monitoring
        self._publisher = publisher
        self._acknowledged = acknowledged
        self._keep_head = keep_head
        self._clock = clock
        self._survey = Survey(
            store=store,
            registry=registry,
            releases=releases,
            checks=checks,
            monitoring=monitoring,
            read_every_us=read_every_us,
            watch_every_us=watch_every_us,
        )
        self._publish_log = publish_log
        if publish_log is not None:
            self._survey.publishing(publish_every_us)
        self._turning = threading.Lock()
        self._jobs = LoopJobs()

    def recover(self) -> None:
        """Make good what a crash left undone: rows not yet fed to the latest store, a routing not yet published."""
        with self._turning:
            self._intake.catch_up()
            self._intake.records()
            self._erasure.note_again()
            self._erase_pending()
            self._publisher.publish()

    def ingest(self) -> int:
        """Take in what gateways have spooled, and feed pushed rows to the views; return how many records there were."""
        with self._turning:
            return self._intake.records()

    def step(self, *, wait: bool = True) -> Turn:
        """Take in new records, then plan and act until nothing more is due. With ``wait`` jobs are run to their end."""
        try:
            return self._turn(wait=wait)
        finally:
            self._monitoring.deliver()
            self._tell_head()

    def _tell_head(self) -> None:
        try:
            self._keep_head()
        except MainspringError as error:  # what was done is done: the next turn tries again
            log.warning("the ledger's head was not kept: %s", error)

    def _turn(self, *, wait: bool) -> Turn:
        with self._turning:
            try:
                records = self._intake.records()
                self._erase_pending()
            except Exception:
                self._watch()
                raise
            now_us = self._clock.now_us()
            done: list[str] = []
            for _ in range(_MOST_ROUNDS):
                fresh = [
                    action
                    for action in planned.plan(self._survey.read(self._jobs.busy), now_us)
                    if _name(action) not in done
                ]
                if not fresh:
                    break
                for action in fresh:
                    done.append(_name(action))
                    self._act(action, wait=wait)
            return Turn(now_us, records, tuple(done), self._publisher.publish().generation)

    def retain(self, *, dry_run: bool = False, by: str = RETAINED_BY, reason: str = "") -> Retained:
        """Let go what is kept no longer, or only say what that would be."""
        with self._turning:
            return self._retain_now(dry_run=dry_run, by=by, reason=reason)

    def _retain_now(self, *, dry_run: bool, by: str, reason: str = "") -> Retained:
        now_us = self._clock.now_us()
        keep = {
            row.id: kept(row, self._releases.running(row.id), self._keeping, now_us) for row in self._registry.models()
        }
        return self._retention.run(keep, now_us, dry_run=dry_run, by=by, reason=reason)

    def publish_log(self) -> object:
        """Bring the tables that other engines read up to the log now."""
        if self._publish_log is None:
            remedy = "set publish = 'delta://' in settings.toml"
            raise Conflict("is published nowhere", field="log", remedy=remedy)
        with self._turning:
            return self._publish_log()

    def erase(self, subject: str, *, by: str, reason: str) -> Erased:
        """Erase a subject, and return what is left of it: nothing, unless a file says otherwise."""
        with self._turning:
            order = self._erasure.note(subject, by=by, reason=reason)
            self._intake.records()
            return self._erasure.carry_out(order)

    def erase_again(self) -> list[Erased]:
        """Erase whom a restored home holds though they were erased after its backup was made."""
        with self._turning:
            self._intake.catch_up()
            self._intake.records()
            self._erasure.note_again()
            return self._erase_pending()

    def _erase_pending(self) -> list[Erased]:
        """Go on with what a crash or a job that still reads has left; what fails is tried again the next turn."""
        done = []
        for order in self._erasure.pending():
            try:
                done.append(self._erasure.carry_out(order))
            except MainspringError as error:
                log.warning("erasure %s: %s", order.id, error)
        return done

    def stop_jobs(self) -> None:
        """Start no more jobs, and let those that are ended now be planned again after the next start."""
        self._jobs.stopping = True

    def close(self) -> None:
        """Wait for the jobs, which were told to end: nothing is written once the home is let go."""
        self._jobs.close()

    def _watch(self) -> None:
        """Look at the monitors alone: nothing is decided while records cannot be taken in, but alarms must ring."""
        for action in planned.plan(self._survey.read(self._jobs.busy), self._clock.now_us()):
            if isinstance(action, planned.EvaluateMonitors):
                self._guarded(action)

    def _act(self, action: planned.Action, *, wait: bool) -> None:
        if self._jobs.stopping:
            return
        if isinstance(action, (planned.Backtest, planned.Train, planned.Check)) and not wait:
            self._jobs.start(action.model, partial(self._guarded, action))
        else:
            self._guarded(action)

    def _guarded(self, action: planned.Action) -> None:
        try:
            self._carry_out(action)
        except MainspringError as error:
            log.warning("%s: %s", _name(action), error)
            self._drop(action, error)
        except Exception as error:  # an error of ours must end this retraining, not be tried again each turn
            log.exception("%s", _name(action))
            self._drop(action, WorkerFailed(f"{type(error).__name__}: {error}", remedy="see the log of control"))

    def _drop(self, action: planned.Action, error: MainspringError) -> None:
        if getattr(action, "retraining", None) is not None and not self._jobs.stopping:
            self._renewal.drop(action, error)

    def _carry_out(self, action: planned.Action) -> None:
        match action:
            case planned.StepRelease():
                self._step_release(action)
            case planned.EvaluateMonitors():
                self._evaluate(action)
            case planned.ReadSources():
                self._survey.sources_read(action.project, self._clock.now_us())
                self._intake.sources(action.project, self._clock.now_us())
            case planned.Retain():
                self._survey.retained(self._clock.now_us())
                self._retain_now(dry_run=False, by=RETAINED_BY)
            case planned.PublishLog():
                self._survey.published(self._clock.now_us())
                if self._publish_log is not None:
                    self._publish_log()
            case _:
                self._renew(action)

    def _renew(self, action: planned.Renewing) -> None:
        match action:
            case planned.ProposeRetraining():
                self._renewal.propose(action)
            case planned.Backtest():
                self._renewal.backtest(action)
            case planned.Train():
                self._renewal.train(action)
            case planned.Check():
                self._renewal.check(action)
            case planned.StartRelease():
                self._renewal.start(action)
            case planned.Finish():
                self._renewal.finish(action)

    def _step_release(self, action: planned.StepRelease) -> None:
        routing = self._publisher.publish()
        said = self._acknowledged()
        self._releases.step(
            action.release, acknowledged_generation=said.generation, routing=routing, disabled=said.disabled
        )

    def _evaluate(self, action: planned.EvaluateMonitors) -> None:
        self._monitoring.evaluate(action.model, lag_s=self._intake.lag_s)
        self._survey.evaluated(action.model, self._clock.now_us())


def _name(action: planned.Action) -> str:
    for field in ("retraining", "release", "model", "project"):
        subject = getattr(action, field, None)
        if subject is not None:
            return f"{type(action).__name__} {subject}"
    return type(action).__name__
