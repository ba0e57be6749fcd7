"""How a bandit shares traffic out."""

import numpy as np
import pytest

from mainspring.release.evidence.earned import Earned
from mainspring.release.shares import allocate, chances, seed_of
from mainspring.release.terms import Allocation

NOTHING = [Earned()] * 4


def earned(n: int, mean: float) -> Earned:
    rewards = np.array([1.0] * round(n * mean) + [0.0] * round(n * (1 - mean)))
    return Earned().add(rewards, np.full(n, 0.5), np.zeros(n, dtype=np.int64), None)


def rule(algorithm: str = "thompson", floor: float = 0.05) -> Allocation:
    return Allocation(algorithm, "request", 1, floor, None, 0.95)


def test_versions_of_which_nothing_is_known_are_drawn_alike() -> None:
    assert chances([Earned()] * 4, 1) == pytest.approx([0.25] * 4, abs=0.03)


def test_the_same_seed_gives_the_same_shares() -> None:
    arms = [earned(100, 0.1), earned(100, 0.15)]
    assert chances(arms, seed_of("salt", 5)).tolist() == chances(arms, seed_of("salt", 5)).tolist()
    assert seed_of("salt", 5) != seed_of("salt", 6)


def test_thompson_sampling_gives_a_version_its_chance_to_be_the_best_but_never_less_than_the_floor() -> None:
    assert allocate(np.array([1.0, 0.0, 0.0]), rule(), NOTHING[:3]).tolist() == pytest.approx([0.9, 0.05, 0.05])
    assert allocate(np.array([0.5, 0.5]), rule(), NOTHING[:2]).tolist() == pytest.approx([0.5, 0.5])


def test_top_two_asks_the_runner_up_as_often_as_the_best() -> None:
    shares = allocate(np.array([0.98, 0.02, 0.0]), rule("top_two", 1e-9), NOTHING[:3])
    assert shares[:2].tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert allocate(np.array([0.2, 0.3, 0.5]), rule("top_two"), NOTHING[:3]).sum() == pytest.approx(1.0)


def test_where_the_leader_wins_every_draw_it_asks_whoever_is_nearest_rather_than_all_others_alike() -> None:
    known = [earned(20_000, 0.30), earned(5_000, 0.25), earned(5_000, 0.10)]
    shares = allocate(np.array([1.0, 0.0, 0.0]), rule("top_two", 1e-9), known)
    assert shares.tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    less_known = [earned(20_000, 0.30), earned(5_000, 0.25), earned(100, 0.25)]
    shares = allocate(np.array([1.0, 0.0, 0.0]), rule("top_two", 1e-9), less_known)
    assert shares[2] > 0.49


def test_hours_in_which_a_version_was_drawn_more_often_weigh_no_more_than_others() -> None:
    """Rewards fall from .8 to .2 while the version's share rises from .1 to .9: its mean over time is .5."""
    early, late = np.array([1.0] * 80 + [0.0] * 20), np.array([1.0] * 180 + [0.0] * 720)
    at = np.zeros(100, dtype=np.int64), np.ones(900, dtype=np.int64)
    one = Earned().add(early, np.full(100, 0.1), at[0], None).add(late, np.full(900, 0.9), at[1], None)
    assert one.mean == pytest.approx(0.5)
    assert one.units < 400


def test_old_rewards_fade_and_it_makes_no_difference_in_which_portions_they_were_added() -> None:
    rewards, at = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0, 10, 20, 30], dtype=np.int64)
    p = np.full(4, 0.5)
    whole = Earned().add(rewards, p, at, 10)
    parts = Earned().add(rewards[:1], p[:1], at[:1], 10).add(rewards[1:], p[1:], at[1:], 10)
    for field in ("weight", "squares", "total", "total_squares"):
        assert getattr(whole, field) == pytest.approx(getattr(parts, field))
    assert whole.mean == pytest.approx((0.125 + 0.5) / (0.125 + 0.25 + 0.5 + 1.0))


def test_what_is_missing_is_counted_and_is_no_reward() -> None:
    one = Earned().add(np.array([]), np.array([]), np.array([], dtype=np.int64), None, missing=7)
    assert (one.missing, one.n, one.mean, one.units) == (7, 0, 0.5, 0.0)
