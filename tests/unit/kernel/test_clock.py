from datetime import UTC, datetime, timedelta

import pytest

from mainspring.kernel.clock import SimulatedClock, from_us, parse_time, show_time, to_us
from mainspring.kernel.errors import InvalidInput

MAY = datetime(2013, 5, 3, 12, tzinfo=UTC)


def test_a_simulated_clock_stands_still_until_its_driver_advances_it(tmp_path):
    driver = SimulatedClock.create(tmp_path / "clock", MAY)
    reader = SimulatedClock(tmp_path / "clock")
    assert reader.now() == MAY
    driver.advance(MAY + timedelta(hours=6))
    assert reader.now() == datetime(2013, 5, 3, 18, tzinfo=UTC)


def test_a_simulated_clock_never_goes_back(tmp_path):
    driver = SimulatedClock.create(tmp_path / "clock", MAY)
    with pytest.raises(InvalidInput, match="never goes back"):
        driver.advance(MAY - timedelta(seconds=1))


def test_only_the_driver_may_advance_a_simulated_clock(tmp_path):
    SimulatedClock.create(tmp_path / "clock", MAY)
    with pytest.raises(TypeError):
        SimulatedClock(tmp_path / "clock").advance(MAY + timedelta(hours=1))


def test_times_are_microseconds_since_1970_in_utc():
    assert to_us(MAY) == 1_367_582_400_000_000
    assert from_us(1_367_582_400_000_001) == MAY + timedelta(microseconds=1)


@pytest.mark.parametrize("text", ["2013-05-03T12:00", "yesterday", "2013-13-01T00:00Z"])
def test_a_time_without_a_zone_or_form_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_time(text)


def test_a_time_with_an_offset_is_read_in_utc():
    assert show_time(parse_time("2013-05-03T08:00-04:00")) == "2013-05-03T12:00:00Z"
