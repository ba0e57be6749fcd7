"""Drawn evidence: wrong promotion and wrong rollback where the shares are chosen from the evidence itself."""

import numpy as np
from tests.statistics.simulate import LONG, cross_fitted, either, ever, most

from mainspring.release.evidence.drawn import drawn_terms
from mainspring.release.rehearsal.wire import Wire
from mainspring.serving.tripwire import limit

RUNS, ROWS = 2_000, 2_400
MARGIN = 0.05


def hard_times(random: np.random.Generator, runs: int, rows: int) -> np.ndarray:
    """Return chances of a loss (runs, rows) that differ from time to time, for both arms alike."""
    return np.repeat(random.choice([0.1, 0.5], (runs, rows // 200)), 200, axis=1)


def chasing(random: np.random.Generator, level: np.ndarray, worse_by: float) -> tuple[np.ndarray, ...]:
    """Return (challenged, share, losses) where every 200 units' share follows from the losses so far, floored at .05.

    The arms differ in shape: the challenger's losses are spread, the stable one's are all or nothing.
    """
    runs, rows = level.shape
    share, challenged, losses = np.empty(level.shape), np.empty(level.shape, dtype=bool), np.empty(level.shape)
    paid, met = np.zeros((2, runs)), np.full((2, runs), 1e-9)
    for start in range(0, rows, 200):
        part = slice(start, start + 200)
        looks_good = paid[1] / met[1] - paid[0] / met[0] < 0.5 * worse_by
        share[:, part] = np.where(looks_good, 0.7, 0.05)[:, None] if start else 0.2
        challenged[:, part] = random.random((runs, 200)) < share[:, part]
        happened = random.random((runs, 200)) < level[:, part]
        spread = 2.0 * level[:, part] * random.beta(2.0, 2.0, (runs, 200))
        losses[:, part] = np.where(challenged[:, part], spread, happened) + worse_by * challenged[:, part]
        for arm, mine in enumerate((~challenged[:, part], challenged[:, part])):
            paid[arm] += (losses[:, part] * mine).sum(axis=1)
            met[arm] += mine.sum(axis=1)
    return challenged, share, losses


def drawn_evidence(seed: int, runs: int, worse_by: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    challenged, share, losses = chasing(random, hard_times(random, runs, ROWS), worse_by)
    return drawn_terms(challenged, share, losses, cross_fitted(challenged, losses, 0.3))


def test_on_shares_that_chase_the_evidence_a_challenger_worse_by_the_margin_is_promoted_once_in_twenty_at_most() -> (
    None
):
    w, x, v = drawn_evidence(1, RUNS, MARGIN)
    assert ever(MARGIN * w - x, v, 1.0 + MARGIN, 0.05).sum() <= most(RUNS, 0.05)


def test_on_shares_that_chase_the_evidence_an_equal_challenger_is_stopped_once_in_a_hundred_at_most() -> None:
    blocks, wrong = (10 if LONG else 2), 0
    for block in range(blocks):
        _, x, v = drawn_evidence(10 + block, RUNS, 0.0)
        wrong += int(ever(x, v, 1.0, 0.01).sum())
    assert wrong <= most(RUNS * blocks, 0.01)


def test_on_shares_that_chase_the_evidence_the_interval_holds_at_every_row() -> None:
    _, x, v = drawn_evidence(2, RUNS, 0.0)
    assert either(x, v, 1.0, 0.05).sum() <= most(RUNS, 0.05)


def test_it_is_not_a_dead_interval_a_much_worse_challenger_is_stopped_and_a_better_one_promoted() -> None:
    w, x, v = drawn_evidence(3, 200, 0.2)
    assert ever(x, v, 1.2, 0.005).mean() > 0.95
    w, x, v = drawn_evidence(4, 200, -0.05)
    assert ever(0.15 * w - x, v, 1.05, 0.05).mean() > 0.9


def test_a_challenger_that_fails_no_more_than_is_expected_trips_the_wire_once_in_a_thousand_releases_at_most() -> None:
    random, runs, requests, tripped = np.random.default_rng(5), (20_000 if LONG else 2_000), 20_000, 0
    share = np.full(requests, 0.01)
    at_us = np.arange(requests)
    for _ in range(runs):
        failed = random.random(requests, dtype=np.float32) < 0.01
        tripped += Wire().after(at_us, failed, share, requests).tripped_us is not None
    assert tripped <= most(runs, 0.001)
    five = np.zeros(requests, dtype=bool)
    five[100:105] = True
    assert Wire().after(at_us, five, share, requests).tripped_us == 104
    assert limit(requests) == 20_000_000.0
