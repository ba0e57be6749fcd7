import numpy as np

from mainspring.monitoring import drift
from mainspring.monitoring.spec import Drift

DAY_US = 86_400_000_000


def play(spec: Drift, days: int, *, shift_from: int = 10**9, columns: int = 3, seed: int = 1) -> drift.DriftState:
    generator, state = np.random.default_rng(seed), drift.DriftState()
    for day in range(days):
        weekday = 2.0 if day % 7 in (5, 6) else 0.0
        moved = 1.5 if day >= shift_from else 0.0
        values = {f"x{n}": list(generator.normal(weekday + (moved if n == 0 else 0.0), 1, 200)) for n in range(columns)}
        values["day"] = ["weekend" if weekday else "week"] * 200
        state = drift.step(state, spec, values, start_us=day * DAY_US, until_us=(day + 1) * DAY_US, seed="p/m")
    return state


def test_until_the_reference_is_full_it_says_so() -> None:
    finding = drift.find(play(Drift(), 10), Drift(), at_us=0)
    assert (finding.state, finding.reason) == ("insufficient", "collecting the reference: 10 of 56 windows")


def test_a_weekly_rhythm_is_no_drift() -> None:
    state = play(Drift(), 150)
    assert state.alarmed_us is None
    assert drift.find(state, Drift(), at_us=0).state == "ok"


def test_a_shifted_feature_alarms_and_is_named() -> None:
    state = play(Drift(), 75, shift_from=65)
    finding = drift.find(state, Drift(), at_us=0)
    assert finding.state == "alarm"
    assert finding.reason.startswith("the inputs have changed; look at x0")
    assert next(iter(finding.numbers["suspects"])) == "x0"


def test_the_alarm_goes_off_again_once_the_new_world_is_usual() -> None:
    assert play(Drift(), 250, shift_from=65).alarmed_us is None


def test_an_effect_floor_only_silences() -> None:
    assert play(Drift(effect_floor=5.0), 75, shift_from=65).alarmed_us is None
    assert play(Drift(effect_floor=1.0), 75, shift_from=65).alarmed_us is not None


def test_only_the_named_features_are_watched() -> None:
    state = play(Drift(features=("x1", "x2")), 75, shift_from=65)
    assert sorted(state.watched) == ["x1", "x2"]
    assert state.alarmed_us is None


def test_the_same_windows_give_the_same_state() -> None:
    assert play(Drift(), 75, shift_from=65) == play(Drift(), 75, shift_from=65)


def test_a_thin_window_is_counted_and_changes_nothing_else() -> None:
    before = play(Drift(), 60)
    after = drift.step(before, Drift(), {"x0": [99.0] * 5}, start_us=60 * DAY_US, until_us=61 * DAY_US, seed="p/m")
    assert (after.thin_windows, after.evidence, after.windows) == (1, before.evidence, before.windows)


def test_a_model_without_inputs_is_insufficient_for_ever() -> None:
    state = drift.DriftState()
    for day in range(70):
        state = drift.step(state, Drift(), {}, start_us=day * DAY_US, until_us=(day + 1) * DAY_US, seed="p/m")
    assert drift.find(state, Drift(), at_us=0).state == "insufficient"
