"""What is said of *days like these*: how often its interval leaves out what is true of such days, looked at once.

Claimed: days are independent and vary evenly to both sides; their sizes may differ as they like, and their effects may
have heavy tails. Measured and published: days that hang together, and days whose effects lean to one side.
``python -m tests.statistics.test_days`` writes the table of docs/explain/what-is-promised.md.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.statistics.simulate import most

from mainspring.kernel.duration import DAY_US
from mainspring.release.evidence.days import by_days, days_of

RUNS, ALPHA = 2_000, 0.05
LENGTHS = (14, 28, 60)
ROWS, DAY_SD, ROW_SD = 100.0, 0.05, 0.3  # a day of 100 rows: its mood varies by .05, the mean of its rows by .03
SIZES = ("equal", "week", "uneven", "very_uneven", "one_large")
EVEN = ("normal", "t3")
DEPENDENCE = (0.3, 0.6)


def sizes(kind: str, days: int, random: np.random.Generator) -> np.ndarray:
    """Return how many rows each day has."""
    if kind == "equal":
        return np.full(days, ROWS)
    if kind == "week":
        return np.where(np.arange(days) % 7 >= 5, ROWS / 5, ROWS)
    if kind == "one_large":
        return np.where(np.arange(days) == 0, 10 * ROWS, ROWS)
    return ROWS * random.lognormal(0.0, 0.5 if kind == "uneven" else 1.0, days)


def moods(kind: str, days: int, random: np.random.Generator, phi: float = 0.0) -> np.ndarray:
    """Return each day's effect, of mean 0 and standard deviation 1."""
    if kind == "t3":
        return random.standard_t(3, days) / np.sqrt(3.0)
    if kind == "leaning":
        return (random.lognormal(0.0, 1.0, days) - np.exp(0.5)) / np.sqrt((np.e - 1.0) * np.e)
    found = random.standard_normal(days)
    for day in range(1, days):
        found[day] = phi * found[day - 1] + np.sqrt(1.0 - phi * phi) * found[day]
    return found


@cache
def missed(days: int, size: str, mood: str, phi: float = 0.0, busy: float = 0.0) -> int:
    """Return in how many runs the interval leaves the truth out, 0; ``busy`` is the effect of a day twice as large."""
    random, wrong = np.random.default_rng(days), 0
    for _ in range(RUNS):
        w = sizes(size, days, random)
        effect = DAY_SD * moods(mood, days, random, phi) + busy * (w / ROWS - MEAN_SQUARE / MEAN)
        x = w * effect + ROW_SD * np.sqrt(w) * random.standard_normal(days)
        low, high, _ = by_days(dict(enumerate(zip(w.tolist(), x.tolist(), strict=True))), ALPHA)
        wrong += not low <= 0.0 <= high
    return wrong


MEAN, MEAN_SQUARE = np.exp(0.125), np.exp(0.5)  # of the sizes of uneven days, in hundreds of rows: E[w], E[w²]


@pytest.mark.parametrize("mood", EVEN)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("days", LENGTHS)
def test_it_leaves_out_what_is_true_of_such_days_once_in_twenty_at_most(days: int, size: str, mood: str) -> None:
    wrong = missed(days, size, mood)
    print(f"{days} days, {size}, {mood}: {wrong / RUNS:.1%}")
    assert wrong <= most(RUNS, ALPHA)


@pytest.mark.parametrize("days", LENGTHS)
def test_where_busy_days_are_worse_days_it_holds_too(days: int) -> None:
    wrong = missed(days, "uneven", "normal", busy=0.03)
    print(f"{days} days, busy ones worse: {wrong / RUNS:.1%}")
    assert wrong <= most(RUNS, ALPHA)


def test_it_is_not_a_dead_interval() -> None:
    """On days of one size it is Student's t of their means, so it errs about as often as it may."""
    assert missed(14, "equal", "normal") > 60  # of 2,000; a true .05 gives fewer once in 20,000 times


