from datetime import timedelta

import pytest

from mainspring.kernel.duration import parse_duration, show_duration
from mainspring.kernel.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("30m", timedelta(minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, span):
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "d", "14", "14 days", "-1d", "1d2h", 14])
def test_anything_else_is_refused_with_the_field(text):
    with pytest.raises(InvalidInput, match="hold: is not a duration"):
        parse_duration(text, field="hold")


@pytest.mark.parametrize("text", ["36501d", "999999999999999d", "9" * 400 + "ms", "1" + "0" * 5_000 + "w"])
def test_what_no_moment_lies_as_far_off_as_is_refused(text):
    with pytest.raises(InvalidInput, match="hold: is too long"):
        parse_duration(text, field="hold")


def test_a_hundred_years_are_a_duration():
    assert parse_duration("36500d") == timedelta(days=36_500)


def test_a_duration_is_shown_in_its_largest_whole_unit():
    assert [show_duration(timedelta(**span)) for span in ({"days": 14}, {"hours": 36}, {"seconds": 90})] == [
        "14d",
        "36h",
        "90s",
    ]
