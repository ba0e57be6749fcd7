"""Running a model's checks on a version, keeping what they said, and who overrode one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update

from mainspring.checks.judges import champion, latency, leak, metric, schema, slices
from mainspring.checks.result import Candidate, CheckResult, Finding
from mainspring.checks.spec import (
    Check,
    Latency,
    Metric,
    NotWorseThanChampion,
    Schema,
    Slices,
    TooGoodToBeTrue,
    with_defaults,
)
from mainspring.checks.tables import check_results
from mainspring.kernel.errors import Conflict, InvalidInput, unknown
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry

_JUDGES: dict[type[Any], Callable[[Any, Candidate], Finding]] = {
    Schema: schema.judge,
    Metric: metric.judge,
    NotWorseThanChampion: champion.judge,
    Slices: slices.judge,
    TooGoodToBeTrue: leak.judge,
    Latency: latency.judge,
}


class CheckService:
    """Judges versions before they may be released."""

    def __init__(self, *, store: Store, registry: Registry, log: PredictionLog) -> None:
        self._store = store
        self._registry = registry
        self._log = log

    def run(self, version_id: str, *, by: str) -> list[CheckResult]:
        """Run every declared check and the default ones on a version; store and return what they said."""
        version = self._registry.version(version_id)
        row = self._registry.model(None, version.model)
        candidate = Candidate(version, row.spec, self._registry.held_out(version))
        found = [
            (check, _JUDGES[type(check)](check, candidate))
            for check in with_defaults(msgspec.json.decode(row.checks, type=list[Check]))
        ]
        blocking = [check.name for check, said in found if said.status == "failed" and check.severity == "block"]
        reason = f"failed: {', '.join(blocking)}" if blocking else f"none of {len(found)} checks failed"
        with self._store.begin(by) as tx:
            entry = tx.record(
                "checks.run",
                version_id,
                reason,
                {
                    "model": row.name,
                    "version": version.number,
                    "passed": not blocking,
                    "results": {check.name: [said.status, said.reason, said.numbers] for check, said in found},
                },
                project=row.project,
            )
            for check, said in found:
                tx.connection.execute(
                    insert(check_results).values(
                        version=version_id,
                        name=check.name,
                        status=said.status,
                        severity=check.severity,
                        reason=said.reason,
                        numbers=msgspec.json.encode(said.numbers).decode(),
                        at_us=tx.at_us,
                        ledger_seq=entry.seq,
                    )
                )
        return self.results(version_id)

    def results(self, version_id: str) -> list[CheckResult]:
        """Return the newest result of each check of a version; none if they were not run."""
        query = select(check_results).where(check_results.c.version == version_id).order_by(check_results.c.id)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        newest = max((row.ledger_seq for row in rows), default=None)
        return [_result(row) for row in rows if row.ledger_seq == newest]

    def passed(self, version_id: str) -> bool:
        """Say whether the checks were run and none of them blocks; a blocking one may have been overridden."""
        results = self.results(version_id)
        return bool(results) and not any(result.blocks for result in results)

    def override(self, version_id: str, check: str, *, by: str, reason: str) -> CheckResult:
        """Let a failed check pass in one's own name; the ledger says who and why."""
        if not reason.strip():
            raise InvalidInput("an override needs a reason", field="reason", remedy="say why in a few words")
        version = self._registry.version(version_id)
        row = self._registry.model(None, version.model)
        results = {result.name: result for result in self.results(version_id)}
        if check not in results:
            raise unknown("check", check, results)
        if results[check].status != "failed":
            raise Conflict("did not fail, so there is nothing to override", field="check", value=check)
        with self._store.begin(by) as tx:
            tx.record(
                "check.overridden",
                version_id,
                reason,
                {
                    "model": row.name,
                    "version": version.number,
                    "check": check,
                    "said": results[check].reason,
                    "numbers": results[check].numbers,
                },
                project=row.project,
            )
            newest = select(check_results.c.id).where(
                check_results.c.version == version_id, check_results.c.name == check
            )
            chosen = tx.connection.scalar(newest.order_by(check_results.c.id.desc()).limit(1))
            tx.connection.execute(
                update(check_results)
                .where(check_results.c.id == chosen)
                .values(overridden_by=by, override_reason=reason)
            )
        return next(result for result in self.results(version_id) if result.name == check)


def _result(row: Row[Any]) -> CheckResult:
    return CheckResult(
        name=row.name,
        status=row.status,
        severity=row.severity,
        reason=row.reason,
        numbers=msgspec.json.decode(row.numbers),
        at_us=row.at_us,
        overridden_by=row.overridden_by,
        override_reason=row.override_reason,
    )
