"""Does a metric on held-out rows lie within its limits?"""

from __future__ import annotations

from mainspring.checks.judges.held_out import MISSING, label_and_score, show, within
from mainspring.checks.measures import METRICS
from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import Metric


def judge(check: Metric, candidate: Candidate) -> Finding:
    """Compute the metric on all held-out rows; one that cannot be computed has failed."""
    if candidate.held_out is None or candidate.held_out.is_empty():
        return Finding("failed", MISSING)
    label, score = label_and_score(candidate.held_out)
    value = METRICS[check.metric](label, score)
    numbers = {"value": value, "at_least": check.at_least, "at_most": check.at_most, "rows": label.size}
    if value is None:
        return Finding("failed", f"{check.metric} cannot be computed on {label.size} rows", numbers)
    good = within(value, check.at_least, check.at_most)
    limit = show(check.at_least, check.at_most)
    return Finding("passed" if good else "failed", f"{check.metric} is {value:.4g} where {limit} is asked", numbers)
