"""Negative controls: the same tests with one rule broken. Each must err far more often than is stated, or be caught."""

import math

import numpy as np

from mainspring.release.evidence.drawn import drawn_terms
from mainspring.release.evidence.eprocess import log_e
from mainspring.release.evidence.ratio import ratio_terms

RUNS = 400
STATED = 0.05
FAR_MORE = 0.12  # of 400 runs at a true 5 %, more than 48 happen once in a billion


def ever(s: np.ndarray, v: np.ndarray, bound: float = 1.0, alpha: float = STATED, every: int = 10) -> float:
    """Return the share of runs (r, n) in which either direction of a difference of zero is rejected, alpha/2 a side."""
    hit = np.zeros(len(s), dtype=bool)
    sums_s, sums_v = np.cumsum(s, axis=1)[:, every - 1 :: every], np.cumsum(v, axis=1)[:, every - 1 :: every]
    for side in (sums_s, -sums_s):
        hit |= (log_e(side, sums_v, bound) >= math.log(2.0 / alpha)).any(axis=1)
    return float(hit.mean())


def sticky(random: np.random.Generator, keys: int, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (challenged, losses) of shape (runs, keys, requests): each key keeps its arm and its own level of loss."""
    challenged = random.random((RUNS, keys, 1)) < 0.5
    level = random.choice([0.05, 0.95], (RUNS, keys, 1))
    losses = (random.random((RUNS, keys, requests)) < level).astype(float)
    return np.broadcast_to(challenged, losses.shape), losses


def test_the_request_as_unit_under_sticky_keys_errs_and_the_key_as_unit_does_not() -> None:
    challenged, losses = sticky(np.random.default_rng(1), keys=40, requests=50)
    half = np.float64(0.5)
    by_time = challenged.transpose(0, 2, 1).reshape(RUNS, -1), losses.transpose(0, 2, 1).reshape(RUNS, -1)
    _, x, v = drawn_terms(by_time[0], half, by_time[1], (half, half))
    assert ever(x, v) > FAR_MORE
    _, x, v = drawn_terms(challenged[:, :, 0], half, losses.mean(axis=2), (half, half))
    assert ever(x, v, every=1) <= STATED + 0.035


def test_rows_in_the_order_of_their_labels_err_and_in_the_order_of_assignment_do_not() -> None:
    random = np.random.default_rng(2)
    rows = 2_000
    happened = random.random((RUNS, rows)) < 0.3
    good_on_negatives = np.where(happened, 0.35, -0.15) + 0.05 * random.standard_normal((RUNS, rows))  # mean zero
    delay = np.where(happened, 900.0, 10.0) + random.exponential(30.0, (RUNS, rows))
    arrival = np.argsort(np.arange(rows) + delay, axis=1)
    seen = np.take_along_axis(good_on_negatives, arrival, axis=1)
    assert ever(seen, seen**2) > FAR_MORE
    assert ever(good_on_negatives, good_on_negatives**2) <= STATED + 0.035


def drawn_with_delays(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (challenged, losses, delays): equal arms, but where the challenger answered, losses are told late."""
    challenged = random.random((RUNS, 2_000)) < 0.5
    losses = (random.random(challenged.shape) < 0.3).astype(float)
    slow = challenged & (losses > 0)
    return challenged, losses, np.where(slow, 900.0, 10.0) + random.exponential(30.0, challenged.shape)


def test_drawn_units_in_the_order_of_their_labels_err_where_delay_hangs_on_arm_and_label() -> None:
    challenged, losses, delay = drawn_with_delays(np.random.default_rng(8))
    half, level = np.float64(0.5), np.float64(0.3)
    _, x, v = drawn_terms(challenged, half, losses, (level, level))
    arrival = np.argsort(np.arange(x.shape[1]) + delay, axis=1)
    assert ever(np.take_along_axis(x, arrival, axis=1), np.take_along_axis(v, arrival, axis=1)) > FAR_MORE
    assert ever(x, v) <= STATED + 0.035


def test_drawn_units_of_one_young_age_err_where_delay_hangs_on_arm_and_label() -> None:
    challenged, losses, delay = drawn_with_delays(np.random.default_rng(9))
    half, level = np.float64(0.5), np.float64(0.2)
    told = np.where(delay <= 200.0, losses, 0.0)
    _, x, v = drawn_terms(challenged, half, told, (level, level))
    assert ever(x, v) > FAR_MORE


def test_rows_of_one_young_age_with_what_is_labelled_by_then_err() -> None:
    random = np.random.default_rng(3)
    happened = random.random((RUNS, 2_000)) < 0.3
    x = np.where(happened, 0.35, -0.15) + 0.05 * random.standard_normal(happened.shape)
    by_then = random.random(happened.shape) < np.where(happened, 0.4, 0.9)
    young = np.where(by_then, x, 0.0)
    assert ever(young, young**2) > FAR_MORE


def test_pooled_arm_means_on_a_ramp_err_and_weighted_terms_do_not() -> None:
    random = np.random.default_rng(4)
    rows = 4_000
    share = np.repeat([0.05, 0.5], rows // 2)
    level = np.repeat([0.2, 0.5], rows // 2)  # the second half of the ramp is a harder time for both arms
    challenged = random.random((RUNS, rows)) < share
    losses = (random.random((RUNS, rows)) < level).astype(float)
    pooled = _arm_mean(losses, challenged) - _arm_mean(losses, ~challenged)
    spread = 0.5 * np.sqrt(1 / challenged.sum(axis=1) + 1 / (~challenged).sum(axis=1))
    assert (np.abs(pooled) > 1.96 * spread).mean() > FAR_MORE
    _, x, v = drawn_terms(challenged, share, losses, (np.float64(0.3), np.float64(0.3)))
    assert ever(x, v) <= STATED + 0.035


def _arm_mean(losses: np.ndarray, arm: np.ndarray) -> np.ndarray:
    return np.where(arm, losses, 0.0).sum(axis=1) / arm.sum(axis=1)


def test_propensities_off_by_a_fifth_are_caught_by_the_sample_ratio() -> None:
    random = np.random.default_rng(5)
    logged = 0.25
    challenged = random.random((RUNS, 6_000)) < logged * 0.8
    logs = np.cumsum(ratio_terms(challenged, np.full(challenged.shape, logged)), axis=1)
    caught = (np.exp(logs).mean(axis=-1) >= 1.0 / 0.0005).any(axis=1)
    assert caught.mean() > 0.95


def test_propensities_off_by_a_fifth_err_where_the_expected_loss_is_poor() -> None:
    random = np.random.default_rng(10)
    logged = np.float64(0.25)
    losses = (random.random((RUNS, 6_000)) < 0.2).astype(float)
    poor = np.float64(0.5)
    for factor, errs in ((0.8, True), (1.0, False)):
        challenged = random.random(losses.shape) < logged * factor
        _, x, v = drawn_terms(challenged, logged, losses, (poor, poor))
        share = ever(x, v)
        assert share > FAR_MORE if errs else share <= STATED + 0.035


def test_expected_losses_fitted_on_their_own_unit_err() -> None:
    random = np.random.default_rng(6)
    losses = (random.random((RUNS, 2_000)) < 0.5).astype(float)
    challenged = random.random(losses.shape) < 0.5
    own = 0.5 + 0.8 * (losses - 0.5)
    half = np.full(losses.shape, 0.5)
    fitted = (np.where(challenged, half, own), np.where(challenged, own, half))
    _, x, v = drawn_terms(challenged, np.float64(0.5), losses, fitted)
    assert ever(x, v) > FAR_MORE
    _, x, v = drawn_terms(challenged, np.float64(0.5), losses, (half, half))
    assert ever(x, v) <= STATED + 0.035


def test_a_fixed_sample_z_looked_at_after_every_row_errs() -> None:
    x = np.random.default_rng(7).standard_normal((RUNS, 2_000)) * 0.11
    n = np.arange(1, 2_001)
    z = np.cumsum(x, axis=1) / (0.11 * np.sqrt(n))
    assert (np.abs(z[:, 30:]) > 1.96).any(axis=1).mean() > FAR_MORE
    assert ever(x, x**2) <= STATED + 0.035
