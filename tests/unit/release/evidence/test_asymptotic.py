"""Metrics without a bound: the same books and gates, another e-process, and when it may not be read."""

import math

import numpy as np
import pytest

from mainspring.release.evidence.asymptotic import (
    asymptotic_interval,
    log_e_unbounded,
    readable,
    sharpness,
    unreadable,
)
from mainspring.release.evidence.counting import count_drawn_labels
from mainspring.release.evidence.forecast import fewest_units, units_needed
from mainspring.release.evidence.frames import Units
from mainspring.release.evidence.gathered import Books, evidence
from mainspring.release.evidence.losses import rewarding
from mainspring.release.evidence.sequence import sequence
from mainspring.release.evidence.stream import Gate, Measured, Stream
from mainspring.release.terms import Terms, gates

TERMS = Terms(
    kind="new_recipe", estimator="drawn", loss=rewarding(None, None), margin=0.0,
    gates=gates(estimator="drawn", kind="new_recipe", loss=rewarding(None, None), margin=0.0, alphas=(0.05, 0.01),
                margins=(0.01, 0.01), anchored=False, draws=True, shadows=False, planned_units=4_000),
    steps=(0.5,), shadow_us=1, hold_us=0, horizon_us=1, window_us=0, deadline_us=10, on_deadline="return",
    minimum_units=500, step_requests=1, coverage=0.0, alpha_ratio=0.001, planned_requests=20_000,
)  # fmt: skip
GATE = Gate("quality", "metric", "paired", bound=None, promote_margin=1.0, stop_margin=0.0, planned_units=2_000)


def paired(x: np.ndarray, stream: Stream | None = None) -> Stream:
    return (stream or Stream()).add(GATE, np.ones(len(x)), x, x * x)


def drawn(rewards: np.ndarray, challenged: np.ndarray, books: Books | None = None, *, portions: int = 1) -> Books:
    books = books or Books()
    for places in np.array_split(np.arange(len(rewards)), portions):
        n, nothing = len(places), np.zeros(len(places))
        unseen = np.full(n, np.nan)
        books = count_drawn_labels(
            books, TERMS,
            Units(challenged[places], np.full(n, 0.5), nothing, nothing, -rewards[places], nothing, np.ones(n),
                  (unseen, unseen), 0),
        )  # fmt: skip
    return books


def shown(books: Books) -> Measured:
    found = evidence(books, TERMS.gates, TERMS.alpha_ratio)
    assert found is not None
    quality = found.of("quality")
    assert quality is not None
    return quality


def test_eta_follows_the_error_that_is_used() -> None:
    assert sharpness(0.05) == pytest.approx(8.78, abs=0.01)
    assert sharpness(0.005) == pytest.approx(13.96, abs=0.01)
    assert sharpness(0.49) == pytest.approx(2.78, abs=0.01)
    assert sequence(None, 8_782.0, 0.05).eta == pytest.approx(1_000.0, rel=1e-3)
    assert Gate("a", "metric", "drawn", bound=None, promote_margin=0.0).sequence(8_782.0).eta == pytest.approx(
        1_000, 1e-3
    )
    guard = Gate("a", "guard", "drawn", bound=None, stop_margin=1.0, alpha_stop=0.005)
    assert guard.sequence(13_958.0).eta == pytest.approx(1_000.0, rel=1e-3)


def test_e_is_the_half_normal_mixture_and_one_before_anything_was_seen() -> None:
    assert float(log_e_unbounded(0.0, 0.0, 5.0)) == pytest.approx(0.0)
    rates = np.linspace(0.0, 40.0, 400_001)
    weight = 2.0 * math.sqrt(5.0 / (2.0 * math.pi)) * np.exp(-5.0 * rates**2 / 2.0)
    by_hand = float((weight * np.exp(rates * 7.0 - rates**2 * 20.0 / 2.0)).sum() * (rates[1] - rates[0]))
    assert math.exp(float(log_e_unbounded(7.0, 20.0, 5.0))) == pytest.approx(by_hand, rel=1e-3)


def test_the_interval_is_what_both_tests_leave_standing_and_that_of_the_paper_but_for_a_third_of_a_percent() -> None:
    w, x, v, eta = 1_000.0, 20.0, 900.0, 1_000.0 / 8.8
    low, high = asymptotic_interval(w, x, v, 0.05, eta)
    assert math.exp(float(log_e_unbounded(high * w - x, v, eta))) == pytest.approx(40.0)
    assert math.exp(float(log_e_unbounded(x - low * w, v, eta))) == pytest.approx(40.0)
    paper = math.sqrt((v + eta) * math.log((v + eta) / (eta * 0.05**2))) / w
    assert 1.0 <= (high - low) / 2.0 / paper < 1.003


def test_it_is_narrowest_where_it_was_planned_to_be() -> None:
    def reach(n: int) -> float:
        low, high = asymptotic_interval(n, 0.0, n, 0.05, 5_000.0 / sharpness(0.05))
        best = 1.96 / math.sqrt(n)
        return (high - low) / 2.0 / best

    assert reach(5_000) < reach(1_500)
    assert reach(5_000) < reach(20_000)
    assert reach(5_000) == pytest.approx(1.55, abs=0.01)


