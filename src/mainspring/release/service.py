"""Releases: load, gather evidence, decide, and save state, ledger entry and alias together."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, Refused
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import ANCHOR, CHALLENGER, CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.decision import ENDING, Decision, Say
from mainspring.release.engine import (
    Command,
    Contender,
    Facts,
    Seen,
    State,
    Waiver,
    acknowledged,
    after,
    command,
    decide,
)
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.gathered import Books, Evidence, evidence
from mainspring.release.gather import Gathered, gather, no_units
from mainspring.release.outlook import Past, Setting, amended, forecast, look_back, terms_of, window_of
from mainspring.release.policy import Bandit, ChampionChallenger, Immediate, Policy, Shadow, decode_policy
from mainspring.release.policy.change import change
from mainspring.release.recompute import Recomputed, recompute
from mainspring.release.records import Records
from mainspring.release.release import Record, Release, shown
from mainspring.release.reports import ReleaseReports
from mainspring.release.terms import Terms
from mainspring.serving.routing import Routing

LOOP = "loop"
SHOWN_EVERY_US = 6 * 3_600_000_000  # a release that waits leaves a point for its drawing this often
KINDS = {
    "advance": "release.advanced", "promote": "release.promoted", "roll_back": "release.rolled_back",
    "return": "release.returned", "hold": "release.held", "resume": "release.resumed", "abort": "release.aborted",
    "rebase": "release.rebased", "drop": "release.dropped", "reweigh": "release.reweighed",
    "approve": "release.approved", "change": "release.changed",
}  # fmt: skip
_SHADOWS = 200  # how many of the newest releases are asked what a recipe's shadow has shown


class ReleaseService:
    """Starts, steps and ends releases. ``passed`` tells whether a version's checks passed; it must, to start.

    ``roles`` says who has which role, for policies that ask somebody for approval.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        log: PredictionLog,
        clock: Clock,
        passed: Callable[[str], bool] | None = None,
        roles: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._log = log
        self._clock = clock
        self._passed = passed
        self._roles = roles or {}
        self._records = Records(store)
        self.reports = ReleaseReports(registry=registry, log=log, clock=clock)

    def start(
        self,
        model_id: str,
        version_id: str,
        policy: Policy | None = None,
        *,
        by: str,
        reason: str,
        others: Sequence[str] = (),
    ) -> Release:
        """Start a release of a version against the present champion, by the model's policy unless another is given.

        ``others`` are further challengers, for the policies that compare several at once.
        """
        model = self._registry.model(None, model_id)
        policy = decode_policy(model.release) if policy is None else policy
        versions = [self._registry.version(id) for id in dict.fromkeys((version_id, *others))]
        champion = self._check_start(model, versions, self._registry.alias(model_id, CHAMPION))
        _check_number(policy, versions)
        waits = not isinstance(policy, Immediate) or policy.approval is not None
        if waits:
            for version in versions:
                check_asked_alike(version, champion)
        record = self._new(model, versions, champion, policy, by, reason)
        with self._store.begin(by) as tx:
            present = self._check_start(model, versions, self._registry.alias(model_id, CHAMPION))
            _check_unchanged(present, champion.id)
            self._insert(tx, record)
            if waits:
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
        record, changes = self._records.load(release_id)
        now_us = self._clock.now_us()
        if record.state.over:
            return decide(record.terms, record.state, None, self._facts(record, Books()), now_us)
        stored, counted_before = record, self._records.books(release_id)
        record = _acknowledge(record, acknowledged_generation, routing, now_us)
        books = gather(self._log, record, counted_before, now_us)
        newest_us = self._log.last_outcome_us(record.model)
        found = None if record.state.contest else _shows(record.terms, books.books, newest_us)
        facts = self._facts(record, books.books, disabled or {}, newest_us)
        decision = decide(record.terms, record.state, found, facts, now_us)
        if decision.kind == "wait":
            counted = record is not stored or books.books is not counted_before.books
            self._wait(record, changes, books, decision, counted=counted)
            return decision
        record = self._compared(record, decision)
        warrant: Evidence | Waiver | None = facts.of(decision.winner).evidence if decision.winner else found
        if not record.terms.judged:
            warrant = Waiver(record.by, record.reason)
        with self._store.begin(by) as tx:
            if decision.kind in ("advance", "promote"):
                _check_unchanged(self._registry.alias(record.model, CHAMPION), record.champion)
            self._records.save_books(tx.connection, record.id, _after_books(books, decision))
            self._act(tx, record, decision, warrant, changes)
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

    def approve(self, release_id: str, *, by: str, reason: str) -> Release:
        """Sign a release off that asks for it; refused to whoever does not have the role."""
        record, _ = self._records.load(release_id)
        approval = record.terms.approval
        if approval is not None and approval.role:
            _check_role(approval.role, by, self._roles)
        return self._command(release_id, "approve", by, reason)

    def change(self, release_id: str, policy: Policy, *, by: str, reason: str) -> Release:
        """Go on by another policy; refused where that would take back what the evidence so far rests on."""
        _check_reason(reason)
        record, changes = self._records.load(release_id)
        policy = change(record.policy, policy, record.state)
        terms = amended(record.terms, policy)
        changed = msgspec.structs.replace(record, policy=policy, terms=terms)
        now_us = self._clock.now_us()
        decision = Say(terms, record.state, None, now_us, by=by)("change", "inconclusive", "changed_by_hand", reason)
        numbers = {
            **_who(changed),
            **decision.numbers(),
            "policy": msgspec.to_builtins(policy),
            "policy_digest_before": record.terms.policy_digest,
        }
        with self._store.begin(by) as tx:
            tx.record(KINDS["change"], record.id, f"changed_by_hand: {reason}", numbers, project=record.project)
            self._records.save(tx.connection, changed, changes)
            self._records.keep_decision(tx.connection, record.id, decision)
            reached("release.before_commit")
        return self.get(release_id)

    def get(self, release_id: str) -> Release:
        """Return a release with its evidence and the history of its decisions."""
        record, _ = self._records.load(release_id)
        return shown(record, self._records.history(release_id))

    def list(
        self,
        model_id: str | None = None,
        running: bool | None = None,
        *,
        status: str | None = None,
        newest: int | None = None,
    ) -> builtins.list[Release]:
        """Return releases without their history, oldest first.

        Of one model, running or over, of one status, or the newest few alone, if asked.
        """
        return [shown(record) for record in self._records.list(model_id, running, status=status, newest=newest)]

    def recompute(self, release_id: str) -> builtins.list[Recomputed]:
        """Work the evidence of each stored decision out again from the log, and compare."""
        return recompute(self._log, self._records.load(release_id)[0], self._records.history(release_id))

    def running(self, model_id: str) -> builtins.list[Release]:
        """Return the releases of a model that are not over, held ones too, oldest first."""
        return [shown(record) for record in self._records.list(model_id, True)]

    def forecast(self, model_id: str, policy: Policy | str | None = None) -> Forecast:
        """Return when a release by this policy, started now, is expected to be decided."""
        model = self._registry.model(None, model_id)
        if policy is None or isinstance(policy, str):
            policy = decode_policy(policy or model.release)
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

    def _check_start(self, model: ModelRow, challengers: Sequence[Version], champion: Version | None) -> Version:
        for challenger in challengers:
            self._check_fit(model, challenger)
        if champion is None:
            raise Refused("has no champion yet", field="model", value=model.name, remedy="make a first champion")
        there = {id: record.id for record in self._records.list(model.id, True) for id in _challengers(record)}
        for challenger in challengers:
            if champion.id == challenger.id:
                raise Conflict("is the champion already", field="version", value=challenger.number)
            if challenger.id in there:
                raise Conflict(
                    "is in a running release", field="version", value=challenger.number,
                    remedy=f"see {there[challenger.id]}",
                )  # fmt: skip
        return champion

    def _check_fit(self, model: ModelRow, version: Version) -> None:
        if version.model != model.id:
            raise InvalidInput("belongs to another model", field="version", value=version.number)
        if self._passed is not None and not self._passed(version.id):
            raise Refused(
                "has not passed its checks", field="version", value=version.number,
                remedy=f"run them with: mainspring check {model.name} {version.number}; a person may override one",
            )  # fmt: skip

    def _new(
        self, model: ModelRow, versions: Sequence[Version], champion: Version, policy: Policy, by: str, reason: str
    ) -> Record:
        now_us = self._clock.now_us()
        challenger = versions[0]
        anchor = self._anchor(model.id, champion, versions)
        terms, expected = self._terms(model, versions, champion, policy, anchor)
        several = isinstance(policy, Bandit | ChampionChallenger)
        contenders = tuple(Contender(version.id, version.number) for version in versions) if several else ()
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
            state=State(started_us=now_us, stage_since_us=now_us, contenders=contenders),
            by=by,
            reason=reason,
            salt_base=f"{model.project_name}/{model.name}/{challenger.number}/{now_us}",
            forecast=expected,
        )

    def _terms(
        self, model: ModelRow, versions: Sequence[Version], champion: Version, policy: Policy, anchor: str | None
    ) -> tuple[Terms, Forecast]:
        running = [id for record in self._records.list(model.id, True) for id in _challengers(record)]
        challengers = len(running) + len(versions)
        past, expected = self._outlook(model, policy, champion, versions[0].lineage.recipe, challengers)
        if expected.decidable is False:
            raise Refused(
                f"the policy cannot decide by its deadline: {expected.reason}", field="release",
                remedy="give it more time, a wider margin, or more traffic",
            )  # fmt: skip
        setting = Setting(_kind(versions, champion), anchor is not None, challengers, len(versions))
        return terms_of(policy, model.spec, past, setting), expected

    def agreed(
        self, model: ModelRow, challenger: Version, champion: Version, policy: Policy, at_us: int
    ) -> tuple[Terms, Forecast, str | None]:
        """Return the terms on which a release alone would have started at a moment, its forecast, and its anchor."""
        anchor = self._anchor(model.id, champion, [challenger])
        past, expected = self._outlook(model, policy, champion, challenger.lineage.recipe, at_us=at_us)
        setting = Setting(_kind([challenger], champion), anchor is not None, 1)
        return terms_of(policy, model.spec, past, setting), expected, anchor

    def _outlook(
        self,
        model: ModelRow,
        policy: Policy,
        champion: Version | None,
        recipe: str,
        challengers: int = 1,
        *,
        at_us: int | None = None,
    ) -> tuple[Past, Forecast]:
        now_us = self._clock.now_us() if at_us is None else at_us
        past = look_back(self._log, model.id, model.spec, policy, champion.id if champion else None, now_us)
        known = self._known_variance(model.id, past.loss.bound, recipe)
        if known is not None and past.difference_variance is not None:
            past = msgspec.structs.replace(past, difference_variance=known)
        affected = model.spec.outcome.affected_by_answer if model.spec is not None else True
        window_us = window_of(policy, model.spec)
        found = forecast(policy, past, affected=affected, window_us=window_us, challengers=challengers)
        return past, found

    def _known_variance(self, model_id: str, bound: float, recipe: str) -> float | None:
        """Return the variance that the last shadow of the same recipe has shown."""
        for record in reversed(
            [one for one in self._records.list(model_id, None, newest=_SHADOWS) if one.recipe == recipe]
        ):
            gate = record.terms.gate("quality")
            stream = self._records.books(record.id).books.streams.get("quality")
            usable = gate is not None and gate.estimator == "paired" and gate.bound == bound
            if usable and stream is not None and stream.n >= record.terms.minimum_units:
                return stream.v / stream.n
        return None

    def _anchor(self, model_id: str, champion: Version, challengers: Sequence[Version]) -> str | None:
        anchor = self._registry.alias(model_id, ANCHOR)
        there = {champion.id, *(one.id for one in challengers)}
        if anchor is None or anchor.id in there or _kind(challengers, champion) == "new_recipe":
            return None
        return anchor.id

    def _facts(
        self, record: Record, books: Books, disabled: Mapping[str, str] | None = None, newest_us: int | None = None
    ) -> Facts:
        champion = self._registry.alias(record.model, CHAMPION)
        others = [one for one in self._records.list(record.model, True) if one.id != record.id]
        out = disabled or {}
        seen = tuple(
            Seen(
                one.version,
                _shows(record.terms, books.arms.get(one.version, Books()), newest_us),
                books.earned.get(one.version),
                out.get(one.version, ""),
            )
            for one in record.state.contest
        )
        return Facts(
            champion=champion.id if champion is not None else None,
            compared_with=record.champion,
            challenger=record.challenger,
            disabled=out.get(record.challenger, ""),
            another_draws=any(one.state.share > 0 for one in others),
            step_requests=books.step_requests,
            shadow_requests=books.shadow_requests,
            too_late_outcomes=books.too_late_outcomes,
            best_effort_rows=books.best_effort_rows,
            seen=seen,
            earned=books.earned.get(record.champion),
            salt=record.salt,
        )

    def _command(self, release_id: str, order: Command, by: str, reason: str) -> Release:
        _check_reason(reason)
        record, changes = self._records.load(release_id)
        now_us = self._clock.now_us()
        decision = command(record.terms, record.state, order, by, reason, now_us, started_by=record.by)
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
        if decision.winner:
            record = self._led_by(tx, record, decision.winner)
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
        self._records.save(tx.connection, record, changes)
        self._records.keep_decision(tx.connection, record.id, decision)
        reached("release.before_commit")

    def _compared(self, record: Record, decision: Decision) -> Record:
        """Return the record with where the answers differed, when it leaves its shadow."""
        leaves = decision.kind in (*ENDING, "advance")
        if record.state.stage != "shadow" or not leaves or not record.terms.judged:
            return record
        by = list(record.policy.slices) if isinstance(record.policy, Shadow) else []
        found = self.reports.disagreement(shown(record), by, challenger=decision.winner or None)
        return msgspec.structs.replace(record, disagreement=tuple(found))

    def _led_by(self, tx: Transaction, record: Record, winner: str) -> Record:
        """Return the release with the one of several challengers that has won in the place of all of them."""
        version = self._registry.version(winner)
        if record.challenger != winner:
            reason = f"v{version.number} has won"
            self._registry.point(tx, record.model, CHALLENGER, winner, reason, {"release": record.id})
        return msgspec.structs.replace(
            record, challenger=winner, challenger_number=version.number, recipe=version.lineage.recipe
        )

    def _anchor_before(self, record: Record) -> str | None:
        """Return the anchor that the challenger took the place of, so that undoing its release gives it back."""
        moves = self._registry.history(record.model, ANCHOR)
        for earlier, later in reversed(list(pairwise(moves))):
            if later.version == record.challenger:
                return earlier.version
        return record.champion

    def _take_challenger_away(self, tx: Transaction, record: Record, reason: str) -> None:
        pointed = self._registry.alias(record.model, CHALLENGER)
        if pointed is not None and pointed.id in (record.challenger, *(one.version for one in record.state.contenders)):
            self._registry.point(tx, record.model, CHALLENGER, None, reason, {"release": record.id})

    def _rebased(self, record: Record) -> Record:
        champion = self._registry.alias(record.model, CHAMPION)
        if champion is None:
            raise Conflict("there is no champion to compare with", field="release", value=record.id)
        model = self._registry.model(None, record.model)
        versions = [self._registry.version(id) for id in _challengers(record)]
        anchor = self._anchor(record.model, champion, versions)
        past = Past(record.terms.horizon_us, record.terms.loss, label_cut=record.terms.label_cut)
        contenders = max(len(record.state.contenders), 1)
        setting = Setting(_kind(versions, champion), anchor is not None, record.terms.challengers, contenders)
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
            self._records.save(connection, record, changes)
            self._records.save_books(connection, record.id, books)
            if keep:
                self._records.keep_decision(connection, record.id, decision)

    def _insert(self, tx: Transaction, record: Record) -> None:
        numbers = {
            **_who(record),
            "kind": record.terms.kind,
            "policy": msgspec.to_builtins(record.policy),
            "terms_digest": record.terms.digest(),
            "policy_digest": record.terms.policy_digest,
            "forecast": msgspec.to_builtins(record.forecast),
        }
        start = record.state.started_us
        fresh = Books(rows_us=start, pairs_us=start, drawn_us=start, drawn_labels_us=start)
        arms = {one.version: fresh for one in record.state.contenders}
        self._records.insert(tx.connection, record, msgspec.structs.replace(fresh, arms=arms))
        tx.record("release.started", record.id, record.reason, numbers, project=record.project)


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


