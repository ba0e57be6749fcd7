import msgspec
import numpy as np

from mainspring.monitoring import quality
from mainspring.monitoring.spec import Quality

DAY_US = 86_400_000_000


def window(
    generator: np.random.Generator, *, skill: float, anchor_skill: float | None = None, n: int = 900
) -> quality.Window:
    truth = np.clip(0.25 + 0.2 * generator.normal(size=n), 0.02, 0.98)
    outcome = (generator.random(n) < truth).astype(float)

    def answer(share: float) -> np.ndarray:
        return share * truth + (1 - share) * np.clip(0.25 + 0.2 * generator.normal(size=n), 0.02, 0.98)

    anchor = np.full(n, np.nan) if anchor_skill is None else answer(anchor_skill)
    return quality.Window(rows=n + 20, outcome=outcome, answer=answer(skill), anchor=anchor)


def play(
    days: int, *, falls_from: int = 10**9, anchor_skill: float | None = None, spec: Quality | None = None
) -> quality.QualityState:
    generator, spec = np.random.default_rng(3), spec or Quality()
    state = quality.QualityState(version="ver_1", number=1)
    for day in range(days):
        one = window(generator, skill=0.9 if day < falls_from else 0.3, anchor_skill=anchor_skill)
        state = quality.step(state, spec, one, until_us=(day + 1) * DAY_US)
    return state


def test_it_is_insufficient_until_the_reference_is_shown() -> None:
    finding = quality.find(play(8), Quality(), at_us=0)
    assert finding.state == "insufficient"
    assert finding.reason == "too early to tell: 7 of 14 windows of reference (7200 matured of 7360)"
    assert (finding.matured, finding.rows) == (7200, 7360)


def test_a_steady_champion_is_well_for_a_year() -> None:
    finding = quality.find(play(365), Quality(), at_us=0)
    assert finding.state == "ok"
    assert finding.numbers["base_evidence"] < 100


def test_a_champion_that_falls_off_alarms_within_days() -> None:
    state = play(45, falls_from=40)
    assert state.alarmed_us is not None
    assert state.alarmed_us <= 43 * DAY_US
    finding = quality.find(state, Quality(), at_us=0)
    assert finding.subject == "version 1"
    assert finding.reason.startswith("its advantage over the base rate fell by more than 0.01 below its reference")


def test_an_anchor_that_is_better_on_the_same_rows_alarms() -> None:
    state = play(45, falls_from=0, anchor_skill=0.9)
    assert state.alarmed_us is not None
    assert state.alarmed_by == "anchor"


def test_an_anchor_that_is_worse_does_not() -> None:
    assert play(60, anchor_skill=0.3).alarmed_us is None


def test_no_outcome_is_insufficient_and_says_so() -> None:
    nothing = quality.Window(rows=100, outcome=np.array([]), answer=np.array([]), anchor=np.array([]))
    state = quality.step(quality.QualityState(version="ver_1"), Quality(), nothing, until_us=DAY_US)
    finding = quality.find(state, Quality(), at_us=0)
    assert (finding.state, finding.reason) == ("insufficient", "none of 100 rows has matured yet")


def test_one_class_only_gives_a_loss_but_no_area() -> None:
    one_class = quality.Window(rows=3, outcome=np.ones(3), answer=np.array([0.7, 0.8, 0.9]), anchor=np.full(3, np.nan))
    state = quality.step(quality.QualityState(version="ver_1"), Quality(), one_class, until_us=DAY_US)
    assert state.auc is None
    assert state.loss is not None


def test_a_recovered_champion_clears_its_alarm() -> None:
    generator, state = np.random.default_rng(3), play(45, falls_from=40)
    for day in range(45, 80):
        state = quality.step(state, Quality(), window(generator, skill=0.9), until_us=(day + 1) * DAY_US)
    assert state.alarmed_us is None


def test_a_regression_is_watched_by_its_error() -> None:
    generator, spec = np.random.default_rng(5), Quality("absolute_error", margin=0.1)
    state = quality.QualityState(version="ver_1", number=1)
    for day in range(60):
        outcome = generator.normal(10, 3, 500)
        answer = outcome + generator.normal(0, 1 if day < 40 else 2.5, 500)
        one = quality.Window(rows=500, outcome=outcome, answer=answer, anchor=np.full(500, np.nan))
        state = quality.step(state, spec, one, until_us=(day + 1) * DAY_US)
        assert (state.alarmed_us is None) == (day < 42) or day in (40, 41)
    assert state.bound is not None
    assert 15 < state.bound < 21


def test_the_state_survives_being_stored() -> None:
    state = play(30, anchor_skill=0.5)
    assert msgspec.json.decode(msgspec.json.encode(state), type=quality.QualityState) == state
