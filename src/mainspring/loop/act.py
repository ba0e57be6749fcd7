"""Turn the loop: read the facts, plan, act. Each act is a transaction of its own, so a kill loses one turn at most."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

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
from mainspring.loop.facts import Facts
from mainspring.loop.publish import Publisher
from mainspring.loop.reading import FactsReader
from mainspring.loop.retaining import Keeping, kept
from mainspring.loop.retrainings import ACTOR, advance, open_retraining, propose
from mainspring.monitoring.service import MonitoringService
from mainspring.registry.service import Registry
from mainspring.release.release import Release
from mainspring.release.service import ReleaseService
from mainspring.training.backtesting import BacktestService
from mainspring.training.runs import Run
from mainspring.training.service import TrainingService

log = logging.getLogger("mainspring.loop")

_MOST_ROUNDS = 12  # a retraining goes from proposal to release in six
_RELEASES_LOOKED_AT = 20  # one that was stored just before a crash is among the newest
_WHY_TRAINED = "retraining would have helped"


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
        self._retention = retention
        self._erasure = erasure
        self._keeping = keeping or Keeping()
        self._store = store
        self._registry = registry
        self._features = features
        self._ingest = ingest
        self._training = training
        self._backtests = backtests
        self._checks = checks
        self._releases = releases
        self._monitoring = monitoring
        self._publisher = publisher
        self._acknowledged = acknowledged
        self._keep_head = keep_head
        self._clock = clock
        self._facts = FactsReader(
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
            self._facts.publishing(publish_every_us)
        self._turning = threading.Lock()
        self._jobs: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="job")
        self._stopping = False
        self._behind = False
        self._stuck_since_s: float | None = None  # since when no records could be taken in, by the machine's clock

    def recover(self) -> None:
        """Make good what a crash left undone: rows not yet fed to the latest store, a routing not yet published."""
        with self._turning:
            self._features.catch_up()
            self._take_in()
            self._erasure.note_again()
            self._erase_pending()
            self._publisher.publish()

    def ingest(self) -> int:
        """Take in what gateways have spooled, and feed pushed rows to the views; return how many records there were."""
        with self._turning:
            return self._take_in()

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
                records = self._take_in()
                self._erase_pending()
            except Exception:
                self._watch()
                raise
            now_us = self._clock.now_us()
            done: list[str] = []
            for _ in range(_MOST_ROUNDS):
                fresh = [action for action in planned.plan(self._read(), now_us) if _name(action) not in done]
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

    def _retain(self, action: planned.Retain) -> None:
        self._facts.retained(self._clock.now_us())
        self._retain_now(dry_run=False, by=RETAINED_BY)

    def publish_log(self) -> object:
        """Bring the tables that other engines read up to the log now."""
        if self._publish_log is None:
            remedy = "set publish = 'delta://' in settings.toml"
            raise Conflict("is published nowhere", field="log", remedy=remedy)
        with self._turning:
            return self._publish_log()

    def _publish_now(self, action: planned.PublishLog) -> None:
        self._facts.published(self._clock.now_us())
        if self._publish_log is not None:
            self._publish_log()

    def erase(self, subject: str, *, by: str, reason: str) -> Erased:
        """Erase a subject, and return what is left of it: nothing, unless a file says otherwise."""
        with self._turning:
            order = self._erasure.note(subject, by=by, reason=reason)
            self._take_in()
            return self._erasure.carry_out(order)

    def erase_again(self) -> list[Erased]:
        """Erase whom a restored home holds though they were erased after its backup was made."""
        with self._turning:
            self._features.catch_up()
            self._take_in()
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
        self._stopping = True

    def close(self) -> None:
        """Wait for the jobs, which were told to end: nothing is written once the home is let go."""
        self.stop_jobs()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _watch(self) -> None:
        """Look at the monitors alone: nothing is decided while records cannot be taken in, but alarms must ring."""
        for action in planned.plan(self._read(), self._clock.now_us()):
            if isinstance(action, planned.EvaluateMonitors):
                self._guarded(action)

    def _take_in(self) -> int:
        try:
            records = self._take_all_in()
        except BaseException:
            self._stuck_since_s = self._stuck_since_s or time.monotonic()
            raise
        self._stuck_since_s = None
        return records

    def _take_all_in(self) -> int:
        if self._behind:
            self._features.catch_up()
            self._behind = False
        records = 0
        while True:
            with self._storing():
                taken = self._ingest.run()
                if taken.sources:
                    self._features.feed(taken.sources)
            records += taken.records
            if taken.caught_up or not taken.records:
                return records

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Remember, if this fails, that rows may have been stored that were not fed."""
        try:
            yield
        except BaseException:
            self._behind = True
            raise

    def _read(self) -> Facts:
        busy = {model for model, job in self._jobs.items() if not job.done()}
        return self._facts.read(busy)

    def _act(self, action: planned.Action, *, wait: bool) -> None:
        if self._stopping:
            return
        if isinstance(action, (planned.Backtest, planned.Train, planned.Check)) and not wait:
            self._jobs[action.model] = self._pool.submit(self._guarded, action)
        else:
            self._guarded(action)

    def _guarded(self, action: planned.Action) -> None:
        try:
            _ACTS[type(action)](self, action)
        except MainspringError as error:
            log.warning("%s: %s", _name(action), error)
            self._drop(action, error)
        except Exception as error:  # an error of ours must end this retraining, not be tried again each turn
            log.exception("%s", _name(action))
            self._drop(action, WorkerFailed(f"{type(error).__name__}: {error}", remedy="see the log of control"))

    def _drop(self, action: planned.Action, error: MainspringError) -> None:
        if getattr(action, "retraining", None) is not None and not self._stopping:
            self._advance(action, "dropped", error.sentence(), error.as_dict())

    def _project(self, model: str) -> str:
        return self._registry.model(None, model).project

    def _step_release(self, action: planned.StepRelease) -> None:
        routing = self._publisher.publish()
        said = self._acknowledged()
        self._releases.step(
            action.release, acknowledged_generation=said.generation, routing=routing, disabled=said.disabled
        )

    def _read_sources(self, action: planned.ReadSources) -> None:
        self._facts.sources_read(action.project, self._clock.now_us())
        with self._storing():
            read = self._features.ingest(action.project, self._clock.now_us(), on_fault=_tell)
            self._features.feed(read)

    def _evaluate(self, action: planned.EvaluateMonitors) -> None:
        lag_s = 0.0 if self._stuck_since_s is None else time.monotonic() - self._stuck_since_s
        self._monitoring.evaluate(action.model, lag_s=lag_s)
        self._facts.evaluated(action.model, self._clock.now_us())

    def _propose(self, action: planned.ProposeRetraining) -> None:
        propose(self._store, action.model, action.trigger, action.reason, project=self._project(action.model))

    def _backtest(self, action: planned.Backtest) -> None:
        found = self._backtests.run(action.model, origins=action.origins, by=ACTOR, retraining=action.retraining)
        state = "worthwhile" if found.verdict == "helps" else "dropped"
        numbers = {**msgspec.to_builtins(found), "champion": self._registry.version(found.champion).number}
        self._advance(action, state, found.reason, numbers)

    def _train(self, action: planned.Train) -> None:
        run = self._trained_before(action)
        if run is None:
            recipe = self._training.renewing(action.model)
            run = self._training.train(action.model, recipe, by=ACTOR, reason=_WHY_TRAINED)
        self._advance(action, "trained", f"version {run.number} was made", {"run": run.id}, version=run.version)

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

    def _check(self, action: planned.Check) -> None:
        self._checks.run(action.version, by=ACTOR)

    def _start_release(self, action: planned.StartRelease) -> None:
        release = self._started_before(action) or self._releases.start(
            action.model, action.version, by=ACTOR, reason="its checks passed"
        )
        self._advance(action, "releasing", "its release was started", {"release": release.id}, release=release.id)

    def _finish(self, action: planned.Finish) -> None:
        self._advance(action, action.state, action.reason, {})

    def _advance(self, action: Any, state: Any, reason: str, numbers: dict[str, Any], **changed: str | None) -> None:
        project = self._project(action.model)
        advance(self._store, action.retraining, state, reason, numbers, project=project, **changed)


_ACTS: dict[type[Any], Callable[[Loop, Any], None]] = {
    planned.Retain: Loop._retain,
    planned.PublishLog: Loop._publish_now,
    planned.ReadSources: Loop._read_sources,
    planned.StepRelease: Loop._step_release,
    planned.EvaluateMonitors: Loop._evaluate,
    planned.ProposeRetraining: Loop._propose,
    planned.Backtest: Loop._backtest,
    planned.Train: Loop._train,
    planned.Check: Loop._check,
    planned.StartRelease: Loop._start_release,
    planned.Finish: Loop._finish,
}


def _tell(fault: MainspringError) -> None:
    log.warning("a source was not read: %s", fault)


def _name(action: planned.Action) -> str:
    for field in ("retraining", "release", "model", "project"):
        subject = getattr(action, field, None)
        if subject is not None:
            return f"{type(action).__name__} {subject}"
    return type(action).__name__
