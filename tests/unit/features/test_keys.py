from datetime import UTC, datetime

import pytest

from mainspring.features.keys import encode_key


@pytest.mark.parametrize(
    ("values", "encoded"),
    [
        (["JFK"], '["JFK"]'),
        (["JFK", "AA"], '["JFK","AA"]'),
        ([7], "[7]"),
        ([7.0], "[7]"),
        ([7.5], "[7.5]"),
        ([True], "[true]"),
        ([None], "[null]"),
        ([datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], "[1000000]"),
        (['a","b', "c"], '["a\\",\\"b","c"]'),
    ],
)
def test_a_key_has_one_encoding(values, encoded):
    assert encode_key(values) == encoded


def test_keys_of_several_columns_are_never_confused():
    assert encode_key(["a,b", "c"]) != encode_key(["a", "b,c"])
