"""Metrics without bounds, through the books, gates and verdicts of a release: wrong promotion, wrong rollback, power.

``python -m tests.statistics.test_unbounded`` prints the table of docs/explain/what-is-promised.md; two numbers behind
it are how many runs, where not 2,000 and 20,000.
"""

import math
import sys
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
from tests.statistics.simulate import LONG, most

from mainspring.release.evidence import asymptotic
from mainspring.release.evidence.asymptotic import log_e_unbounded, sharpness
from mainspring.release.evidence.counting import count_drawn_labels, count_pairs
from mainspring.release.evidence.frames import Pairs, Units
from mainspring.release.evidence.gathered import Books, evidence
from mainspring.release.evidence.losses import Loss, loss, rewarding
from mainspring.release.evidence.stream import Gate, Measured
from mainspring.release.terms import Terms, gates

Draw = Callable[[np.random.Generator, int], np.ndarray]
ALPHA_PROMOTE, ALPHA_STOP = 0.05, 0.01
RUNS_PROMOTE, RUNS_STOP = (2_000, 20_000) if LONG else (200, 400)
LOOKS = 4
SHARE = 0.25
REWARDS: dict[str, tuple[Draw, float, int]] = {
    "normal": (lambda random, n: random.standard_normal(n), 0.0, 4_000),
    "exponential": (lambda random, n: random.exponential(1.0, n), 1.0, 10_000),
    "log-normal(1)": (lambda random, n: random.lognormal(0.0, 1.0, n), math.exp(0.5), 20_000),
    "log-normal(2.5)": (lambda random, n: random.lognormal(0.0, 2.5, n), math.exp(3.125), 5_000),
}
RARE: tuple[Draw, float, int] = (lambda random, n: 100.0 * (random.random(n) < 0.01), 1.0, 1_000)


def terms(fixed: Loss, estimator: str, margin: float, planned_units: int) -> Terms:
    """Return terms of which quality alone is looked at: promotion at .05, stop at .01."""
    every = gates(
        estimator=estimator, kind="refresh" if margin else "new_recipe", loss=fixed, margin=margin,
        alphas=(ALPHA_PROMOTE, 2.0 * ALPHA_STOP), margins=(0.01, 0.01), anchored=False, draws=False,
        planned_units=planned_units,
    )  # fmt: skip
    return Terms(
        kind="refresh", estimator=estimator, loss=fixed, margin=margin, gates=every[:1], steps=(SHARE,), shadow_us=1,
        hold_us=0, horizon_us=1, window_us=0, deadline_us=10, on_deadline="return", minimum_units=500, step_requests=1,
        coverage=0.0, alpha_ratio=0.001, planned_requests=20_000,
    )  # fmt: skip


class Found(msgspec.Struct):
    """In how many of all runs some look promoted or stopped, and how many could be read at the end."""

    runs: int
    promoted: int = 0
    stopped: int = 0
    read: int = 0

    def add(self, seen: list[Measured]) -> None:
        self.promoted += any(one.good_enough for one in seen)
        self.stopped += any(one.stops for one in seen)
        self.read += not seen[-1].withheld


def quality(books: Books, agreed: Terms) -> Measured:
    found = evidence(books, agreed.gates, agreed.alpha_ratio)
    assert found is not None
    assert found.measured[0].asymptotic
    return found.measured[0]


def drawn(draw: Draw, n: int, *, worse_by: float, margin: float, runs: int, seed: int) -> Found:
    """Let a challenger earn ``worse_by`` less than the champion, at a share of a quarter."""
    random, found, agreed = np.random.default_rng(seed), Found(runs), terms(rewarding(None, None), "drawn", margin, n)
    for _ in range(runs):
        challenged = random.random(n) < SHARE
        rewards = draw(random, n) - worse_by * challenged
        books, seen = Books(), []
        for part in np.array_split(np.arange(n), LOOKS):
            nothing, unforeseen = np.zeros(len(part)), np.full(len(part), np.nan)
            units = Units(
                challenged[part], np.full(len(part), SHARE), nothing, nothing, -rewards[part], nothing,
                nothing, (unforeseen, unforeseen), 0,
            )  # fmt: skip
            books = count_drawn_labels(books, agreed, units)
            seen.append(quality(books, agreed))
        found.add(seen)
    return found


def paired(difference: Draw, n: int, *, margin: float, runs: int, seed: int, looks: int = LOOKS) -> Found:
    """Compare absolute errors on the same rows; ``difference`` is how much more the challenger's are."""
    random, found = np.random.default_rng(seed), Found(runs)
    agreed = terms(loss("absolute_error"), "paired", margin, n)
    for _ in range(runs):
        x = difference(random, n)
        stable = np.maximum(-x, 0.0)
        books, seen = Books(), []
        for part in np.array_split(np.arange(n), looks):
            rows = len(part)
            pairs = Pairs(
                stable[part], (stable + x)[part], np.ones(rows, dtype=bool), np.zeros(rows), rows, rows, rows, 1
            )
            books = count_pairs(books, agreed, "quality", pairs)
            seen.append(quality(books, agreed))
        found.add(seen)
    return found


def against(reward: tuple[Draw, float, int]) -> Draw:
    """Return differences of mean 0 that nearly always look worse than they are: seldom, much is won."""
    draw, mean, _ = reward
    return lambda random, n: mean - draw(random, n)


