"""Is one row answered in time?"""

from __future__ import annotations

from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import Latency

DEFAULT_DEADLINE_MS = 1_000


def judge(check: Latency, candidate: Candidate) -> Finding:
    """Compare p99.9 of one row, measured when the version was made, with the limit or the model's deadline."""
    deadline_ms = candidate.spec.deadline_ms if candidate.spec else DEFAULT_DEADLINE_MS
    limit_ms = check.at_most_ms if check.at_most_ms is not None else float(deadline_ms)
    taken_ms = candidate.version.p999_ms
    numbers = {"p999_ms": taken_ms, "at_most_ms": limit_ms}
    if taken_ms is None:
        return Finding("inconclusive", "it was not measured", numbers)
    in_time = taken_ms <= limit_ms
    reason = f"p99.9 of one row is {taken_ms:.3g} ms where at most {limit_ms:g} ms is asked"
    return Finding("passed" if in_time else "failed", reason, numbers)
