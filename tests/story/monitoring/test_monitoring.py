import time

import pytest

from mainspring.kernel.errors import Conflict, NotFound
from mainspring.ledger.queries import entries


def kinds(world) -> list[str]:
    with world.store.read() as connection:
        return [entry.kind for entry in entries(connection, kind="alarm")]


def test_a_model_that_does_well_is_quiet(world):
    world.play(20)
    assert world.states() == {
        "drift inputs": "ok",
        "quality version 1": "ok",
        "health failed rows": "ok",
        "health fallback rows": "ok",
        "health rows over 500 ms": "ok",
        "health ingestion": "insufficient",
        "silence predictions": "ok",
        "silence outcomes": "ok",
    }
    assert kinds(world) == []
    quality = world.monitoring.state("mod_1")[1].findings[0]
    assert (quality.matured, quality.rows) == (18 * 240, 18 * 240)


def test_a_champion_that_gets_worse_raises_one_alarm_until_another_is_champion(world):
    world.play(12)
    world.play(8, skill=0.0)
    [alarm] = world.monitoring.alarms("flights")
    assert (alarm.monitor, alarm.subject, alarm.model_name) == ("quality", "version 1", "late")
    assert "fell by more than 0.01 below its reference" in alarm.reason
    assert kinds(world) == ["alarm.opened"]
    world.champion("ver_2")
    world.play(1, version="ver_2")
    assert world.monitoring.alarms() == []
    assert kinds(world) == ["alarm.opened", "alarm.closed"]


def test_a_feature_that_moves_is_named(world):
    world.play(11)
    world.play(1, warmer=4.0)
    [alarm] = world.monitoring.alarms(model="mod_1")
    assert (alarm.monitor, alarm.reason) == ("drift", "the inputs have changed; look at weather.temp first")
    assert alarm.numbers["effects"]["weather.temp"] == pytest.approx(4.0, abs=0.6)
    assert alarm.numbers["effects"]["dest"] == 0.0


def test_rows_that_nobody_answered_raise_an_alarm_within_hours(world):
    world.play(2)
    world.play(1, failing=2)
    [alarm] = world.monitoring.alarms()
    assert (alarm.monitor, alarm.subject) == ("health", "failed rows")
    assert alarm.reason == "more than 0.100% of rows: 20.000% in the last window"


def test_silence_of_callers_and_of_outcomes_raises_an_alarm(world):
    world.play(9)
    world.play(2, labels=False)
    assert [alarm.subject for alarm in world.monitoring.alarms()] == ["outcomes"]
    world.pass_days(1)
    assert sorted(alarm.subject for alarm in world.monitoring.alarms()) == ["outcomes", "predictions"]
    world.play(1)
    assert "predictions" not in [alarm.subject for alarm in world.monitoring.alarms()]


def test_each_notice_is_delivered_once(world):
    world.play(2)
    world.play(1, failing=5)
    assert world.monitoring.deliver() == 1
    assert world.monitoring.deliver() == 0
    world.play(1)
    world.new_monitoring().deliver()
    assert [(notice.event, notice.model, notice.subject) for notice in world.postbox.notices] == [
        ("opened", "late", "failed rows"),
        ("closed", "late", "failed rows"),
    ]


def test_a_restart_changes_nothing(world):
    world.play(12)
    world.monitoring = world.new_monitoring()
    world.play(8, skill=0.0)
    assert [alarm.monitor for alarm in world.monitoring.alarms()] == ["quality"]


def test_an_acknowledged_alarm_names_who_and_why_and_stays_open(world):
    world.play(1, failing=5)
    world.pass_days(1)
    alarm = next(alarm for alarm in world.monitoring.alarms() if alarm.monitor == "health")
    seen = world.monitoring.acknowledge(alarm.id, by="ada", reason="the disk was full; freed")
    assert (seen.acknowledged_by, seen.acknowledged_reason) == ("ada", "the disk was full; freed")
    assert seen.closed_us is None
    with pytest.raises(Conflict, match="acknowledged already"):
        world.monitoring.acknowledge(alarm.id, by="bob", reason="me too")
    with pytest.raises(NotFound):
        world.monitoring.acknowledge("alm_none", by="bob", reason="what")


def test_nothing_new_costs_next_to_nothing(world):
    world.play(15)
    start_s = time.monotonic()
    for _ in range(10):
        world.monitoring.evaluate("mod_1")
    assert (time.monotonic() - start_s) / 10 < 0.05


def test_a_slow_receiver_holds_up_whoever_delivers_for_seconds_at_most(world, monkeypatch):
    monkeypatch.setattr("mainspring.monitoring.service.DELIVERING_S", 0.0)
    world.play(2)
    world.play(1, failing=5)
    assert world.monitoring.deliver() == 0
    monkeypatch.setattr("mainspring.monitoring.service.DELIVERING_S", 2.0)
    assert world.monitoring.deliver() == 1