@pytest.mark.parametrize(
    ("largest", "v", "arm", "why"),
    [
        (1.0, 100.0, 499, "an arm has 499 units, fewer than 500"),
        (2.1, 100.0, 500, "one unit brings 2.1% of all that is uncertain, more than 2%"),
        (0.0, 0.0, 500, "no unit differs from what was expected, so nothing tells how uncertain it is"),
        (2.0, 100.0, 500, ""),
    ],
)
def test_when_it_may_be_read(largest: float, v: float, arm: int, why: str) -> None:
    assert unreadable(largest, v, arm) == why
    assert readable(np.array([largest]), np.array([v]), np.array([arm])).tolist() == [not why]


def test_nothing_is_looked_at_before_five_hundred_units_however_clear_it_is() -> None:
    x = np.where(np.arange(499) % 2 == 0, -4.0, -6.0)
    early = paired(x)
    assert (early.peak_promote, early.planned_v) == (0.0, 0.0)
    measured = early.measured(GATE)
    assert measured is not None
    assert (measured.low, measured.high, measured.good_enough) == (None, None, False)
    assert measured.withheld == "an arm has 499 units, fewer than 500"
    one_more = paired(np.array([-5.0]), early).measured(GATE)
    assert one_more is not None
    assert (one_more.withheld, one_more.good_enough, one_more.asymptotic) == ("", True, True)


def test_one_unit_that_is_most_of_what_is_uncertain_takes_a_promotion_and_a_stop_back() -> None:
    x = np.where(np.arange(600) % 2 == 0, 4.0, 6.0)
    stopping = paired(x).measured(GATE)
    assert stopping is not None
    assert stopping.stops
    torn = paired(np.array([900.0]), paired(x)).measured(GATE)
    assert torn is not None
    assert not torn.stops
    assert torn.withheld.startswith("one unit brings 98.1% of all")


def test_what_is_planned_is_learnt_before_the_first_look_and_then_kept() -> None:
    x = np.where(np.arange(500) % 2 == 0, 1.0, -1.0)
    begun = paired(x)
    assert begun.planned_v == 2_000.0
    assert paired(np.full(500, 3.0) * x, begun).planned_v == 2_000.0


def test_portions_make_no_difference() -> None:
    random = np.random.default_rng(3)
    rewards, challenged = random.exponential(30.0, 6_000), random.random(6_000) < 0.5
    whole, parts = drawn(rewards, challenged), drawn(rewards, challenged, portions=17)
    one, other = whole.streams["quality"], parts.streams["quality"]
    assert one.arms[0::2] == other.arms[0::2]
    for name in ("w", "x", "v", "peak_promote", "peak_stop", "largest", "planned_v"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)


def test_rewards_may_begin_anywhere_and_be_of_any_size() -> None:
    """Nothing is assumed of their scale: in another currency, with a fixed sum on top, the same is proven."""
    random = np.random.default_rng(4)
    rewards, challenged = random.normal(0.0, 1.0, 4_000), random.random(4_000) < 0.5
    rewards += 0.3 * challenged
    plain, other = shown(drawn(rewards, challenged)), shown(drawn(1e6 + 250.0 * rewards, challenged))
    assert plain.good_enough
    assert other.e_promote == pytest.approx(plain.e_promote, rel=1e-6)
    assert other.low == pytest.approx(250.0 * (plain.low or 0.0), rel=1e-6)


def test_the_first_unit_teaches_what_is_usual_and_counts_for_nothing_else() -> None:
    stream = drawn(np.array([1e6, 1e6 + 1.0]), np.array([True, False])).streams["quality"]
    assert (stream.n, stream.w) == (2, 0.25)
    assert stream.v == pytest.approx(0.25)


def test_sums_beyond_what_numbers_can_hold_are_no_evidence() -> None:
    huge = np.full(600, 1e200)
    with np.errstate(over="ignore"):
        assert Stream().add(GATE, np.ones(600), huge, huge * huge).measured(GATE) is None


def test_differences_that_are_all_but_none_are_more_proof_than_can_be_written_and_still_a_number() -> None:
    nothing = np.full(600, 1e-155)
    stream = Stream().add(GATE, np.ones(600), nothing, nothing * nothing)
    assert (stream.n, np.isfinite(stream.peak_promote)) == (600, True)
    assert stream.peak_promote > 1_000
    assert units_needed(0.01, 0.0, None, 0.05) == 1


def test_the_forecast_of_units_is_that_of_the_asymptotic_test() -> None:
    drawn_half = units_needed(0.2, 0.25, None, 0.05, weight=0.25, planned_units=2_000)
    assert 1_000 < drawn_half < 2_000
    assert units_needed(0.2, 0.25, None, 0.005, weight=0.25, planned_units=2_000) > drawn_half
    assert (fewest_units(100, None), fewest_units(100, 1.0)) == (500, 100)
    assert (fewest_units(100, None, 0.5), fewest_units(100, None, 0.05)) == (1_000, 10_000)
