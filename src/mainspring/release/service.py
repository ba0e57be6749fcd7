"""Releases: load, gather evidence, decide, and save state, ledger entry and alias together."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.engine import (
    Command,
    Decision,
    Facts,
    State,
    Waiver,
    acknowledged,
    after,
    command,
    decide,
)
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.gathered import Books, Evidence, evidence
from mainspring.release.gather import Gathered, gather, no_units, units_bytes, units_from
from mainspring.release.outlook import Past, Setting, forecast, look_back, terms_of, window_of
from mainspring.release.policy import Canary, Immediate, Policy, Shadow, decode_policy
from mainspring.release.release import Record, Release, shown
from mainspring.release.tables import release_books, release_decisions, releases
from mainspring.release.terms import Terms
from mainspring.serving.routing import Routing

CHAMPION, CHALLENGER, ANCHOR = "champion", "challenger", "anchor"
LOOP = "loop"
SHOWN_EVERY_US = 6 * 3_600_000_000  # a release that waits leaves a point for its drawing this often
KINDS = {
    "advance": "release.advanced", "promote": "release.promoted", "roll_back": "release.rolled_back",
    "return": "release.returned", "hold": "release.held", "resume": "release.resumed", "abort": "release.aborted",
    "rebase": "release.rebased",
}  # fmt: skip


class ReleaseService:
    """Starts, steps and ends releases. ``passed`` tells whether a version's checks passed; it must, to start."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        log: PredictionLog,
        clock: Clock,
        passed: Callable[[str], bool] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._log = log
        self._clock = clock
        self._passed = passed

    def start(self, model_id: str, version_id: str, policy: Policy | None = None, *, by: str, reason: str) -> Release:
        """Start a release of a version against the present champion, by the model's policy unless another is given."""
        model = self._registry.model(None, model_id)
        policy = decode_policy(model.release) if policy is None else policy
        challenger, champion = self._registry.version(version_id), self._registry.alias(model_id, CHAMPION)
        champion = self._check_start(model, challenger, champion)
        if not isinstance(policy, Immediate):
            check_asked_alike(challenger, champion)
        record = self._new(model, challenger, champion, policy, by, reason)
        with self._store.begin(by) as tx:
            present = self._check_start(model, challenger, self._registry.alias(model_id, CHAMPION))
            _check_unchanged(present, champion.id)
            self._insert(tx, record)
            if not isinstance(policy, Immediate):
                self._registry.point(tx, model_id, CHALLENGER, version_id, reason)
            else:
                order = command(record.terms, record.state, "promote", by, reason, self._clock.now_us())
                order = msgspec.structs.replace(order, reason="immediate", sentence="the policy asks for no evidence")
                self._act(tx, record, order, Waiver(by, reason))
        return self.get(record.id)

    def step(
        self,
        release_id: str,
        *,
        acknowledged_generation: int | None = None,
        routing: Routing | None = None,
        disabled: Mapping[str, str] | None = None,
        by: str = LOOP,
    ) -> Decision:
        """Count what has come, decide, and act on it.

        ``acknowledged_generation`` is the least one that all live gateways have taken up; with the ``routing`` that was
        published last, a stage begins when they have taken up one that contains it. ``disabled`` are versions that
        gateways took out by themselves, with the reason: such a challenger is rolled back.
        """
        record, changes = self._load(release_id)
        now_us = self._clock.now_us()
        if record.state.over:
            return decide(record.terms, record.state, None, self._facts(record, Books()), now_us)
        stored, counted_before = record, self._books(release_id)
        record = _acknowledge(record, acknowledged_generation, routing, now_us)
        books = gather(self._log, record, counted_before, now_us)
        found = evidence(_fresh(self._log, record, books.books), record.terms.gates, record.terms.alpha_ratio)
        facts = self._facts(record, books.books, (disabled or {}).get(record.challenger))
        decision = decide(record.terms, record.state, found, facts, now_us)
        if decision.kind == "wait":
            counted = record is not stored or books.books is not counted_before.books
            self._wait(record, changes, books, decision, counted=counted)
            return decision
        with self._store.begin(by) as tx:
            if decision.kind in ("advance", "promote"):
                _check_unchanged(self._registry.alias(record.model, CHAMPION), record.champion)
            self._save_books(tx.connection, record.id, _after_books(books, decision))
            self._act(tx, record, decision, found, changes)
        return decision

    def hold(self, release_id: str, *, by: str, reason: str) -> Release:
        """Keep a release where it is; it may still be stopped by its evidence."""
        return self._command(release_id, "hold", by, reason)

    def resume(self, release_id: str, *, by: str, reason: str) -> Release:
        """Let a held release go on."""
        return self._command(release_id, "resume", by, reason)

    def abort(self, release_id: str, *, by: str, reason: str) -> Release:
        """End a release at once, in whatever state it is; one that is over stays as it is."""
        return self._command(release_id, "abort", by, reason)

    def promote(self, release_id: str, *, by: str, reason: str) -> Release:
        """Make the challenger champion on a person's word; the ledger says that evidence was waived, and by whom."""
        return self._command(release_id, "promote", by, reason)

    def roll_back(self, release_id: str, *, by: str, reason: str) -> Release:
        """Stop a running release, or give a promoted one's place back to the champion before it."""
        return self._command(release_id, "roll_back", by, reason)

    def get(self, release_id: str) -> Release:
        """Return a release with its evidence and the history of its decisions."""
        record, _ = self._load(release_id)
        query = (
            select(release_decisions.c.body)
            .where(release_decisions.c.release == release_id)
            .order_by(release_decisions.c.id)
        )
        with self._store.read() as connection:
            history = [msgspec.json.decode(row.body, type=Decision) for row in connection.execute(query)]
        return shown(record, tuple(history))

    def list(self, model_id: str | None = None, running: bool | None = None) -> builtins.list[Release]:
        """Return releases without their history, oldest first; of one model, running or over, if asked."""
        return [shown(record) for record in self._records(model_id, running)]

    def running(self, model_id: str) -> builtins.list[Release]:
        """Return the releases of a model that are not over, held ones too, oldest first."""
        return [shown(record) for record in self._records(model_id, True)]

    def forecast(self, model_id: str, policy: Policy | str | None = None) -> Forecast:
        """Return when a release by this policy, started now, is expected to be decided."""
        model = self._registry.model(None, model_id)
        if policy is None or isinstance(policy, str):
            policy = decode_policy(policy or model.release)
        if isinstance(policy, Immediate):
            return Forecast(0, 0.0, 0.0, 0.0, True, "an immediate release needs no evidence")
        champion = self._registry.alias(model_id, CHAMPION)
        return self._outlook(model, policy, champion, champion.lineage.recipe if champion else "")[1]

    def first_champion(self, model_id: str, version_id: str, *, by: str, reason: str) -> None:
        """Make a version the first champion; there is nothing to compare it with, and the ledger says so."""
        model = self._registry.model(None, model_id)
        self._check_none(model)
        version = self._registry.version(version_id)
        self._check_fit(model, version)
        numbers = {"model": model.name, "version": version.number, "comparison": None, "metrics": version.metrics}
        with self._store.begin(by) as tx:
            self._check_none(model)
            entry_reason = f"{reason}: the first champion, nothing to compare it with"
            tx.record("release.first_champion", version_id, entry_reason, numbers, project=model.project)
            self._registry.point(tx, model_id, CHAMPION, version_id, entry_reason)
            self._registry.point(tx, model_id, ANCHOR, version_id, entry_reason)

    def _check_none(self, model: ModelRow) -> None:
        if self._registry.alias(model.id, CHAMPION) is not None:
            raise Conflict("has a champion already", field="model", value=model.name, remedy="start a release")

    def _check_start(self, model: ModelRow, challenger: Version, champion: Version | None) -> Version:
        self._check_fit(model, challenger)
        if champion is None:
            raise Refused("has no champion yet", field="model", value=model.name, remedy="make a first champion")
        if champion.id == challenger.id:
            raise Conflict("is the champion already", field="version", value=challenger.number)
        for record in self._records(model.id, True):
            if record.challenger == challenger.id:
                raise Conflict(
                    "is in a running release", field="version", value=challenger.number, remedy=f"see {record.id}"
                )
        return champion

    def _check_fit(self, model: ModelRow, version: Version) -> None:
        if version.model != model.id:
            raise InvalidInput("belongs to another model", field="version", value=version.number)
        if self._passed is not None and not self._passed(version.id):
            raise Refused(
                "has not passed its checks", field="version", value=version.number,
                remedy="see its check results; a person may override one by name",
            )  # fmt: skip

    def _new(
        self, model: ModelRow, challenger: Version, champion: Version, policy: Policy, by: str, reason: str
    ) -> Record:
        now_us = self._clock.now_us()
        anchor = self._anchor(model.id, champion, challenger)
        terms, expected = self._terms(model, challenger, champion, policy, anchor)
        return Record(
            id=new_id("rel"),
            project=model.project,
            model=model.id,
            model_name=model.name,
            challenger=challenger.id,
            challenger_number=challenger.number,
            champion=champion.id,
            champion_number=champion.number,
            anchor=anchor,
            recipe=challenger.lineage.recipe,
            policy=policy,
            terms=terms,
            state=State(started_us=now_us, stage_since_us=now_us),
            by=by,
            reason=reason,
            salt_base=f"{model.project_name}/{model.name}/{challenger.number}/{now_us}",
            forecast=expected,
        )

    def _terms(
        self, model: ModelRow, challenger: Version, champion: Version, policy: Policy, anchor: str | None
    ) -> tuple[Terms, Forecast]:
        asked = Shadow(metric="error") if isinstance(policy, Immediate) else policy
        past, expected = self._outlook(model, asked, champion, challenger.lineage.recipe)
        if isinstance(policy, Immediate):
            expected = Forecast(0, 0.0, 0.0, 0.0, True, "an immediate release needs no evidence")
        if expected.decidable is False:
            raise Refused(
                f"the policy cannot decide by its deadline: {expected.reason}", field="release",
                remedy="give it more time, a wider margin, or more traffic",
            )  # fmt: skip
        others = len(self._records(model.id, True))
        setting = Setting(_kind(challenger, champion), anchor is not None, others + 1)
        return terms_of(asked, model.spec, past, setting), expected

    def agreed(
        self, model: ModelRow, challenger: Version, champion: Version, policy: Shadow | Canary, at_us: int
    ) -> tuple[Terms, Forecast, str | None]:
        """Return the terms on which a release alone would have started at a moment, its forecast, and its anchor."""
        anchor = self._anchor(model.id, champion, challenger)
        past, expected = self._outlook(model, policy, champion, challenger.lineage.recipe, at_us)
        setting = Setting(_kind(challenger, champion), anchor is not None, 1)
        return terms_of(policy, model.spec, past, setting), expected, anchor

    def _outlook(
        self, model: ModelRow, policy: Shadow | Canary, champion: Version | None, recipe: str, at_us: int | None = None
    ) -> tuple[Past, Forecast]:
        now_us = self._clock.now_us() if at_us is None else at_us
        past = look_back(self._log, model.id, model.spec, policy, champion.id if champion else None, now_us)
        known = self._known_variance(model.id, past.loss.bound, recipe)
        if known is not None and past.difference_variance is not None:
            past = msgspec.structs.replace(past, difference_variance=known)
        affected = model.spec.outcome.affected_by_answer if model.spec is not None else True
        window_us = window_of(policy, model.spec)
        return past, forecast(policy, past, affected=affected, window_us=window_us)

    def _known_variance(self, model_id: str, bound: float, recipe: str) -> float | None:
        """Return the variance that the last shadow of the same recipe has shown."""
        for record in reversed([one for one in self._records(model_id, None) if one.recipe == recipe]):
            gate = record.terms.gate("quality")
            stream = self._books(record.id).books.streams.get("quality")
            usable = gate is not None and gate.estimator == "paired" and gate.bound == bound
            if usable and stream is not None and stream.n >= record.terms.minimum_units:
                return stream.v / stream.n
        return None

    def _anchor(self, model_id: str, champion: Version, challenger: Version) -> str | None:
        anchor = self._registry.alias(model_id, ANCHOR)
        if anchor is None or anchor.id in (champion.id, challenger.id) or _kind(challenger, champion) == "new_recipe":
            return None
        return anchor.id

    def _facts(self, record: Record, books: Books, disabled: str | None = None) -> Facts:
        champion = self._registry.alias(record.model, CHAMPION)
        others = [one for one in self._records(record.model, True) if one.id != record.id]
        return Facts(
            champion=champion.id if champion is not None else None,
            compared_with=record.champion,
            challenger=record.challenger,
            disabled=disabled or "",
            another_draws=any(one.state.share > 0 for one in others),
            step_requests=books.step_requests,
            shadow_requests=books.shadow_requests,
            too_late_outcomes=books.too_late_outcomes,
            best_effort_rows=books.best_effort_rows,
        )

    def _command(self, release_id: str, order: Command, by: str, reason: str) -> Release:
        if not reason.strip():
            raise InvalidInput("a command needs a reason", field="reason", remedy="say why in a few words")
        record, changes = self._load(release_id)
        decision = command(record.terms, record.state, order, by, reason, self._clock.now_us())
        if decision.kind != "wait":
            if order == "roll_back" and record.state.status == "promoted":
                self._check_still_champion(record)
            with self._store.begin(by) as tx:
                self._act(tx, record, decision, Waiver(by, reason), changes)
        return self.get(release_id)

    def _check_still_champion(self, record: Record) -> None:
        champion = self._registry.alias(record.model, CHAMPION)
        if champion is None or champion.id != record.challenger:
            raise Conflict("is not the champion any more", field="version", value=record.challenger_number)

    def _act(
        self,
        tx: Transaction,
        record: Record,
        decision: Decision,
        warrant: Evidence | Waiver | None,
        changes: int | None = None,
    ) -> None:
        was_promoted = record.state.status == "promoted"
        state = after(record.state, decision, warrant)
        record = msgspec.structs.replace(record, state=state, decision=decision, shown_us=decision.at_us)
        if decision.kind == "rebase":
            record = self._rebased(record)
        waived = isinstance(warrant, Waiver) and decision.kind == "promote"
        numbers = {**_who(record), **decision.numbers(), "evidence_waived": waived}
        reason = f"{decision.reason}: {decision.sentence}"
        tx.record(KINDS[decision.kind], record.id, reason, numbers, project=record.project)
        if decision.kind == "promote":
            self._registry.point(tx, record.model, CHAMPION, record.challenger, reason, {"release": record.id})
            if record.terms.kind == "new_recipe":
                self._registry.point(tx, record.model, ANCHOR, record.challenger, reason, {"release": record.id})
        elif was_promoted:
            self._registry.point(tx, record.model, CHAMPION, record.champion, reason, {"release": record.id})
            if record.terms.kind == "new_recipe":
                anchor = self._anchor_before(record)
                self._registry.point(tx, record.model, ANCHOR, anchor, reason, {"release": record.id})
        if state.over:
            self._take_challenger_away(tx, record, reason)
        self._save(tx.connection, record, changes)
        self._keep_decision(tx.connection, record.id, decision)
        reached("release.before_commit")

    def _anchor_before(self, record: Record) -> str | None:
        """Return the anchor that the challenger took the place of, so that undoing its release gives it back."""
        moves = self._registry.history(record.model, ANCHOR)
        for earlier, later in reversed(list(pairwise(moves))):
            if later.version == record.challenger:
                return earlier.version
        return record.champion

    def _take_challenger_away(self, tx: Transaction, record: Record, reason: str) -> None:
        pointed = self._registry.alias(record.model, CHALLENGER)
        if pointed is not None and pointed.id == record.challenger:
            self._registry.point(tx, record.model, CHALLENGER, None, reason, {"release": record.id})

    def _rebased(self, record: Record) -> Record:
        champion = self._registry.alias(record.model, CHAMPION)
        if champion is None or isinstance(record.policy, Immediate):
            raise Conflict("there is no champion to compare with", field="release", value=record.id)
        model = self._registry.model(None, record.model)
        challenger = self._registry.version(record.challenger)
        anchor = self._anchor(record.model, champion, challenger)
        past = Past(record.terms.horizon_us, record.terms.loss, label_cut=record.terms.label_cut)
        setting = Setting(_kind(challenger, champion), anchor is not None, record.terms.challengers)
        fresh = terms_of(record.policy, model.spec, past, setting)
        terms = msgspec.structs.replace(record.terms, kind=fresh.kind, gates=fresh.gates)
        return msgspec.structs.replace(
            record, champion=champion.id, champion_number=champion.number, anchor=anchor, terms=terms
        )

    def _wait(self, record: Record, changes: int, books: Gathered, decision: Decision, *, counted: bool) -> None:
        before = record.decision
        changed = before is None or before.reason != decision.reason or before.waiting != decision.waiting
        keep = changed or decision.at_us - record.shown_us >= SHOWN_EVERY_US
        if not (keep or counted):
            return
        record = msgspec.structs.replace(
            record, decision=decision, shown_us=decision.at_us if keep else record.shown_us
        )
        with self._store.bookkeeping() as connection:
            self._save(connection, record, changes)
            self._save_books(connection, record.id, books)
            if keep:
                self._keep_decision(connection, record.id, decision)

    def _insert(self, tx: Transaction, record: Record) -> None:
        numbers = {
            **_who(record),
            "kind": record.terms.kind,
            "policy": msgspec.to_builtins(record.policy),
            "terms_digest": record.terms.digest(),
            "forecast": msgspec.to_builtins(record.forecast),
        }
        tx.connection.execute(
            insert(releases).values(
                id=record.id,
                model=record.model,
                project=record.project,
                status=record.state.status,
                started_us=record.state.started_us,
                body=_json(record),
                changes=0,
            )
        )
        start = record.state.started_us
        books = Books(rows_us=start, pairs_us=start, drawn_us=start, drawn_labels_us=start)
        tx.connection.execute(insert(release_books).values(release=record.id, body=_json(books), units=b""))
        tx.record("release.started", record.id, record.reason, numbers, project=record.project)

    def _save(self, connection: Connection, record: Record, changes: int | None) -> None:
        query = update(releases).where(releases.c.id == record.id)
        if changes is not None:
            query = query.where(releases.c.changes == changes)
        saved = connection.execute(
            query.values(
                status=record.state.status,
                ended_us=record.state.ended_us,
                body=_json(record),
                changes=releases.c.changes + 1,
            )
        )
        if saved.rowcount != 1:
            raise Conflict("somebody else changed the release at the same time", field="release", value=record.id)

    def _save_books(self, connection: Connection, release_id: str, books: Gathered) -> None:
        connection.execute(
            update(release_books)
            .where(release_books.c.release == release_id)
            .values(body=_json(books.books), units=units_bytes(books.units))
        )

    def _keep_decision(self, connection: Connection, release_id: str, decision: Decision) -> None:
        connection.execute(
            insert(release_decisions).values(
                release=release_id, at_us=decision.at_us, kind=decision.kind, body=_json(decision)
            )
        )

    def _load(self, release_id: str) -> tuple[Record, int]:
        with self._store.read() as connection:
            row = connection.execute(select(releases).where(releases.c.id == release_id)).first()
        if row is None:
            raise NotFound("there is no such release", field="release", value=release_id)
        return msgspec.json.decode(row.body, type=Record), int(row.changes)

    def _books(self, release_id: str) -> Gathered:
        with self._store.read() as connection:
            row = connection.execute(select(release_books).where(release_books.c.release == release_id)).one()
        units = units_from(row.units) if row.units else no_units()
        return Gathered(msgspec.json.decode(row.body, type=Books), units)

    def _records(self, model_id: str | None, running: bool | None) -> builtins.list[Record]:
        query = select(releases.c.body)
        if model_id is not None:
            query = query.where(releases.c.model == model_id)
        if running is not None:
            active = releases.c.status.in_(["running", "held"])
            query = query.where(active if running else ~active)
        with self._store.read() as connection:
            records = [msgspec.json.decode(row.body, type=Record) for row in connection.execute(query)]
        # Of two that started at one moment, ids would say at random which steps first: version numbers do not.
        return sorted(records, key=lambda record: (record.state.started_us, record.challenger_number))


