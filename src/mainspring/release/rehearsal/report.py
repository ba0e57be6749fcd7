"""What a rehearsal says: how often a release would end how, given these rows, with the simulation's own error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from mainspring.kernel.duration import DAY_US
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.policy import Policy
from mainspring.release.rehearsal.play import Ended

Z95 = 1.96


class Chance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the plays, as a share with its Monte-Carlo standard error and 95 % interval (Wilson)."""

    plays: int
    share: float
    standard_error: float
    low: float
    high: float


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantile over plays with its 95 % Monte-Carlo interval, read off the plays in their order."""

    value: float
    low: float
    high: float


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How something is spread over plays; ``low`` and ``high`` are the mean's 95 % Monte-Carlo interval."""

    mean: float
    standard_error: float
    low: float
    high: float
    p10: Point
    median: Point
    p90: Point
    most: float


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release played many times on the same logged rows: only routing's draw (and injected errors) differ.

    ``inconclusive`` counts releases returned or held at their deadline, and those that the log ended first
    (``unfinished``). ``days`` are those until the end, of plays that came to one, ``decided_days`` those until a
    promotion or a rollback; ``exposed_rows`` and ``exposed_units`` met a challenger's answers. ``challengers`` are all
    of them, ``winners`` how often which one was promoted. ``assumed`` says what is taken for granted.
    ``learnt_rows`` were left out, since a version may have been trained on them; to ``unfitted_rows`` it says what its
    recipe said when it was fitted without them.
    """

    id: str
    at_us: int
    project: str
    model: str
    challenger: int
    challengers: tuple[int, ...]
    champion: int
    policy: str
    policy_digest: str
    asked: Policy
    from_us: int
    until_us: int
    plays: int
    seed: int
    injected: tuple[str, ...]
    assumed: tuple[str, ...]
    rows: int
    units: int
    labelled_rows: int
    recomputed_rows: int
    left_out_rows: int
    promotion: Chance
    rollback: Chance
    inconclusive: Chance
    winners: dict[str, Chance]
    unfinished: int
    reasons: dict[str, int]
    days: Spread | None
    decided_days: Spread | None
    shadow_days: Spread | None
    exposed_rows: Spread
    exposed_units: Spread
    terms_digest: str
    sentence: str
    by: str = ""
    reason: str = ""
    forecast: Forecast | None = None
    learnt_rows: int = 0
    unfitted_rows: int = 0

    def numbers(self) -> dict[str, Any]:
        """Return what the ledger keeps beside the reason: what was asked, of which rows, and the counts."""
        kept = ("model", "challengers", "champion", "policy", "policy_digest", "terms_digest", "from_us", "until_us",
                "plays", "seed", "injected", "rows", "units", "reasons")  # fmt: skip
        counts = {name: getattr(self, name).plays for name in ("promotion", "rollback", "inconclusive")}
        return {**{name: msgspec.to_builtins(getattr(self, name)) for name in kept}, **counts}


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What plays came to, before it is known whose they were."""

    promotion: Chance
    rollback: Chance
    inconclusive: Chance
    winners: dict[str, Chance]
    unfinished: int
    reasons: dict[str, int]
    days: Spread | None
    decided_days: Spread | None
    shadow_days: Spread | None
    exposed_rows: Spread
    exposed_units: Spread