def test_where_days_hang_together_it_errs_more() -> None:
    """No block of a day cures what reaches into the next one: it is published, not promised."""
    for days in LENGTHS:
        assert most(RUNS, ALPHA) < missed(days, "equal", "normal", 0.3) < missed(days, "equal", "normal", 0.6)


def test_the_manuals_table_is_what_is_found_here() -> None:
    told = {name: re.findall(r"([\d.]+) %", line) for name, line in LINE.findall(PAGE.read_text())}
    for name, found in rows().items():
        assert [float(one) for one in told[name]] == pytest.approx([100.0 * one / RUNS for one in found], abs=0.15)


def by_rows(random: np.random.Generator, days: int) -> bool:
    """Tell whether an interval of the rows, as if each were drawn for itself, leaves out what is true of such days."""
    x = np.repeat(DAY_SD * moods("normal", days, random), int(ROWS)) + ROW_SD * random.standard_normal(days * int(ROWS))
    return bool(abs(x.mean()) > 1.96 * x.std() / np.sqrt(len(x)))


def test_rows_in_the_place_of_days_err() -> None:
    random = np.random.default_rng(5)
    assert sum(by_rows(random, 28) for _ in range(400)) > 0.12 * 400


def plain(w: np.ndarray, x: np.ndarray) -> bool:
    """Tell whether Student's t of the residuals of days, as if all were of one size, leaves 0 out."""
    mean = x.sum() / w.sum()
    error = np.sqrt(np.square(x - mean * w).sum() * len(w) / (len(w) - 1)) / w.sum()
    return bool(abs(mean) > 2.16 * error)


def test_days_of_several_sizes_taken_for_days_of_one_size_err() -> None:
    random, wrong = np.random.default_rng(6), 0
    for _ in range(RUNS):
        w = sizes("one_large", 14, random)
        wrong += plain(w, w * DAY_SD * moods("normal", 14, random) + ROW_SD * np.sqrt(w) * random.standard_normal(14))
    assert wrong > 2 * 100  # twice the promise


def test_the_rows_of_a_day_are_what_makes_its_block() -> None:
    random = np.random.default_rng(7)
    at_us = np.arange(20 * 50) * (DAY_US // 50)
    x = np.repeat(moods("normal", 20, random), 50)
    low, high, days = by_days(days_of({}, at_us, np.ones_like(x), x), ALPHA)
    assert days == 20
    assert (high - low) / 2.0 == pytest.approx(2.093 * x[::50].std(ddof=1) / np.sqrt(20.0), rel=1e-3)


PAGE = Path(__file__).parents[2] / "docs" / "explain" / "what-is-promised.md"
LINE = re.compile(r"^\| (.*?) \|(.*%.*)\|$", re.MULTILINE)
WORDS = {
    "equal": "of one size", "week": "weekends a fifth", "uneven": "uneven (log-normal, .5)",
    "very_uneven": "very uneven (log-normal, 1)", "one_large": "one ten times the others",
}  # fmt: skip


def rows() -> dict[str, list[int]]:
    """Return the lines of the table: in how many runs the truth is left out, by the number of days."""
    found = {}
    for mood, tails in (("normal", ""), ("t3", ", heavy tails (t, 3 degrees)")):
        found |= {f"{WORDS[size]}{tails}": [missed(days, size, mood) for days in LENGTHS] for size in SIZES}
    found["uneven, busy days worse"] = [missed(days, "uneven", "normal", busy=0.03) for days in LENGTHS]
    found["of one size, effects that lean to one side (log-normal)"] = [
        missed(days, "equal", "leaning") for days in LENGTHS
    ]
    for phi in DEPENDENCE:
        name = f"of one size, φ = {phi:g} from day to day".replace("0.", ".")
        found[name] = [missed(days, "equal", "normal", phi) for days in LENGTHS]
    return found


def table() -> list[str]:
    return [
        f"| days | {' | '.join(str(days) for days in LENGTHS)} |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {' | '.join(f'{one / RUNS:.1%}'.replace('%', ' %') for one in found)} |"
          for name, found in rows().items()),
    ]  # fmt: skip


if __name__ == "__main__":
    print("\n".join(table()))
