from mainspring.serving.tripwire import Tripwire, expected_share, limit, updated


def test_five_failures_in_a_row_trip_at_twenty_thousand_planned_requests_and_four_do_not() -> None:
    wire = Tripwire(20_000)
    assert [wire.challenger_answered(True, 0.0) for _ in range(5)] == [False, False, False, False, True]
    assert (wire.requests, wire.failures) == (5, 5)


def test_once_tripped_it_stays_tripped() -> None:
    wire = Tripwire(20_000)
    for _ in range(5):
        wire.challenger_answered(True, 0.0)
    assert [wire.challenger_answered(False, 1.0) for _ in range(50)] == [True] * 50


def test_a_success_takes_back_half_but_never_below_one() -> None:
    assert updated(1.0, False, 0.01) == 0.5 / 0.99
    assert updated(0.2, True, 0.01) == 50.0


def test_where_the_stable_version_fails_too_more_failures_are_forgiven() -> None:
    assert expected_share(20, 100) == 0.4
    assert expected_share(90, 100) == 0.5
    assert expected_share(0, 0) == 0.01
    wire = Tripwire(20_000)
    for second in range(10):
        wire.stable_answered(second % 2 == 0, float(second))
    assert not any(wire.challenger_answered(True, 10.0) for _ in range(100))


def test_the_stable_versions_failures_are_forgotten_after_a_minute() -> None:
    wire = Tripwire(20_000)
    wire.stable_answered(True, 0.0)
    assert [wire.challenger_answered(True, 61.0) for _ in range(5)][-1]


def test_the_limit_grows_with_the_plan() -> None:
    assert (limit(20_000), limit(0)) == (2e7, 1e3)