def _check_number(policy: Policy, versions: Sequence[Version]) -> None:
    """Refuse several challengers where the policy compares one, and more than a bandit's floor leaves room for."""
    if len(versions) > 1 and not isinstance(policy, Bandit | ChampionChallenger):
        raise InvalidInput(
            "takes one challenger", field="release", value=[version.number for version in versions],
            remedy="use ChampionChallenger or Bandit, or start a release of each",
        )  # fmt: skip
    if isinstance(policy, Bandit) and policy.floor * (len(versions) + 1) >= 1.0:
        raise InvalidInput(
            "leaves nothing to share out", field="floor", value=policy.floor,
            remedy=f"with {len(versions) + 1} versions it must be below {1.0 / (len(versions) + 1):.2g}",
        )  # fmt: skip


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput("a command needs a reason", field="reason", remedy="say why in a few words")


def _check_role(role: str, by: str, roles: Mapping[str, Sequence[str]]) -> None:
    """Refuse whoever the home's settings do not give the role."""
    if role not in roles:
        raise Refused(
            "is nobody's role in this home", field="role", value=role,
            remedy=f'name who has it under [roles] in settings.toml, such as {role} = ["{by}"]',
        )  # fmt: skip
    if by not in roles[role]:
        raise Refused(
            f"is not {role}", field="by", value=by, remedy=f"ask {' or '.join(roles[role]) or 'somebody else'}"
        )


