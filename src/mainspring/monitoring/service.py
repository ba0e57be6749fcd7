"""Monitoring: read what is new in the log, step each monitor's pure state, open and close alarms, tell people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from mainspring.checks.credit import credited
from mainspring.features.spec import ViewSpec
from mainspring.features.tables import views
from mainspring.kernel.classes import class_texts
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.duration import DAY_US, HOUR_US
from mainspring.kernel.errors import MainspringError, Refused
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.monitoring import drift, health, quality, rows, silence
from mainspring.monitoring.alarms import (
    Alarm,
    acknowledge_alarm,
    changes,
    close_alarm,
    enqueue,
    find_alarms,
    notice_of,
    open_alarm,
)
from mainspring.monitoring.finding import Finding, Point
from mainspring.monitoring.ports import Notice, Notifier
from mainspring.monitoring.spec import Drift, Health, Monitor, Quality, Silence, decode_monitors, kind_of
from mainspring.monitoring.tables import monitor_states, notices
from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import ModelRow, Registry

State = drift.DriftState | quality.QualityState | health.HealthState | silence.SilenceState
Updates = dict[str, tuple[Monitor, State, list[Finding]]]
STATES: dict[str, type[State]] = {
    "drift": drift.DriftState,
    "quality": quality.QualityState,
    "health": health.HealthState,
    "silence": silence.SilenceState,
}
GRACE_US = 300_000_000  # rows of a window are still on their way from the spool for a moment
LOOK_BACK_US = 60 * DAY_US  # how far a new champion's own shadow rows are looked for
MOST_WINDOWS = 48  # read at once while catching up
MOST_ATTEMPTS = 10
DELIVERING_S = 2.0


class MonitorState(msgspec.Struct, frozen=True):
    """One monitor as a page shows it. ``series`` are charts by subject; ``limit`` is the evidence that alarms."""

    monitor: str
    spec: dict[str, Any]
    findings: tuple[Finding, ...]
    series: dict[str, tuple[Point, ...]]
    limit: float | None
    updated_us: int | None


class MonitoringService:
    """Watches models. ``evaluate`` may be called at any time: only windows that newly closed cost anything."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        log: PredictionLog,
        notifiers: Sequence[Notifier] = (),
        clock: Clock,
    ) -> None:
        self._store = store
        self._registry = registry
        self._log = log
        self._notifiers = {notifier.name: notifier for notifier in notifiers}
        self._clock = clock
        self._not_before_s: dict[tuple[str, str], float] = {}

    def evaluate(self, model_id: str, *, lag_s: float | None = None, by: str = "monitoring") -> list[Finding]:
        """Bring every monitor of the model up to now, open and close alarms, and return what each found.

        ``lag_s`` is how long rows wait to be ingested, where the caller knows it.
        """
        model = self._registry.model(None, model_id)
        now_us = self._clock.now_us()
        updates: Updates = {}
        for monitor in decode_monitors(model.monitors):
            before = self._load(model.id, monitor)
            after, findings = self._advance(model, monitor, before, now_us, lag_s)
            updates[kind_of(monitor)] = (monitor, after, findings)
        self._save(model, updates, now_us, by)
        return [finding for _, _, findings in updates.values() for finding in findings]

    def alarms(
        self, project: str | None = None, open_only: bool = True, *, model: str | None = None, limit: int = 500
    ) -> list[Alarm]:
        """Return alarms, the newest first."""
        with self._store.read() as connection:
            return find_alarms(connection, project=project, model=model, open_only=open_only, limit=limit)

    def acknowledge(self, alarm_id: str, *, by: str, reason: str) -> Alarm:
        """Note in the ledger that a person has seen the alarm, and return it."""
        with self._store.begin(by) as tx:
            acknowledge_alarm(tx, alarm_id, reason)
        return next(alarm for alarm in self.alarms(open_only=False, limit=100_000) if alarm.id == alarm_id)

    def state(self, model_id: str) -> list[MonitorState]:
        """Return what each monitor of the model last found, with its charts; it computes nothing anew."""
        model = self._registry.model(None, model_id)
        monitors = self._budget_sharers(model)
        shown = []
        with self._store.read() as connection:
            for monitor in decode_monitors(model.monitors):
                kind = kind_of(monitor)
                row = connection.execute(select(monitor_states).where(_is(model.id, kind))).first()
                findings = msgspec.json.decode(row.findings, type=tuple[Finding, ...]) if row else ()
                state = msgspec.json.decode(row.body, type=STATES[kind]) if row else STATES[kind]()
                updated_us = row.updated_us if row else None
                spec = msgspec.to_builtins(monitor)
                limit = _limit(monitor, monitors)
                shown.append(MonitorState(kind, spec, findings, _series(state), limit, updated_us))
        return shown

    def deliver(self) -> int:
        """Send notices that wait, each at most once a back-off, and return how many arrived. May block for seconds.

        Where that takes long the others wait for the next call: whoever calls has more to do.
        """
        delivered, ends_s = 0, time.monotonic() + DELIVERING_S
        for notice, name, attempts in self._waiting():
            if time.monotonic() >= ends_s:
                break
            if time.monotonic() >= self._not_before_s.get((notice.id, name), 0.0):
                delivered += self._send(notice, name, attempts)
        return delivered

    def _advance(
        self, model: ModelRow, monitor: Monitor, state: State, now_us: int, lag_s: float | None
    ) -> tuple[State, list[Finding]]:
        if isinstance(monitor, Drift) and isinstance(state, drift.DriftState):
            monitors = self._budget_sharers(model)
            state = self._advance_drift(model, monitor, state, now_us, monitors)
            return state, [drift.find(state, monitor, at_us=now_us, monitors=monitors)]
        if isinstance(monitor, Quality) and isinstance(state, quality.QualityState):
            state = self._advance_quality(model, monitor, state, now_us)
            return state, [quality.find(state, monitor, at_us=now_us)]
        if isinstance(monitor, Health) and isinstance(state, health.HealthState):
            state = self._advance_health(model, monitor, state, now_us)
            return state, health.find(state, monitor, lag_s=lag_s, at_us=now_us)
        if isinstance(monitor, Silence) and isinstance(state, silence.SilenceState):
            return self._advance_silence(model, monitor, state, now_us)
        raise AssertionError("a monitor with the state of another kind")

    def _advance_drift(
        self, model: ModelRow, spec: Drift, state: drift.DriftState, now_us: int, monitors: int
    ) -> drift.DriftState:
        span_us = _us(spec.window_span)
        names = None
        for start_us, until_us in self._due(model.id, state.through_us, now_us - GRACE_US, span_us):
            names = self._view_names(model.project) if names is None else names
            declared = model.spec
            columns = () if declared is None else [c for c in declared.columns if c.name != declared.entity]
            values = rows.inputs(self._log, model.id, columns, start_us, until_us)
            values.update(rows.looked_up(self._log, model.id, names, start_us, until_us))
            if declared is not None and declared.task == "multiclass":
                values.update(rows.answered(self._log, model.id, start_us, until_us))
            seed = f"{model.project_name}/{model.name}"
            state = drift.step(state, spec, values, start_us=start_us, until_us=until_us, seed=seed, monitors=monitors)
        return state

    def _advance_quality(
        self, model: ModelRow, spec: Quality, state: quality.QualityState, now_us: int
    ) -> quality.QualityState:
        champion = self._registry.alias(model.id, CHAMPION)
        if champion is None:
            return quality.QualityState()
        anchor = self._registry.alias(model.id, "anchor")
        anchor_id = anchor.id if anchor is not None and anchor.id != champion.id else ""
        span_us = _us(spec.window_span)
        if state.version != champion.id:
            known = class_texts(champion.signature.classes)
            state = quality.QualityState(version=champion.id, number=champion.number, known=known)
            state = msgspec.structs.replace(state, through_us=self._look_back(model.id, span_us, now_us))
        if state.anchor != anchor_id:
            state = quality.with_anchor(state, anchor_id)
        matures_us = model.spec.outcome.matures_after_us if model.spec else 0
        due = list(self._due(model.id, state.through_us, now_us - matures_us - GRACE_US, span_us))
        if not due:
            return state
        versions = [id for id in (champion.id, anchor_id) if id]
        labelled = self._log.labelled(
            model.id, versions, since_us=due[0][0], until_us=due[-1][1], known_until_us=now_us
        )
        labelled = credited(labelled, spec.metric)
        negative = model.spec is not None and model.spec.outcome.if_absent == "negative"
        for start_us, until_us in due:
            inside = (pl.col("decision_us") >= start_us) & (pl.col("decision_us") < until_us)
            window = rows.matured(labelled.filter(inside), champion.id, anchor_id, absent_is_negative=negative)
            state = quality.step(state, spec, window, until_us=until_us)
        return state

    def _advance_health(
        self, model: ModelRow, spec: Health, state: health.HealthState, now_us: int
    ) -> health.HealthState:
        due = self._due(model.id, state.through_us, now_us - GRACE_US, _us(spec.window_span))
        for first in range(0, len(due), MOST_WINDOWS):
            some = due[first : first + MOST_WINDOWS]
            counted = rows.counts(self._log, model.id, some, slow_us=spec.slow_ms * 1_000)
            for (_, until_us), counts in zip(some, counted, strict=True):
                state = health.step(state, spec, counts, until_us=until_us)
        return state

    def _advance_silence(
        self, model: ModelRow, spec: Silence, state: silence.SilenceState, now_us: int
    ) -> tuple[silence.SilenceState, list[Finding]]:
        due = list(self._due(model.id, state.through_us, now_us - GRACE_US, HOUR_US))
        if due:
            asked = self._log.requests(model.id, since_us=due[0][0], until_us=due[-1][1])
            hours = (asked["decision_us"] // HOUR_US).value_counts()
            by_hour = dict(zip(hours["decision_us"], hours["count"], strict=True))
            for start_us, until_us in due:
                state = silence.step(state, spec, by_hour.get(start_us // HOUR_US, 0), until_us=until_us)
        matures_us = model.spec.outcome.matures_after_us if model.spec else 0
        last_us = self._log.last_outcome_us(model.id)
        found = silence.find(state, spec, last_outcome_us=last_us, matures_after_us=matures_us, at_us=now_us)
        return state, found

    def _due(self, model_id: str, through_us: int | None, until_us: int, span_us: int) -> Sequence[tuple[int, int]]:
        if through_us is None:
            first_us = self._log.first_decision_us(model_id)
            if first_us is None:
                return ()
            through_us = rows.first_window_us(first_us, span_us)
        return list(rows.windows(through_us, until_us, span_us))

    def _look_back(self, model_id: str, span_us: int, now_us: int) -> int | None:
        first_us = self._log.first_decision_us(model_id)
        return None if first_us is None else rows.first_window_us(max(first_us, now_us - LOOK_BACK_US), span_us)

    def _view_names(self, project: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        query = select(views.c.digest, views.c.spec).where(views.c.project == project)
        with self._store.read() as connection:
            specs = {row.digest: msgspec.json.decode(row.spec, type=ViewSpec) for row in connection.execute(query)}
        return {digest: (spec.name, tuple(f.name for f in spec.features)) for digest, spec in specs.items()}

    def _budget_sharers(self, model: ModelRow) -> int:
        """Return how many drift monitors of the project share its budget."""
        declared = [decode_monitors(other.monitors) for other in self._registry.models(model.project)]
        return max(1, sum(isinstance(monitor, Drift) for monitors in declared for monitor in monitors))

    def _load(self, model_id: str, monitor: Monitor) -> State:
        kind = kind_of(monitor)
        with self._store.read() as connection:
            row = connection.execute(select(monitor_states).where(_is(model_id, kind))).first()
        if row is None or row.spec != _text(monitor):
            return STATES[kind]()
        return msgspec.json.decode(row.body, type=STATES[kind])

    def _save(self, model: ModelRow, updates: Updates, now_us: int, by: str) -> None:
        findings = [finding for _, _, found in updates.values() for finding in found]
        opening, closing = changes(self.alarms(model=model.id), findings)
        if not opening and not closing:
            with self._store.bookkeeping() as connection:
                _write(connection, model.id, updates, now_us)
            return
        with self._store.begin(by) as tx:
            _write(tx.connection, model.id, updates, now_us)
            for finding in opening:
                alarm_id = open_alarm(tx, finding, project=model.project, model=model.id)
                notice = notice_of(finding, "opened", alarm_id, model)
                enqueue(tx.connection, notice, self._notifiers, now_us)
            for alarm, reason in closing:
                close_alarm(tx, alarm, reason)
                finding = Finding(alarm.monitor, alarm.subject, "ok", reason, now_us)
                enqueue(tx.connection, notice_of(finding, "closed", alarm.id, model), self._notifiers, now_us)
            reached("monitoring.before_commit")

    def _waiting(self) -> list[tuple[Notice, str, int]]:
        query = (
            select(notices)
            .where(notices.c.delivered_us.is_(None), notices.c.given_up.is_(None))
            .where(notices.c.notifier.in_(list(self._notifiers)))
            .order_by(notices.c.created_us, notices.c.id)
        )
        with self._store.read() as connection:
            found = connection.execute(query).all()
        return [(msgspec.json.decode(row.body, type=Notice), row.notifier, row.attempts) for row in found]

    def _send(self, notice: Notice, name: str, attempts: int) -> bool:
        values: dict[str, Any] = {"attempts": attempts + 1}
        try:
            self._notifiers[name].notify(notice)
            values["delivered_us"] = self._clock.now_us()
        except MainspringError as error:
            if isinstance(error, Refused) or attempts + 1 >= MOST_ATTEMPTS:
                values["given_up"] = error.sentence()
            self._not_before_s[notice.id, name] = time.monotonic() + min(2.0**attempts, 3_600.0)
        of = (notices.c.id == notice.id) & (notices.c.notifier == name)
        with self._store.bookkeeping() as connection:
            connection.execute(update(notices).where(of).values(**values))
        return "delivered_us" in values


def _write(connection: Connection, model_id: str, updates: Updates, now_us: int) -> None:
    """Store what changed; large states change once a window, so most calls write a few small rows."""
    known = {row.monitor: row for row in connection.execute(_states_of(model_id))}
    for kind in known.keys() - updates.keys():
        connection.execute(delete(monitor_states).where(_is(model_id, kind)))
    for kind, (monitor, state, findings) in updates.items():
        row = {"spec": _text(monitor), "body": _text(state), "findings": _text(findings), "updated_us": now_us}
        if kind not in known:
            connection.execute(insert(monitor_states).values(model=model_id, monitor=kind, **row))
            continue
        changed = {name: value for name, value in row.items() if known[kind]._mapping[name] != value}
        if changed:
            connection.execute(update(monitor_states).where(_is(model_id, kind)).values(**changed))


def _states_of(model_id: str) -> Select[Any]:
    return select(monitor_states).where(monitor_states.c.model == model_id)


def _is(model_id: str, kind: str) -> ColumnElement[bool]:
    return (monitor_states.c.model == model_id) & (monitor_states.c.monitor == kind)


def _series(state: State) -> dict[str, tuple[Point, ...]]:
    if isinstance(state, health.HealthState):
        return {name: guard.points for name, guard in state.guards.items()}
    if isinstance(state, drift.DriftState):
        return {"inputs": state.points}
    if isinstance(state, quality.QualityState):
        return {"champion": state.points}
    return {}


def _limit(monitor: Monitor, monitors: int) -> float | None:
    if isinstance(monitor, Drift):
        return monitor.budget_windows * monitors
    if isinstance(monitor, Quality):
        return quality.limit(monitor)
    return health.limit(monitor) if isinstance(monitor, Health) else None


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
