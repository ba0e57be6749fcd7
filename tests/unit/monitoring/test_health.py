from mainspring.monitoring import health
from mainspring.monitoring.health import Counts, HealthState
from mainspring.monitoring.spec import Health

HOUR_US = 3_600_000_000


def play(windows: list[Counts], spec: Health | None = None) -> HealthState:
    state = HealthState()
    for n, counts in enumerate(windows):
        state = health.step(state, spec or Health(), counts, until_us=(n + 1) * HOUR_US)
    return state


def states(state: HealthState, lag_s: float | None = 0.0) -> dict[str, str]:
    return {finding.subject: finding.state for finding in health.find(state, Health(), lag_s=lag_s, at_us=0)}


def test_a_healthy_service_is_well() -> None:
    assert states(play([Counts(1_000, 0, 5, 3)] * 500)) == {
        "failed rows": "ok",
        "fallback rows": "ok",
        "rows over 500 ms": "ok",
        "ingestion": "ok",
    }


def test_half_of_the_rows_failing_alarms_in_one_window() -> None:
    state = play([Counts(100, 0, 0, 0)] * 24 + [Counts(100, 50, 0, 0)])
    assert states(state)["failed rows"] == "alarm"
    assert states(state)["fallback rows"] == "ok"


def test_it_closes_after_three_quiet_windows() -> None:
    broken = [Counts(100, 0, 0, 0)] * 24 + [Counts(100, 50, 0, 0)]
    assert states(play(broken + [Counts(100, 0, 0, 0)] * 2))["failed rows"] == "alarm"
    assert states(play(broken + [Counts(100, 0, 0, 0)] * 3))["failed rows"] == "ok"


def test_hours_without_rows_say_nothing() -> None:
    assert states(play([Counts(0, 0, 0, 0)] * 10))["failed rows"] == "insufficient"


def test_rows_that_wait_too_long_alarm() -> None:
    state = play([Counts(100, 0, 0, 0)])
    assert states(state, lag_s=301.0)["ingestion"] == "alarm"
    assert states(state, lag_s=None)["ingestion"] == "insufficient"