def worse_by_the_margin(name: str, kind: str, runs: int) -> Found:
    """Return what becomes of a challenger that is worse by its margin, of half a standard error at the end."""
    draw, mean, n = REWARDS[name]
    margin = 0.02
    if kind == "drawn":
        return drawn(draw, n, worse_by=margin, margin=margin, runs=runs, seed=11)
    return paired(lambda random, k: margin + draw(random, k) - mean, n, margin=margin, runs=runs, seed=12)


def equal(name: str, kind: str, runs: int) -> Found:
    """Return what becomes of a challenger that is as good; paired, its losses are skewed against it."""
    draw, _, n = REWARDS[name]
    if kind == "drawn":
        return drawn(draw, n, worse_by=0.0, margin=0.02, runs=runs, seed=13)
    return paired(against(REWARDS[name]), n, margin=0.02, runs=runs, seed=14)


@pytest.mark.parametrize("kind", ["drawn", "paired"])
@pytest.mark.parametrize("name", REWARDS)
def test_a_challenger_worse_by_the_margin_is_promoted_at_most_once_in_twenty(name: str, kind: str) -> None:
    found = worse_by_the_margin(name, kind, RUNS_PROMOTE)
    print(f"{name}, {kind}: {found}")
    assert found.promoted <= most(RUNS_PROMOTE, ALPHA_PROMOTE)


@pytest.mark.parametrize("kind", ["drawn", "paired"])
@pytest.mark.parametrize("name", REWARDS)
def test_an_equal_challenger_is_stopped_at_most_once_in_a_hundred(name: str, kind: str) -> None:
    found = equal(name, kind, RUNS_STOP)
    print(f"{name}, {kind}: {found}")
    assert found.stopped <= most(RUNS_STOP, ALPHA_STOP)


def test_four_of_five_equal_challengers_are_promoted_within_1_700_paired_rows() -> None:
    found = paired(lambda random, n: 0.11 * random.standard_normal(n), 1_700, margin=0.01, runs=200, seed=15)
    assert found.promoted >= 0.8 * found.runs


def test_four_of_five_challengers_that_earn_a_tenth_more_of_a_deviation_are_promoted_within_9_000_drawn_units() -> None:
    found = drawn(REWARDS["normal"][0], 9_000, worse_by=-0.1, margin=0.0, runs=200, seed=16)
    assert found.promoted >= 0.8 * found.runs


def test_a_challenger_that_is_clearly_worse_is_stopped_nine_times_in_ten() -> None:
    found = drawn(REWARDS["exponential"][0], 16_000, worse_by=0.2, margin=0.1, runs=100, seed=17)
    assert found.stopped >= 0.9 * found.runs


def test_without_the_rule_of_a_fiftieth_very_heavy_tails_would_err(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same rewards that the rule leaves unread."""
    kept = equal("log-normal(2.5)", "paired", 100)
    monkeypatch.setattr(asymptotic, "LARGEST_PART", 1.0)
    without = equal("log-normal(2.5)", "paired", 100)
    assert (kept.stopped, kept.read) == (0, 0)
    assert without.stopped > 2 * most(100, ALPHA_STOP)


def test_looked_at_before_five_hundred_units_rare_rewards_would_err(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: one unit in a hundred earns a hundred, so the first fifty seldom tell that anybody earns."""
    kept = paired(against(RARE), RARE[2], margin=0.02, runs=400, seed=18)
    assert kept.stopped <= most(400, ALPHA_STOP)
    monkeypatch.setattr(asymptotic, "FEWEST_UNITS", 50)
    early = paired(against(RARE), RARE[2], margin=0.02, runs=400, seed=18, looks=20)
    assert early.stopped > 10 * most(400, ALPHA_STOP)


def test_planned_anew_at_each_look_it_would_err() -> None:
    """The control: sums of a fair game from 500 units to five hundred million, looked at 800 times on the way."""
    random, runs = np.random.default_rng(19), 2_000
    v = 500.0 * np.logspace(0.0, 6.0, 800)
    s = np.cumsum(np.sqrt(np.diff(v, prepend=0.0)) * random.standard_normal((runs, len(v))), axis=1)
    needed = math.log(1.0 / ALPHA_PROMOTE)
    gate = Gate("reward", "metric", "drawn", bound=None, promote_margin=0.0)
    planned = log_e_unbounded(s, np.broadcast_to(v, s.shape), gate.sequence(50_000.0).eta) >= needed
    assert int(planned.any(axis=1).sum()) <= most(runs, ALPHA_PROMOTE)
    anew = 0
    for look, seen in enumerate(v):
        eta = seen / sharpness(ALPHA_PROMOTE)
        planned[:, look] = log_e_unbounded(s[:, look], seen, eta) >= needed
    anew = int(planned.any(axis=1).sum())
    assert anew > most(runs, ALPHA_PROMOTE)


def table(promote: int, stop: int) -> Iterator[str]:
    """Yield the table's lines, as they are known."""
    runs = f"{promote:,} and {stop:,} runs"
    yield f"| {runs} | evidence | units | promoted at Δ = δ | stopped at Δ = 0 | read at the end |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for kind in ("paired", "drawn"):
        for name, (_, _, n) in REWARDS.items():
            worse, same = worse_by_the_margin(name, kind, promote), equal(name, kind, stop)
            errors = f"{worse.promoted / promote:.1%} | {same.stopped / stop:.2%}"
            yield f"| {name} | {kind} | {n:,} | {errors} | {same.read / stop:.0%} |"


if __name__ == "__main__":
    for line in table(*map(int, sys.argv[1:] or ("2000", "20000"))):
        print(line, flush=True)
