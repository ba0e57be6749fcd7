"""Does a metric hold in every part of the data that is large enough to tell?"""

from __future__ import annotations

from mainspring.checks.judges.held_out import MISSING, label_and_score, show, within
from mainspring.checks.measures import METRICS
from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import Slices


def judge(check: Slices, candidate: Candidate) -> Finding:
    """Compute the metric for each value of the column; slices too small or of one class are named and not judged."""
    if candidate.held_out is None or candidate.held_out.is_empty():
        return Finding("failed", MISSING)
    column = f"input.{check.column}"
    if column not in candidate.held_out.columns:
        return Finding("failed", f"{check.column} is not an input of this version")
    values: dict[str, float] = {}
    skipped: list[str] = []
    for (value,), rows in candidate.held_out.partition_by(column, as_dict=True, maintain_order=True).items():
        label, score = label_and_score(rows)
        found = METRICS[check.metric](label, score) if rows.height >= check.min_rows else None
        if found is None:
            skipped.append(str(value))
        else:
            values[str(value)] = found
    bad = {name: value for name, value in values.items() if not within(value, check.at_least, check.at_most)}
    limit = show(check.at_least, check.at_most)
    numbers = {"values": values, "failed": sorted(bad), "not_judged": sorted(skipped), "min_rows": check.min_rows}
    if not values:
        return Finding(
            "inconclusive", f"no slice of {check.column} has {check.min_rows} rows and both classes", numbers
        )
    if bad:
        worst = ", ".join(f"{name} {value:.4g}" for name, value in sorted(bad.items(), key=lambda one: one[1])[:5])
        return Finding("failed", f"{check.metric} of {worst} where {limit} is asked", numbers)
    return Finding("passed", f"{check.metric} is {limit} in all {len(values)} slices of {check.column}", numbers)
