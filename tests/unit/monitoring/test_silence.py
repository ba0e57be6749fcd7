from mainspring.kernel.duration import HOUR_US
from mainspring.monitoring import silence
from mainspring.monitoring.silence import SilenceState
from mainspring.monitoring.spec import Silence

SPEC = Silence()
WEEK = ([0] * 8 + [10] * 16) * 5 + [0] * 48  # nights and weekends are quiet


def play(hours: list[int]) -> SilenceState:
    state = SilenceState()
    for n, rows in enumerate(hours):
        state = silence.step(state, SPEC, rows, until_us=(n + 1) * HOUR_US)
    return state


def find(hours: list[int], *, last_outcome_hour: int | None = None, matures_hours: int = 36) -> dict[str, str]:
    last_us = len(hours) * HOUR_US if last_outcome_hour is None else last_outcome_hour * HOUR_US
    found = silence.find(
        play(hours),
        SPEC,
        last_outcome_us=last_us,
        matures_after_us=matures_hours * HOUR_US,
        at_us=len(hours) * HOUR_US,
    )
    return {finding.subject: finding.state for finding in found}


def test_nights_and_weekends_are_no_silence() -> None:
    for hour in range(4 * 168, 5 * 168):
        assert find((WEEK * 5)[:hour])["predictions"] == "ok"


def test_a_morning_without_predictions_alarms() -> None:
    assert find(WEEK * 4 + [0] * 10)["predictions"] == "alarm"
    assert find(WEEK * 4 + [0] * 9)["predictions"] == "ok"


def test_a_week_without_predictions_still_alarms() -> None:
    assert find(WEEK * 4 + [0] * 200)["predictions"] == "alarm"


def test_one_earlier_week_that_was_silent_too_excuses_it() -> None:
    assert find(WEEK * 3 + [0] * 168 + WEEK + [0] * 20)["predictions"] == "ok"


def test_less_than_a_week_is_insufficient() -> None:
    assert find(WEEK[:100])["predictions"] == "insufficient"


def test_matured_predictions_without_any_outcome_alarm() -> None:
    assert find(WEEK * 2 + WEEK[:60], last_outcome_hour=336)["outcomes"] == "alarm"
    assert find(WEEK * 2 + WEEK[:40], last_outcome_hour=336)["outcomes"] == "ok"


def test_before_any_outcome_is_due_it_is_insufficient() -> None:
    found = silence.find(play(WEEK[:20]), SPEC, last_outcome_us=None, matures_after_us=36 * HOUR_US, at_us=20 * HOUR_US)
    assert found[1].state == "insufficient"


def test_outcomes_that_never_came_alarm() -> None:
    found = silence.find(play(WEEK), SPEC, last_outcome_us=None, matures_after_us=36 * HOUR_US, at_us=168 * HOUR_US)
    assert found[1].state == "alarm"
