"""Releases: load, gather evidence, decide, and save state, ledger entry and alias together."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence

import msgspec

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, InvalidInput
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import ANCHOR, CHALLENGER, CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.release.agreement import Agreements, check_asked_alike, check_most, check_number
from mainspring.release.approvers import Approvers, covers
from mainspring.release.decision import Decision, Say
from mainspring.release.effects import Effects, after_books
from mainspring.release.engine import Command, Waiver, command, decide
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.gathered import Books, Evidence
from mainspring.release.facts import FactsReader, shows
from mainspring.release.gather import gather
from mainspring.release.history import History, Recomputed
from mainspring.release.outlook import amended, check_judges_outcome, loss_of
from mainspring.release.policy import Immediate, Policy, check_policy, decode_policy, policy_digest
from mainspring.release.policy.change import change
from mainspring.release.policy.outline import outline
from mainspring.release.recompute import recompute
from mainspring.release.records import ChangedMeanwhile, Records
from mainspring.release.release import Record, Release, shown
from mainspring.release.reports import ReleaseReports
from mainspring.release.uptake import acknowledge
from mainspring.serving.routing import Routing

LOOP = "loop"
_STOPPING: tuple[Command, ...] = ("abort", "roll_back", "hold")
_TRIES = 20


class ReleaseService:
    """Starts, steps and ends releases. ``passed`` tells whether a version's checks passed; it must, to start.

    ``approvers`` tells who may approve, for policies that ask for it; without it nobody has a role.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        log: PredictionLog,
        clock: Clock,
        passed: Callable[[str], bool] | None = None,
        approvers: Approvers | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._log = log
        self._clock = clock
        self.approvers = approvers or Approvers({}, lambda id: None)
        self._records = Records(store)
        self.agreements = Agreements(registry=registry, log=log, records=self._records, clock=clock, passed=passed)
        self._facts = FactsReader(registry, self._records)
        self.reports = ReleaseReports(registry=registry, log=log, clock=clock)
        self._effects = Effects(
            store=store, registry=registry, records=self._records, agreements=self.agreements, reports=self.reports
        )

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
        check_policy(policy)
        self.check_approval(model, policy, by)
        versions = [self._registry.version(id) for id in dict.fromkeys((version_id, *others))]
        champion = self.agreements.champion_to_beat(model, versions, self._registry.alias(model_id, CHAMPION))
        check_number(policy, versions)
        waits = not isinstance(policy, Immediate) or policy.approval is not None
        if waits:
            for version in versions:
                check_asked_alike(version, champion)
        record = self.agreements.record(model, versions, champion, policy, by, reason)
        with self._store.begin(by) as tx:
            present = self.agreements.champion_to_beat(model, versions, self._registry.alias(model_id, CHAMPION))
            _check_unchanged(present, champion.id)
            self.agreements.check_place(model, record)
            self._effects.insert(tx, record)
            if waits:
                self._registry.point(tx, model_id, CHALLENGER, version_id, reason)
            else:
                order = command(record.terms, record.state, "promote", by, reason, self._clock.now_us())
                order = msgspec.structs.replace(order, reason="immediate", sentence="the policy asks for no evidence")
                self._effects.act(tx, record, order, Waiver(by, reason))
        return self.get(record.id)

    def check_all(self, model_id: str, version_ids: Sequence[str], policy: Policy, *, by: str) -> None:
        """Refuse versions of which each is to have a release of its own, if any of these could not start."""
        model = self._registry.model(None, model_id)
        check_policy(policy)
        self.check_approval(model, policy, by)
        versions = [self._registry.version(id) for id in version_ids]
        champion = self.agreements.champion_to_beat(model, versions, self._registry.alias(model_id, CHAMPION))
        check_most(versions)
        for version in versions:
            check_asked_alike(version, champion)
            self.agreements.check_decidable(model, version, champion, policy, beside=len(versions) - 1)

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
            return decide(record.terms, record.state, None, self._facts.read(record, Books()), now_us)
        stored, counted_before = record, self._records.books(release_id)
        record = acknowledge(record, acknowledged_generation, routing, now_us)
        books = gather(self._log, record, counted_before, now_us)
        newest_us = self._log.last_outcome_us(record.model)
        found = None if record.state.contest else shows(record.terms, books.books, newest_us)
        facts = self._facts.read(record, books.books, disabled or {}, newest_us)
        decision = decide(record.terms, record.state, found, facts, now_us)
        if decision.kind == "wait":
            counted = record is not stored or books.books is not counted_before.books
            self._effects.wait(record, changes, books, decision, counted=counted)
            return decision
        record = self._effects.compared(record, decision)
        warrant: Evidence | Waiver | None = facts.of(decision.winner).evidence if decision.winner else found
        if not record.terms.judged:
            warrant = Waiver(record.by, record.reason)
        with self._store.begin(by) as tx:
            if decision.kind in ("advance", "promote"):
                _check_unchanged(self._registry.alias(record.model, CHAMPION), record.champion)
            self._records.save_books(tx.connection, record.id, after_books(books, decision))
            self._effects.act(tx, record, decision, warrant, changes)
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
        if record.terms.approval is not None:
            self.approvers.check(record.terms.approval, by)
        return self._command(release_id, "approve", by, reason)

    def set_policy(self, model_id: str, policy: Policy, *, by: str, reason: str) -> ModelRow:
        """Start a model's releases to come by this policy, until its project declares another one."""
        _check_reason(reason)
        model = self._registry.model(None, model_id)
        before = decode_policy(model.release)
        if policy == before:
            raise Conflict("is the model's policy already", field="policy")
        self.check_approval(model, policy, by)
        check_judges_outcome(policy, model.spec)
        loss_of(outline(policy))  # a metric that needs a bound has one
        numbers = {
            "model": model.name,
            "policy": msgspec.to_builtins(policy),
            "policy_digest": policy_digest(policy),
            "policy_digest_before": policy_digest(before),
        }
        with self._store.begin(by) as tx:
            self._registry.set_release(tx, model_id, msgspec.json.encode(policy).decode())
            tx.record("policy.set", model_id, reason, numbers, project=model.project)
        return self._registry.model(None, model_id)

    def change(self, release_id: str, policy: Policy, *, by: str, reason: str, dry_run: bool = False) -> Release:
        """Go on by another policy; refused where that would take back what the evidence so far rests on.

        With ``dry_run`` it is only said whether it would be taken.
        """
        _check_reason(reason)
        record, changes = self._records.load(release_id)
        policy = change(record.policy, policy, record.state)
        if dry_run:
            return self.get(release_id)
        terms = amended(record.terms, policy)
        changed = msgspec.structs.replace(record, policy=policy, terms=terms)
        now_us = self._clock.now_us()
        decision = Say(terms, record.state, None, now_us, by=by)("change", "inconclusive", "changed_by_hand", reason)
        with self._store.begin(by) as tx:
            self._effects.change(tx, changed, decision, record.terms.policy_digest, changes)
        return self.get(release_id)

    def get(self, release_id: str) -> Release:
        """Return a release with its evidence and the history of its decisions."""
        record, _ = self._records.load(release_id)
        return shown(record, self._records.history(release_id), self._records.agreed(release_id))

    def list(
        self,
        model_id: str | None = None,
        running: bool | None = None,
        *,
        status: str | None = None,
        newest: int | None = None,
        before: str | None = None,
    ) -> builtins.list[Release]:
        """Return releases without their history, oldest first.

        Of one model, running or over, of one status, or the newest few alone, if asked; ``before`` is the id of the
        oldest one that is known already.
        """
        known = self._records.load(before)[0] if before is not None else None
        found = self._records.list(model_id, running, status=status, newest=newest, before=known)
        return [shown(record) for record in found]

    def recompute(self, release_id: str) -> builtins.list[Recomputed]:
        """Work each stored decision out again from the log, and compare; say why where that cannot be."""
        record = self._records.load(release_id)[0]
        past = History(
            record, self._records.history(release_id), self._records.agreed(release_id), self.agreements.rebased
        )
        return recompute(self._log, self._registry, past)

    def running(self, model_id: str) -> builtins.list[Release]:
        """Return the releases of a model that are not over, held ones too, oldest first."""
        return [shown(record) for record in self._records.list(model_id, True)]

    def forecast(self, model_id: str, policy: Policy | str | None = None) -> Forecast:
        """Return when a release by this policy, started now, is expected to be decided."""
        model = self._registry.model(None, model_id)
        if policy is None or isinstance(policy, str):
            policy = decode_policy(policy or model.release)
        check_policy(policy)
        champion = self._registry.alias(model_id, CHAMPION)
        return self.agreements.outlook(model, policy, champion, champion.lineage.recipe if champion else "")[1]

    def first_champion(self, model_id: str, version_id: str, *, by: str, reason: str) -> None:
        """Make a version the first champion; there is nothing to compare it with, and the ledger says so."""
        model = self._registry.model(None, model_id)
        self.agreements.check_none(model)
        self.check_past_approval(model, by)
        version = self._registry.version(version_id)
        self.agreements.check_fit(model, version)
        numbers = {"model": model.name, "version": version.number, "comparison": None, "metrics": version.metrics}
        with self._store.begin(by) as tx:
            self.agreements.check_none(model)
            entry_reason = f"{reason}: the first champion, nothing to compare it with"
            tx.record("release.first_champion", version_id, entry_reason, numbers, project=model.project)
            self._registry.point(tx, model_id, CHAMPION, version_id, entry_reason)
            self._registry.point(tx, model_id, ANCHOR, version_id, entry_reason)

    def check_past_approval(self, model: ModelRow, by: str) -> None:
        """Refuse to make a version champion without a release, where the model asks for approval."""
        remedy = "let somebody do it who may approve it, or release it by the model's policy"
        self.approvers.check_past(decode_policy(model.release).approval, by, remedy=remedy)

    def check_approval(self, model: ModelRow, policy: Policy, by: str) -> None:
        """Refuse a policy that leaves out an approval which the model's own asks for."""
        asked = decode_policy(model.release).approval
        if not covers(policy.approval, asked):
            self.approvers.check_past(asked, by, remedy="ask for the same approval in this policy")

    def _command(self, release_id: str, order: Command, by: str, reason: str) -> Release:
        """Carry an order out; one that stops must not lose against another of the same moment: it tries again."""
        _check_reason(reason)
        tries = _TRIES if order in _STOPPING else 1
        for left in reversed(range(tries)):
            try:
                self._order(release_id, order, by, reason)
                break
            except ChangedMeanwhile:
                if not left:
                    raise
        return self.get(release_id)

    def _order(self, release_id: str, order: Command, by: str, reason: str) -> None:
        record, changes = self._records.load(release_id)
        now_us = self._clock.now_us()
        decision = command(record.terms, record.state, order, by, reason, now_us, started_by=record.by)
        if decision.kind != "wait":
            if order == "roll_back" and record.state.status == "promoted":
                self._check_still_champion(record)
            with self._store.begin(by) as tx:
                self._effects.act(tx, record, decision, Waiver(by, reason), changes)

    def _check_still_champion(self, record: Record) -> None:
        champion = self._registry.alias(record.model, CHAMPION)
        if champion is None or champion.id != record.challenger:
            raise Conflict("is not the champion any more", field="version", value=record.challenger_number)


def _check_unchanged(present: Version | None, compared_with: str) -> None:
    """Refuse what was decided about a champion that somebody has replaced meanwhile; called in the transaction."""
    if present is None or present.id != compared_with:
        raise Conflict("was replaced at the same time", field="champion", remedy="try again")


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput("a command needs a reason", field="reason", remedy="say why in a few words")
