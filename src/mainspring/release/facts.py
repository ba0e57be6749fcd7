"""What is so at a moment, put together for the engine: evidence from the books, and what is so beside it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import Registry
from mainspring.release.engine import Facts, Seen
from mainspring.release.evidence.gathered import Books, Evidence, evidence
from mainspring.release.records import Records
from mainspring.release.release import Record
from mainspring.release.terms import Terms


class FactsReader:
    """Reads what the engine must know of a release beside its evidence."""

    def __init__(self, registry: Registry, records: Records) -> None:
        self._registry = registry
        self._records = records

    def read(
        self, record: Record, books: Books, disabled: Mapping[str, str] | None = None, newest_us: int | None = None
    ) -> Facts:
        """Return what is so now; ``disabled`` are versions that gateways took out, with why."""
        champion = self._registry.alias(record.model, CHAMPION)
        others = [one for one in self._records.list(record.model, True) if one.id != record.id]
        out = disabled or {}
        seen = tuple(
            Seen(
                one.version,
                shows(record.terms, books.arms.get(one.version, Books()), newest_us),
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


def shows(terms: Terms, books: Books, newest_us: int | None) -> Evidence | None:
    """Return what the books show, with the newest outcome that anybody told."""
    known = [one for one in (newest_us, books.newest_label_us) if one is not None]
    books = msgspec.structs.replace(books, newest_label_us=max(known, default=None))
    return evidence(books, terms.gates, terms.alpha_ratio)
