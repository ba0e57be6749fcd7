import numpy as np
import pytest

from mainspring.checks.measures import day_block_interval
from mainspring.kernel.duration import DAY_US
from mainspring.release.evidence.days import by_days, days_of
from mainspring.release.evidence.stream import Gate, Stream

GATE = Gate("quality", "metric", "paired", promote_margin=0.1, stop_margin=0.0)


def rows(days: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    at_us = np.sort(random.integers(0, days * DAY_US, 40 * days))
    mood = random.normal(0.02, 0.05, days)
    return at_us, mood[at_us // DAY_US] + 0.1 * random.standard_normal(len(at_us))


def test_days_are_the_blocks_and_no_claim_is_made_below_fourteen() -> None:
    at_us, x = rows(20)
    low, high, days = by_days(days_of({}, at_us, np.ones_like(x), x), 0.05)
    mean, expected_low, expected_high, _ = day_block_interval(x, at_us // DAY_US)
    assert (low, high, days) == pytest.approx((expected_low, expected_high, 20))
    assert low < mean < high
    at_us, x = rows(13)
    assert by_days(days_of({}, at_us, np.ones_like(x), x), 0.05) is None


def test_a_metrics_stream_shows_it_beside_the_gate_however_its_rows_came() -> None:
    at_us, x = rows(20)
    w = np.ones_like(x)
    whole = Stream().add(GATE, w, x, x * x, at_us=at_us)
    parts = Stream()
    for part in np.array_split(np.arange(len(x)), 7):
        parts = parts.add(GATE, w[part], x[part], x[part] ** 2, at_us=at_us[part])
    shown = whole.measured(GATE)
    assert shown.by_days == pytest.approx(parts.measured(GATE).by_days)
    assert shown.by_days[2] == 20
    assert shown.by_days[1] - shown.by_days[0] > 0.03  # forty rows of one mood tell of one day
    guard = Gate("failed", "guard", "drawn", stop_margin=0.01)
    assert Stream().add(guard, w, x, x * x, at_us=at_us).measured(guard).by_days is None
