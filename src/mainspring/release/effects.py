"""What a decision changes: the release's state, its ledger entry and the aliases, in one transaction."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.duration import HOUR_US
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.registry.alias import ANCHOR, CHALLENGER, CHAMPION
from mainspring.registry.service import Registry
from mainspring.release.agreement import Agreements
from mainspring.release.decision import ENDING, Decision
from mainspring.release.engine import Waiver, after
from mainspring.release.evidence.gathered import Books, Evidence
from mainspring.release.gather import Gathered, no_units
from mainspring.release.policy import Shadow
from mainspring.release.records import Records
from mainspring.release.release import Record, shown
from mainspring.release.reports import ReleaseReports

SHOWN_EVERY_US = 6 * HOUR_US  # a release that waits leaves a point for its drawing this often
KINDS = {
    "advance": "release.advanced", "promote": "release.promoted", "roll_back": "release.rolled_back",
    "return": "release.returned", "hold": "release.held", "resume": "release.resumed", "abort": "release.aborted",
    "rebase": "release.rebased", "drop": "release.dropped", "reweigh": "release.reweighed",
    "approve": "release.approved", "change": "release.changed",
}  # fmt: skip


class Effects:
    """Writes what was decided."""

    def __init__(
        self, *, store: Store, registry: Registry, records: Records, agreements: Agreements, reports: ReleaseReports
    ) -> None:
        self._store = store
        self._registry = registry
        self._records = records
        self._agreements = agreements
        self._reports = reports

    def insert(self, tx: Transaction, record: Record) -> None:
        """Store a new release with its books, and its entry in the ledger."""
        numbers = {
            **who(record),
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

    def act(
        self,
        tx: Transaction,
        record: Record,
        decision: Decision,
        warrant: Evidence | Waiver | None,
        changes: int | None = None,
    ) -> None:
        """Make it so: state, entry, aliases and the decision itself. Promotion needs its ``warrant``."""
        was_promoted = record.state.status == "promoted"
        state = after(record.state, decision, warrant)
        record = msgspec.structs.replace(record, state=state, decision=decision, shown_us=decision.at_us)
        if decision.kind == "rebase":
            record = self._agreements.rebased(record)
        if decision.winner:
            record = self._led_by(tx, record, decision.winner)
        waived = isinstance(warrant, Waiver) and decision.kind == "promote"
        numbers = {**who(record), **decision.numbers(), "evidence_waived": waived}
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

    def change(self, tx: Transaction, record: Record, decision: Decision, digest_before: str, changes: int) -> None:
        """Store a release that goes on by another policy than that of ``digest_before``."""
        policy = {"policy": msgspec.to_builtins(record.policy), "policy_digest_before": digest_before}
        numbers = {**who(record), **decision.numbers(), **policy}
        reason = f"{decision.reason}: {decision.sentence}"
        tx.record(KINDS["change"], record.id, reason, numbers, project=record.project)
        self._records.change(tx.connection, record, decision, changes)
        reached("release.before_commit")

    def wait(self, record: Record, changes: int, books: Gathered, decision: Decision, *, counted: bool) -> None:
        """Store what was counted, and the decision where it says something that the one before did not."""
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

    def compared(self, record: Record, decision: Decision) -> Record:
        """Return the record with where the answers differed, when it leaves its shadow."""
        leaves = decision.kind in (*ENDING, "advance")
        if record.state.stage != "shadow" or not leaves or not record.terms.judged:
            return record
        by = list(record.policy.slices) if isinstance(record.policy, Shadow) else []
        found = self._reports.disagreement(shown(record), by, challenger=decision.winner or None)
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


def after_books(books: Gathered, decision: Decision) -> Gathered:
    """Return what is counted from a decision on."""
    counted = books.books.arms[decision.winner] if decision.winner and decision.kind == "advance" else books.books
    after_it = counted.after(decision.kind, decision.step, decision.at_us)
    return Gathered(after_it, no_units() if decision.kind == "rebase" else books.units)


def who(record: Record) -> dict[str, Any]:
    """Return what every entry on a release says of it."""
    return {
        "model": record.model_name,
        "challenger": record.challenger_number,
        "champion": record.champion_number,
        "recipe": record.recipe,
        "kind": record.terms.kind,
    }
