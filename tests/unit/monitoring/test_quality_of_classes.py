"""Quality of class vectors: against the running share of every class, and of the same rows' anchor."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring.monitoring import quality
from mainspring.monitoring.spec import Quality

DAY_US = 86_400_000_000
KNOWN = ("a", "b", "c")


def window(generator: np.random.Generator, *, skill: float, n: int = 900) -> quality.Window:
    """Return a day on which a version gave the class that came true ``skill`` more than its share."""
    came = generator.choice(KNOWN, size=n, p=[0.6, 0.3, 0.1])
    share = np.array([{"a": 0.6, "b": 0.3, "c": 0.1}[one] for one in came])
    credit = np.clip(share + skill * generator.uniform(0, 0.4, n), 0.01, 0.99)
    return quality.Window(n, np.ones(n), credit, np.full(n, np.nan), tuple(str(one) for one in came))


def play(days: int, falls_from: int = 10**9) -> quality.QualityState:
    generator, spec = np.random.default_rng(3), Quality()
    state = quality.QualityState(version="ver_1", number=1, known=KNOWN)
    for day in range(days):
        one = window(generator, skill=1.0 if day < falls_from else 0.0)
        state = quality.step(state, spec, one, until_us=(day + 1) * DAY_US)
    return state


def test_a_steady_champion_is_well_and_one_that_falls_to_the_shares_alarms() -> None:
    assert quality.find(play(60), Quality(), at_us=0).state == "ok"
    fallen = play(45, falls_from=40)
    assert fallen.alarmed_us is not None
    assert fallen.alarmed_us <= 43 * DAY_US


def test_the_base_rate_is_the_share_that_each_class_has_had() -> None:
    spec = Quality("log_loss", margin=0.0)
    state = quality.QualityState(version="ver_1", known=KNOWN)
    first = quality.Window(4, np.ones(4), np.full(4, 0.5), np.full(4, np.nan), ("a", "a", "a", "b"))
    second = quality.Window(2, np.ones(2), np.full(2, 0.5), np.full(2, np.nan), ("a", "b"))
    state = quality.step(state, spec, first, until_us=DAY_US)
    state = quality.step(state, spec, second, until_us=2 * DAY_US)
    assert state.past[-1].advantage == pytest.approx(-np.log(0.75) - np.log(0.25) + 2 * np.log(0.5))
    assert state.auc is None


def test_classes_that_the_version_does_not_know_are_counted_and_told() -> None:
    one = quality.Window(3, np.ones(3), np.array([0.5, 0.0, 0.0]), np.full(3, np.nan), ("a", "d", "d"))
    state = quality.step(quality.QualityState(version="ver_1", known=KNOWN), Quality(), one, until_us=DAY_US)
    found = quality.find(state, Quality(), at_us=0)
    assert found.numbers["unknown_classes"] == {"d": 2}
    assert "2 came true as what it does not know: d" in found.reason
