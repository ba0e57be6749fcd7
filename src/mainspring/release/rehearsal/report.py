"""What a rehearsal says: how often a release would end how, given these rows, with the simulation's own error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from mainspring.kernel.duration import DAY_US
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.rehearsal.play import Ended

Z95 = 1.96


class Chance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the plays, as a share with its Monte-Carlo standard error and 95 % interval (Wilson)."""

    plays: int
    share: float
    standard_error: float
    low: float
    high: float


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How something is spread over plays; ``standard_error`` is that of the mean, from the number of plays."""

    mean: float
    standard_error: float
    p10: float
    median: float
    p90: float
    most: float


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release played many times on the same logged rows: only routing's draw (and injected errors) differ.

    ``inconclusive`` counts releases returned or held at their deadline, and those that the log ended first
    (``unfinished``). ``days`` are those until the end, of plays that came to one; ``exposed_rows`` and
    ``exposed_units`` met the challenger's answers.
    """

    model: str
    challenger: int
    champion: int
    policy: str
    from_us: int
    until_us: int
    plays: int
    seed: int
    injected: tuple[str, ...]
    rows: int
    units: int
    labelled_rows: int
    recomputed_rows: int
    left_out_rows: int
    promotion: Chance
    rollback: Chance
    inconclusive: Chance
    unfinished: int
    reasons: dict[str, int]
    days: Spread | None
    shadow_days: Spread | None
    exposed_rows: Spread
    exposed_units: Spread
    forecast: Forecast | None
    terms_digest: str
    sentence: str


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What plays came to, before it is known whose they were."""

    promotion: Chance
    rollback: Chance
    inconclusive: Chance
    unfinished: int
    reasons: dict[str, int]
    days: Spread | None
    shadow_days: Spread | None
    exposed_rows: Spread
    exposed_units: Spread


def count(ended: Sequence[Ended]) -> Counted:
    """Return shares and spreads over plays."""
    promoted = sum(one.status == "promoted" for one in ended)
    stopped = sum(one.status == "rolled_back" for one in ended)
    over = [one for one in ended if one.status != "running"]
    return Counted(
        promotion=chance(promoted, len(ended)),
        rollback=chance(stopped, len(ended)),
        inconclusive=chance(len(ended) - promoted - stopped, len(ended)),
        unfinished=len(ended) - len(over),
        reasons=dict(Counter(one.reason if one.status != "running" else "log_ended" for one in ended).most_common()),
        days=spread([one.after_us / DAY_US for one in over]),
        shadow_days=spread([one.shadow_us / DAY_US for one in ended if one.shadow_us is not None]),
        exposed_rows=_spread([one.exposed_rows for one in ended]),
        exposed_units=_spread([one.exposed_units for one in ended]),
    )


def chance(hits: int, plays: int) -> Chance:
    """Return a share of plays with its error.

    >>> round(chance(950, 1_000).standard_error, 4)
    0.0069
    """
    share = hits / plays
    middle = (share + Z95**2 / (2 * plays)) / (1 + Z95**2 / plays)
    reach = Z95 * math.sqrt(share * (1 - share) / plays + Z95**2 / (4 * plays**2)) / (1 + Z95**2 / plays)
    error = math.sqrt(share * (1 - share) / plays)
    return Chance(hits, share, error, max(0.0, middle - reach), min(1.0, middle + reach))


def spread(values: Sequence[float]) -> Spread | None:
    """Return how values are spread, or None where there are none."""
    return _spread(values) if values else None


def _spread(values: Sequence[float]) -> Spread:
    numbers = np.asarray(values, dtype=np.float64)
    error = float(numbers.std(ddof=1) / math.sqrt(len(numbers))) if len(numbers) > 1 else 0.0
    p10, median, p90 = (float(one) for one in np.quantile(numbers, [0.1, 0.5, 0.9]))
    return Spread(float(numbers.mean()), error, p10, median, p90, float(numbers.max()))


def sentence(found: Counted, rows: int, injected: Sequence[str]) -> str:
    """Return the result in one sentence, as a person would say it."""
    say: Callable[[Chance], str] = lambda one: f"{one.share:.1%} (± {Z95 * one.standard_error:.1%})"  # noqa: E731
    fault = f", with {', '.join(injected)}" if injected else ""
    ends = (
        f"promotion in {say(found.promotion)}, rollback in {say(found.rollback)}, "
        f"no decision in {say(found.inconclusive)} of plays"
    )
    took = f"; the median play ends after {found.days.median:.1f} days" if found.days else ""
    return f"given these {rows} rows{fault}: {ends}{took}"
