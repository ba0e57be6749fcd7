"""The promise of the quality monitor: a champion that is exactly as much worse as the margin allows brings at most one
alarm in 180 windows, however its rows are looked at; and one that is worse than that is seen.
"""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest

from mainspring.monitoring import quality
from mainspring.monitoring.losses import Loss
from mainspring.monitoring.quality import QualityState, Window
from mainspring.monitoring.spec import Quality

DAY_US = 86_400_000_000
WINDOWS = 18_000 if os.environ.get("MAINSPRING_STATISTICS") == "long" else 1_800
ROWS = 300
EPSILON = 0.01


def day(generator: np.random.Generator, *, skill: float, anchor_skill: float | None = None, rows: int = ROWS) -> Window:
    """Return a window whose difficulty differs from day to day."""
    middle = np.clip(0.25 + 0.08 * generator.normal(), 0.1, 0.5)
    truth = np.clip(middle + 0.15 * generator.normal(size=rows), 0.02, 0.98)
    outcome = (generator.random(rows) < truth).astype(float)

    def answers(share: float) -> np.ndarray:
        noise = np.clip(0.25 + 0.15 * generator.normal(size=rows), 0.02, 0.98)
        return share * truth + (1 - share) * noise

    anchor = np.full(rows, np.nan) if anchor_skill is None else answers(anchor_skill)
    return Window(rows=rows, outcome=outcome, answer=answers(skill), anchor=anchor)


def alarms(spec: Quality, windows: int, state: QualityState, **skills: float) -> int:
    generator, count = np.random.default_rng(7), 0
    for n in range(windows):
        state = quality.step(state, spec, day(generator, **skills), until_us=(n + 1) * DAY_US)
        if state.alarmed_us is not None:
            count += 1
            state = msgspec.structs.replace(state, alarmed_us=None, alarmed_by="")
    return count


def test_an_equal_anchor_at_a_margin_of_nothing_stays_within_the_budget() -> None:
    windows, spec = WINDOWS, Quality(margin=0.0, reference="36500d")
    allowed = windows / spec.budget_windows / 2  # the anchor's half of the budget
    assert (
        alarms(spec, windows, QualityState(version="v"), skill=0.7, anchor_skill=0.7) <= allowed + 2.33 * allowed**0.5
    )


def test_an_advantage_that_stands_exactly_at_the_margin_stays_within_the_budget() -> None:
    windows, spec = WINDOWS, Quality(margin=0.01)
    loss, generator = Loss("log_loss", epsilon=EPSILON), np.random.default_rng(2)
    means = []
    for _ in range(4_000):
        sample = day(generator, skill=0.7)
        base = loss(sample.outcome, np.full(ROWS, 0.25))
        means.append(float((base - loss(sample.outcome, sample.answer)).mean()))
    state = QualityState(version="v", epsilon=EPSILON, reference=float(np.mean(means)) + spec.margin)
    allowed = windows / spec.budget_windows / 2
    assert alarms(spec, windows, state, skill=0.7) <= allowed + 2.33 * allowed**0.5


@pytest.mark.parametrize(("skill", "most_windows"), [(0.0, 5), (0.3, 15)])
def test_a_champion_that_falls_behind_is_seen_within_days(skill: float, most_windows: int) -> None:
    delays = []
    for run in range(10):
        generator, state = np.random.default_rng(run), QualityState(version="v")
        for n in range(30):
            state = quality.step(state, Quality(), day(generator, skill=0.9, rows=900), until_us=(n + 1) * DAY_US)
        assert state.alarmed_us is None
        for n in range(30, 60):
            state = quality.step(state, Quality(), day(generator, skill=skill, rows=900), until_us=(n + 1) * DAY_US)
            if state.alarmed_us is not None:
                break
        delays.append(n - 29)
    assert np.median(delays) <= most_windows, delays
