"""Is it shown to be worse than the champion on the same held-out rows?"""

from __future__ import annotations

import polars as pl

from mainspring.checks.judges.held_out import MISSING, label_and_score
from mainspring.checks.measures import LOSSES, day_block_interval
from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import NotWorseThanChampion
from mainspring.kernel.duration import DAY_US

FEWEST_ROWS = 200


def judge(check: NotWorseThanChampion, candidate: Candidate) -> Finding:
    """Compare losses row by row, by day blocks, in one look.

    Rows whose outcomes the champion was fitted on are left out if enough others remain; else they are used and said so.
    It fails when the whole interval lies above the margin. What cannot be told here, shadow can tell.
    """
    if candidate.held_out is None or candidate.held_out.is_empty():
        return Finding("failed", MISSING)
    if "champion_score" not in candidate.held_out.columns:
        return Finding("inconclusive", "the champion did not answer these rows")
    rows = candidate.held_out.filter(pl.col("champion_score").is_not_null())
    if rows.is_empty():
        return Finding("inconclusive", "no champion answered these rows: there is none yet, or its inputs differ")
    unseen = rows.filter(~pl.col("champion_seen"))
    fair = unseen if unseen.height >= FEWEST_ROWS else rows
    loss = LOSSES[check.metric]
    ours = loss(*label_and_score(fair))
    theirs = loss(*label_and_score(fair, "champion_score"))
    found = day_block_interval(ours - theirs, fair.get_column("at_us").to_numpy() // DAY_US)
    numbers = {
        "candidate": float(ours.mean()),
        "champion": float(theirs.mean()),
        "margin": check.margin,
        "rows": fair.height,
        "seen_by_champion": fair.height - unseen.height if fair is rows else 0,
        "look": "one-shot",
    }
    if found is None:
        return Finding("inconclusive", f"{fair.height} rows on fewer than 2 days cannot be compared", numbers)
    mean, low, high, days = found
    numbers |= {"difference": mean, "low": low, "high": high, "days": days}
    words = f"its {check.metric} differs by {mean:+.4f} [{low:+.4f}, {high:+.4f}] over {days} days"
    if high <= check.margin:
        return Finding("passed", f"{words}, below the margin of {check.margin:g}", numbers)
    if low > check.margin:
        return Finding("failed", f"{words}, above the margin of {check.margin:g}", numbers)
    return Finding("inconclusive", f"{words}, which may lie on either side of {check.margin:g}", numbers)
