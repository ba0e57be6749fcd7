import msgspec
import pytest

from mainspring.loop.facts import Facts, ModelFacts, Retraining, RetrainRule
from mainspring.loop.plan import (
    Backtest,
    Check,
    EvaluateMonitors,
    Finish,
    ProposeRetraining,
    StartRelease,
    StepRelease,
    Train,
    plan,
)

DAY = 86_400_000_000
RULE = RetrainRule(every_us=30 * DAY, on=("quality",), cooldown_us=7 * DAY, backtest_origins=6)
CALM = ModelFacts(model="mdl", name="late", project="prj", champion="ver_1", champion_since_us=0, rule=RULE)


def planned(now_us, **changes):
    return plan(Facts((msgspec.structs.replace(CALM, **{"evaluated_us": now_us, **changes}),)), now_us)


def going(state, **more):
    return Retraining("rtr", "schedule", state, 0, **more)


def test_nothing_is_due_when_nothing_happened():
    assert planned(29 * DAY) == []


def test_the_schedule_proposes_a_retraining_when_its_time_has_come():
    assert planned(30 * DAY) == [ProposeRetraining("mdl", "schedule", "the champion has been one for 30 days")]


def test_a_champion_that_stays_old_is_tried_again_after_the_cooldown():
    assert planned(40 * DAY, last_proposed_us=34 * DAY) == []
    assert planned(41 * DAY, last_proposed_us=34 * DAY) == [
        ProposeRetraining("mdl", "schedule", "the champion has been one for 41 days")
    ]


def test_a_new_champion_starts_the_schedule_anew():
    assert planned(60 * DAY, last_proposed_us=30 * DAY, champion_since_us=40 * DAY) == []


def test_an_alarm_of_a_named_kind_proposes_a_retraining():
    assert planned(9 * DAY, alarms=(("quality", 8 * DAY),)) == [
        ProposeRetraining("mdl", "quality", "the quality monitor raised an alarm")
    ]
    assert planned(9 * DAY, alarms=(("drift", 8 * DAY),)) == []


def test_one_alarm_proposes_once():
    assert planned(20 * DAY, alarms=(("quality", 8 * DAY),), last_proposed_us=9 * DAY) == []


def test_the_cooldown_holds_even_against_an_alarm():
    assert planned(12 * DAY, alarms=(("quality", 11 * DAY),), last_proposed_us=6 * DAY) == []


def test_a_model_without_a_rule_is_never_retrained_by_the_loop():
    assert planned(400 * DAY, rule=None, evaluated_us=400 * DAY) == []


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"retraining": going("proposed")}, Backtest("mdl", "rtr", 6)),
        ({"retraining": going("worthwhile")}, Train("mdl", "rtr")),
        ({"retraining": going("trained", version="ver_2")}, Check("mdl", "rtr", "ver_2")),
        (
            {"retraining": going("trained", version="ver_2"), "checked": False},
            Finish("mdl", "rtr", "dropped", "a check failed"),
        ),
        ({"retraining": going("trained", version="ver_2"), "checked": True}, StartRelease("mdl", "rtr", "ver_2")),
        (
            {"retraining": going("releasing", version="ver_2", release="rel"), "release_over": True},
            Finish("mdl", "rtr", "finished", "its release has ended"),
        ),
    ],
)
def test_a_retraining_goes_one_step_at_a_time(changes, action):
    assert planned(30 * DAY, **changes) == [action]


def test_a_running_release_keeps_the_next_retraining_waiting():
    assert planned(90 * DAY, retraining=going("releasing", version="ver_2", release="rel"), running=("rel",)) == [
        StepRelease("mdl", "rel")
    ]


def test_nothing_is_started_while_a_job_is_under_way_but_releases_are_still_stepped():
    assert planned(30 * DAY, busy=True, running=("rel",), retraining=going("proposed")) == [StepRelease("mdl", "rel")]


def test_monitors_are_looked_at_once_a_day():
    assert planned(10 * DAY, evaluated_us=9 * DAY) == [EvaluateMonitors("mdl")]
    assert planned(10 * DAY, evaluated_us=9 * DAY + 1) == []


def test_monitors_are_looked_at_though_the_clock_was_set_back_past_the_last_time():
    assert planned(10 * DAY, evaluated_us=13 * DAY) == [EvaluateMonitors("mdl")]


def test_releases_come_first():
    actions = planned(10 * DAY, evaluated_us=None, running=("rel",))
    assert actions == [StepRelease("mdl", "rel"), EvaluateMonitors("mdl")]
