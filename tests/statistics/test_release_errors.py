"""The release's promises, simulated so that they can fail: wrong promotion, wrong rollback, power."""

import numpy as np
from tests.statistics.simulate import LONG, cross_fitted, either, ever, most

from mainspring.release.evidence.drawn import drawn_terms
from mainspring.release.evidence.losses import loss
from mainspring.release.evidence.paired import paired_terms
from mainspring.release.evidence.ratio import ratio_terms
from mainspring.release.rehearsal.wire import Wire

BOUND = loss("log_loss").bound
MOST_OF_2_000_AT_5_PERCENT = 138


def two_models(
    random: np.random.Generator, runs: int, rows: int, sd: float, tilt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return log losses (runs, rows) of a stable model and of one that differs; ``tilt`` is their mean difference."""
    chance = random.beta(1.2, 3.8, (runs, rows)).astype(np.float32).clip(0.01, 0.99)
    odds = np.log(chance / (1.0 - chance))
    stable = 1.0 / (1.0 + np.exp(-(odds + 0.35 * random.standard_normal(odds.shape, dtype=np.float32))))
    other = 1.0 / (1.0 + np.exp(-(odds + sd * random.standard_normal(odds.shape, dtype=np.float32))))
    happened = (random.random(odds.shape, dtype=np.float32) < chance).astype(np.float64)
    measured = loss("log_loss")
    first, _ = measured.of(stable.astype(np.float64), happened)
    second, _ = measured.of(other.astype(np.float64), happened)
    centred = second - first
    return first, np.clip(first + centred - centred.mean() + tilt, 0.0, BOUND)


def test_a_challenger_worse_by_the_margin_is_promoted_at_most_once_in_twenty() -> None:
    random, wrong, margin = np.random.default_rng(1), 0, 0.01
    for _ in range(10):
        stable, challenger = two_models(random, 200, 6_500, sd=0.35, tilt=margin)
        w, x, v = paired_terms(challenger, stable)
        delta = float(x.mean())
        wrong += int(ever(delta * w - x, v, BOUND, 0.05).sum())
    assert wrong <= MOST_OF_2_000_AT_5_PERCENT


def test_days_that_hang_together_do_not_raise_the_error_when_each_rows_mean_is_at_the_margin() -> None:
    random = np.random.default_rng(2)
    runs, rows, margin = 2_000, 3_000, 0.01
    mood = np.repeat(random.choice([0.02, 0.3], (runs, rows // 100)), 100, axis=1)
    x = margin + mood * random.choice([-1.0, 1.0], (runs, rows))
    wrong = int(ever(margin - x, x * x, BOUND, 0.05).sum())
    assert wrong <= MOST_OF_2_000_AT_5_PERCENT


RUNS_OF_ALL_STOPS = 20_000 if LONG else 6_000
GUARDS = 5


def test_an_equal_challenger_that_differs_is_stopped_at_most_once_in_a_hundred_by_all_stops_together() -> None:
    """Quality, failures and late answers in shadow and drawn, the label, both sample ratios, and the tripwire."""
    random, wrong = np.random.default_rng(3), 0
    for _ in range(RUNS_OF_ALL_STOPS // 1_000):
        wrong += int(stopped_by_any(random, 1_000, 2_000).sum())
    assert wrong <= most(RUNS_OF_ALL_STOPS, 0.01)


def stopped_by_any(random: np.random.Generator, runs: int, rows: int) -> np.ndarray:
    """Return which runs any stop ends; the challenger is another model, as good and as often late or failing."""
    x = 0.11 * random.standard_normal((runs, rows), dtype=np.float32)
    x += 0.05 * random.standard_normal((runs, 1), dtype=np.float32) * (random.random((runs, rows)) - 0.5)
    stopped = ever(x.astype(np.float64), np.square(x, dtype=np.float64), BOUND, 0.005)
    share = ramp_from_evidence(x)
    challenged = random.random((runs, rows), dtype=np.float32) < share
    theirs, ours = (random.random((2, 2, runs, rows), dtype=np.float32) < 0.01).astype(np.float64)
    for kind in range(2):  # failures, late answers: on the same rows, then as they were drawn
        difference = theirs[kind] - ours[kind]
        stopped |= ever(difference - 0.01, difference**2, 1.0, 0.003 / GUARDS)
        met = np.where(challenged, theirs[kind], ours[kind])
        w, drawn, v = drawn_terms(challenged, share, met, cross_fitted(challenged, met, 0.01))
        stopped |= ever(drawn - 0.01 * w, v, 1.0, 0.003 / GUARDS)
    label = (random.random((runs, rows), dtype=np.float32) < 0.23).astype(np.float64)
    w, drawn, v = drawn_terms(challenged, share, label, cross_fitted(challenged, label, 0.5))
    stopped |= either(drawn, v, 1.0, 0.003 / GUARDS)
    stopped |= ratio_ever_stops(challenged, share, 0.0005, 50)
    known = random.random((runs, rows), dtype=np.float32) < 0.97
    stopped |= ratio_ever_stops(challenged & known, np.where(known, share, 0.0), 0.0005, 50)
    for run in range(runs):
        mine = challenged[run]
        failed = theirs[0][run][mine] > 0
        wire = Wire().after(np.arange(len(failed)), failed, np.full(len(failed), 0.02), 20_000)
        stopped[run] |= wire.tripped_us is not None
    return stopped


def ramp_from_evidence(x: np.ndarray) -> np.ndarray:
    """Return shares (runs, rows) that grow where the evidence so far looks good: chosen from it, on purpose."""
    runs, rows = x.shape
    share = np.full((runs, rows), 0.05)
    third = rows // 3
    good = x[:, :third].mean(axis=1) < 0
    share[:, third:] = np.where(good, 0.25, 0.05)[:, None]
    better = x[:, : 2 * third].mean(axis=1) < 0
    share[:, 2 * third :] = np.where(better & good, 0.5, share[:, 2 * third])[:, None]
    return share


def ratio_ever_stops(challenged: np.ndarray, share: np.ndarray, alpha: float, every: int) -> np.ndarray:
    logs = np.cumsum(ratio_terms(challenged, share), axis=1)[:, every - 1 :: every]
    return (np.exp(logs).mean(axis=-1) >= 1.0 / alpha).any(axis=1)


def test_four_of_five_equal_challengers_are_promoted_within_6_500_paired_rows() -> None:
    random, promoted = np.random.default_rng(4), []
    for _ in range(5 if LONG else 1):
        x = 0.11 * random.standard_normal((400, 6_500))
        promoted += ever(0.01 - x, x * x, BOUND, 0.05).tolist()
    print(f"{np.mean(promoted):.1%} of {len(promoted):,} were promoted within 6,500 paired rows")
    assert np.mean(promoted) >= 0.8


def test_four_of_five_equal_challengers_are_promoted_within_190_000_drawn_rows() -> None:
    random = np.random.default_rng(5)
    blocks, runs, rows, promoted = (50 if LONG else 10), 20, 190_000, 0
    for _ in range(blocks):
        losses = np.clip(0.5 + 0.5 * random.standard_normal((runs, rows), dtype=np.float32), 0.0, BOUND)
        spread = float(losses.std())
        losses = 0.5 + (losses - losses.mean()) * (0.5 / spread)
        challenged = random.random((runs, rows), dtype=np.float32) < 0.5
        half = np.float64(0.5)
        w, x, v = drawn_terms(challenged, half, losses.astype(np.float64), (half, half))
        promoted += int(ever(0.01 * w - x, v, BOUND, 0.05).sum())
    print(f"{promoted / (runs * blocks):.1%} of {runs * blocks:,} were promoted within 190,000 drawn rows")
    assert promoted >= 0.8 * runs * blocks