def _check_unchanged(present: Version | None, compared_with: str) -> None:
    """Refuse what was decided about a champion that somebody has replaced meanwhile; called in the transaction."""
    if present is None or present.id != compared_with:
        raise Conflict("was replaced at the same time", field="champion", remedy="try again")


def check_asked_alike(challenger: Version, champion: Version) -> None:
    """Refuse a challenger that needs columns which requests to the champion do not carry: it could answer none."""
    carried = {column.name for column in champion.signature.requested}
    lacking = [column.name for column in challenger.signature.requested if column.name not in carried]
    if lacking:
        raise Refused(
            f"takes {', '.join(lacking)}, which requests to the champion do not carry", field="version",
            value=challenger.number,
            remedy="once callers send that too, point the alias champion at the version by hand",
        )  # fmt: skip


def _kind(challenger: Version, champion: Version) -> Any:
    same = challenger.lineage.recipe and challenger.lineage.recipe == champion.lineage.recipe
    return "refresh" if same else "new_recipe"


def _acknowledge(record: Record, generation: int | None, routing: Routing | None, now_us: int) -> Record:
    state = record.state
    if state.acknowledged_us is not None:
        return record
    if routing is not None:
        live = generation is not None and generation >= routing.generation and _contains(routing, record)
    else:
        live = generation is None or generation > max(state.changed_generation, 0)
    if not live:
        return record
    return msgspec.structs.replace(record, state=acknowledged(state, generation or 0, now_us))


def _contains(routing: Routing, record: Record) -> bool:
    model = next((one for one in routing.models if one.model == record.model), None)
    if model is None:
        return False
    if record.state.stage == "shadow":
        return any(shadow.version == record.challenger for shadow in model.shadows)
    drawn = model.release
    return (
        drawn is not None and (drawn.id, drawn.epoch, drawn.share)
        == (record.id, record.state.epoch, record.state.share)
    )  # fmt: skip


def _fresh(log: PredictionLog, record: Record, books: Books) -> Books:
    newest = log.last_outcome_us(record.model)
    known = [one for one in (newest, books.newest_label_us) if one is not None]
    return msgspec.structs.replace(books, newest_label_us=max(known, default=None))


def _after_books(books: Gathered, decision: Decision) -> Gathered:
    after_it = books.books.after(decision.kind, decision.step, decision.at_us)
    return Gathered(after_it, no_units() if decision.kind == "rebase" else books.units)


def _who(record: Record) -> dict[str, Any]:
    return {
        "model": record.model_name,
        "challenger": record.challenger_number,
        "champion": record.champion_number,
        "recipe": record.recipe,
        "kind": record.terms.kind,
    }


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
