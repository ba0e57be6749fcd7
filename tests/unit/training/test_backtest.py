from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mainspring.kernel.duration import DAY_US
from mainspring.kernel.errors import InvalidInput
from mainspring.training.backtest import ANSWERS, judge, origins_between
from mainspring.training.spec import Retrain


def answers(gain: float, days: int = 24, a_day: int = 100) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.05, 0.95, days * a_day)
    label = (rng.random(truth.size) < truth).astype(float)
    at_us = np.repeat(np.arange(days) * DAY_US, a_day)
    return label, truth, truth * (1 - gain) + 0.5 * gain, at_us


def answered(label: np.ndarray, retrained: np.ndarray, champion: np.ndarray, at_us: np.ndarray) -> pl.DataFrame:
    columns = {"origin": 0, "at_us": at_us, "label": label, "retrained": retrained, "champion": champion}
    return pl.DataFrame(columns, schema=ANSWERS)


def test_retraining_that_lowers_the_loss_helps() -> None:
    label, good, bad, at_us = answers(0.5)

    found = judge("binary", [], answered(label, good, bad, at_us))

    assert found.verdict == "helps"
    assert (found.days, found.rows, found.metric) == (24, 2_400, "log_loss")
    assert found.high is not None
    assert found.high < 0


def test_retraining_that_raises_the_loss_does_not_help() -> None:
    label, good, bad, at_us = answers(0.5)

    assert judge("binary", [], answered(label, bad, good, at_us)).verdict == "does not help"


def test_fewer_than_fourteen_days_cannot_tell_however_large_the_difference() -> None:
    label, good, bad, at_us = answers(0.9, days=13)

    found = judge("binary", [], answered(label, good, bad, at_us))

    assert found.verdict == "cannot tell"
    assert "fewer than 14 days" in found.reason


def test_no_rows_cannot_tell() -> None:
    nothing = np.empty(0)

    assert judge("binary", [], answered(nothing, nothing, nothing, nothing)).verdict == "cannot tell"


def test_the_last_segment_reaches_to_the_end() -> None:
    found = origins_between(100, 203, 6)

    assert len(found) == 6
    assert found[-1][1] == 203
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs a schedule or a trigger"),
        ({"every": "monthly"}, r"retrain\.every: is not a duration"),
        ({"every": "30d", "at_most": "weekly"}, 'is not a rate .* write "1 per 7d"'),
        ({"every": "30d", "window": "all"}, r"retrain\.window: is not a duration"),
        ({"every": "30d", "backtest_origins": 1}, "needs at least 2 origins"),
    ],
)
def test_a_retraining_rule_that_makes_no_sense_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Retrain(**arguments)  # type: ignore[arg-type]


def test_a_retraining_rule_tells_its_spans_in_microseconds() -> None:
    rule = Retrain(every="30d", on=["quality"], at_most="1 per 7d")

    assert (rule.every_us, rule.cooldown_us) == (30 * DAY_US, 7 * DAY_US)