def _challengers(record: Record) -> tuple[str, ...]:
    return tuple(one.version for one in record.state.contest) or (record.challenger,)


def _kind(challengers: Sequence[Version], champion: Version) -> Any:
    """Return refresh where every challenger was made by the champion's recipe."""
    recipe = champion.lineage.recipe
    return "refresh" if recipe and all(one.lineage.recipe == recipe for one in challengers) else "new_recipe"


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
        return set(_challengers(record)) <= {shadow.version for shadow in model.shadows}
    drawn = model.release
    if drawn is None or (drawn.id, drawn.epoch) != (record.id, record.state.epoch):
        return False
    shares = {drawn.challenger: drawn.share, **{one.version: one.share for one in drawn.others}}
    wanted = {one.version: one.share for one in record.state.contest} or {record.challenger: record.state.share}
    return shares == wanted


def _shows(terms: Terms, books: Books, newest_us: int | None) -> Evidence | None:
    """Return what the books show, with the newest outcome that anybody told."""
    known = [one for one in (newest_us, books.newest_label_us) if one is not None]
    books = msgspec.structs.replace(books, newest_label_us=max(known, default=None))
    return evidence(books, terms.gates, terms.alpha_ratio)


def _after_books(books: Gathered, decision: Decision) -> Gathered:
    counted = books.books.arms[decision.winner] if decision.winner and decision.kind == "advance" else books.books
    after_it = counted.after(decision.kind, decision.step, decision.at_us)
    return Gathered(after_it, no_units() if decision.kind == "rebase" else books.units)


def _who(record: Record) -> dict[str, Any]:
    return {
        "model": record.model_name,
        "challenger": record.challenger_number,
        "champion": record.champion_number,
        "recipe": record.recipe,
        "kind": record.terms.kind,
    }
