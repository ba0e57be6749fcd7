from __future__ import annotations

import pytest

from mainspring.kernel.schema import Column
from mainspring.serving.decode import Malformed, RowDecoder

DECODER = RowDecoder(
    (
        Column("a name", "str"),
        Column("n", "int"),
        Column("x", "float", True),
        Column("ok", "bool"),
        Column("at", "time"),
    )
)
GOOD = b'{"a name": "q", "n": 3, "x": 2, "ok": true, "at": "1970-01-01T00:00:01Z"}'


def test_an_object_gives_its_values_in_the_order_of_the_columns() -> None:
    assert DECODER.decode(GOOD) == ([("q", 3, 2.0, True, 1_000_000)], False)


def test_a_list_may_begin_with_space() -> None:
    rows, several = DECODER.decode(b" \n[" + GOOD + b"," + GOOD + b"]")
    assert (len(rows), several) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "kind", "sentence"),
    [
        (b"3", b"3.5", "wrong_type", "n: must be a whole number (got 3.5)"),
        (b"3", b"9223372036854775808", "out_of_range", "n: does not fit in 64 bits (got 9223372036854775808)"),
        (b"true", b"1", "wrong_type", "ok: must be true or false (got 1)"),
        (b'"x": 2', b'"x": "2"', "wrong_type", "x: must be a number or null (got '2')"),
        (b"1970-01-01T00:00:01Z", b"1970-01-01T00:00:01", "wrong_time",
         "at: a time needs a zone (got '1970-01-01T00:00:01'); append Z for UTC"),
        (b"1970-01-01T00:00:01Z", b"today", "wrong_time",
         "at: is not an ISO 8601 time (got 'today'); write it like 2013-05-03T12:00Z"),
        (b'"ok": true, ', b"", "missing_field", "ok: is missing; send every column"),
        (b'"ok"', b'"okay"', "unknown_field", "okay: is not a column here; did you mean 'ok'?"),
        (b'"q"', b'"\\ud800"', "not_json", None),
    ],
)  # fmt: skip
def test_a_fault_names_field_value_and_remedy(old: bytes, new: bytes, kind: str, sentence: str | None) -> None:
    with pytest.raises(Malformed) as caught:
        DECODER.decode(GOOD.replace(old, new))
    assert caught.value.kind == kind
    assert sentence is None or str(caught.value) == sentence


def test_a_fault_in_a_list_says_which_row() -> None:
    with pytest.raises(Malformed, match=r"^\[1\]\.n: must be a whole number"):
        DECODER.decode(b"[" + GOOD + b"," + GOOD.replace(b"3", b"null") + b"]")


def test_a_missing_value_is_taken_where_the_column_allows_it() -> None:
    assert DECODER.decode(GOOD.replace(b'"x": 2', b'"x": null'))[0][0][2] is None