def count(ended: Sequence[Ended], numbers: Sequence[int] = (1,)) -> Counted:
    """Return shares and spreads over plays; ``numbers`` are those of the challengers, in the deck's order."""
    promoted = sum(one.status == "promoted" for one in ended)
    stopped = sum(one.status == "rolled_back" for one in ended)
    over = [one for one in ended if one.status != "running"]
    won = Counter(one.winner for one in ended if one.status == "promoted")
    decided = [one.after_us / DAY_US for one in ended if one.status in ("promoted", "rolled_back")]
    return Counted(
        promotion=chance(promoted, len(ended)),
        rollback=chance(stopped, len(ended)),
        inconclusive=chance(len(ended) - promoted - stopped, len(ended)),
        winners={str(numbers[place]): chance(plays, len(ended)) for place, plays in sorted(won.items())},
        unfinished=len(ended) - len(over),
        reasons=dict(Counter(one.reason if one.status != "running" else "log_ended" for one in ended).most_common()),
        days=spread([one.after_us / DAY_US for one in over]),
        decided_days=spread(decided),
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
    numbers = np.sort(np.asarray(values, dtype=np.float64))
    mean, error = float(numbers.mean()), 0.0
    if len(numbers) > 1:
        error = float(numbers.std(ddof=1) / math.sqrt(len(numbers)))
    p10, median, p90 = (_point(numbers, share) for share in (0.1, 0.5, 0.9))
    reach = Z95 * error
    return Spread(mean, error, mean - reach, mean + reach, p10, median, p90, float(numbers[-1]))


def _point(ordered: Floats, share: float) -> Point:
    """Return a quantile; of n plays the number below the true one is binomial, whatever the distribution."""
    n = len(ordered)
    reach = Z95 * math.sqrt(n * share * (1.0 - share))
    first, last = max(math.floor(n * share - reach), 0), min(math.ceil(n * share + reach), n - 1)
    return Point(float(np.quantile(ordered, share)), float(ordered[first]), float(ordered[last]))


def sentence(found: Counted, rows: int, injected: Sequence[str], learnt_rows: int = 0) -> str:
    """Return the result in one sentence, as a person would say it; ``learnt_rows`` more were left out."""
    fault = f", with {', '.join(injected)}" if injected else ""
    ends = (
        f"promotion in {_percent(found.promotion)}, rollback in {_percent(found.rollback)}, "
        f"no decision in {_percent(found.inconclusive)} of plays"
    )
    took = f"; the median play ends after {found.days.median.value:.1f} days" if found.days else ""
    without = f" ({learnt_rows} more were left out: a version was trained on them)" if learnt_rows else ""
    return f"given these {rows} rows{without}{fault}: {ends}{took}"


def told(report: Rehearsal) -> list[str]:
    """Return what plays took, and whom they met, in sentences; what one cannot see from ``sentence``."""
    said = []
    if len(report.challengers) > 1:
        chances = [f"v{number} in {_percent(one)}" for number, one in report.winners.items()]
        said.append(f"promoted is {', '.join(chances) or 'none of them'} of plays")
    reasons = sorted(report.reasons.items(), key=lambda one: -one[1])
    ends = ", ".join(f"{reason.replace('_', ' ')} {plays}" for reason, plays in reasons)
    said.append(f"plays end by: {ends or 'nothing: the log ends first'}")
    for name, spread in (
        ("in shadow", report.shadow_days), ("until the end", report.days), ("until a verdict", report.decided_days)
    ):  # fmt: skip
        if spread is not None:
            said.append(f"days {name}: {_spread_words(spread)}")
    said.append(f"rows that meet a challenger's answers: {_spread_words(report.exposed_rows)}")
    said.append(f"units that do: {_spread_words(report.exposed_units)}")
    return said


def _percent(one: Chance) -> str:
    return f"{one.share:.1%} ({one.low:.1%} to {one.high:.1%})"


def _spread_words(one: Spread) -> str:
    """Return a spread in words.

    >>> _spread_words(Spread(9.96, 0.1, 9.7, 10.2, Point(8, 8, 8), Point(10, 9, 10), Point(11.5, 11, 12), 14))
    '10 at the median (80 % of plays from 8 to 11.5, 14 at most), 9.96 in the mean (9.7 to 10.2)'
    >>> _spread_words(Spread(7.5, 0, 7.5, 7.5, *[Point(7.5, 7.5, 7.5)] * 3, 7.5))
    '7.5 in every play'
    """
    most, mean, p10, p90 = map(_amount, (one.most, one.mean, one.p10.value, one.p90.value))
    if most == mean == p10:
        return f"{most} in every play"
    middle = f"80 % of plays from {p10} to {p90}, {most} at most"
    error = f"{_amount(one.low)} to {_amount(one.high)}"
    return f"{_amount(one.median.value)} at the median ({middle}), {mean} in the mean ({error})"


def _amount(value: float) -> str:
    """Return a number of days or rows.

    >>> _amount(0.0416666), _amount(7.5), _amount(12345.6)
    ('0.0417', '7.5', '12346')
    """
    return f"{value:.0f}" if value >= 1_000 else f"{value:.3g}"
