"""Whatever bytes come as an Arrow stream: they are read as what they say, or refused, and nothing else happens."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.log.arrow import Stream
from mainspring.log.arrow_head import WrongStream

MOST_ROWS = 1_000


def whole() -> list[bytes]:
    frame = pl.DataFrame(
        {
            "id": [f"f{n}" for n in range(9)], "long": ["a text of more than twelve bytes ü"] * 9,
            "code": pl.Series(["a", "b", None] * 3, dtype=pl.Categorical), "x": [1.5, None, 3.0] * 3,
            "n": [1, None, 3] * 3, "b": [True, None, False] * 3,
            "at": [datetime(2020, 1, 1, tzinfo=UTC), None, None] * 3,
        }
    )  # fmt: skip
    bodies = []
    for level in (pl.CompatLevel.oldest(), pl.CompatLevel.newest()):
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer, compat_level=level)
        bodies.append(buffer.getvalue())
    return bodies


WHOLE = whole()
NUMBERS = st.sampled_from([0, 1, 8, 1_000, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1])
change = st.one_of(
    st.tuples(st.just("byte"), st.integers(0, 10**6), st.integers(0, 255)),
    st.tuples(st.just("number"), st.integers(0, 10**6), NUMBERS),
    st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(0)),
)


def damaged(body: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    made = bytearray(body)
    for kind, place, value in changes:
        at = place % len(made)
        if kind == "byte":
            made[at] = value
        elif kind == "number":
            made[at : at + 8] = value.to_bytes(8, "little")
        elif at > 8:
            del made[at:]
    return bytes(made)


@settings(max_examples=500, deadline=None)
@given(body=st.sampled_from(WHOLE), changes=st.lists(change, min_size=1, max_size=6))
def test_a_damaged_stream_is_read_or_refused(body: bytes, changes: list[tuple[str, int, int]]) -> None:
    try:
        count, columns = Stream(damaged(body, changes)).read(MOST_ROWS)
    except WrongStream:
        return
    if count <= MOST_ROWS:
        assert {len(values.listed()) for values in columns.values()} <= {count}


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused_unless_they_are_a_stream(body: bytes) -> None:
    try:
        Stream(body).read(MOST_ROWS)
    except WrongStream:
        pass
    else:
        raise AssertionError("random bytes were taken for a stream")


texts = st.lists(st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=20), min_size=1, max_size=8)
values = st.one_of(
    texts.map(lambda v: pa.array(v, pa.string())),
    texts.map(lambda v: pa.array(v, pa.string_view())),
    texts.map(lambda v: pa.array(v, pa.string()).dictionary_encode()),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=8).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=8).map(lambda v: pa.array(v, pa.bool_())),
)


@settings(max_examples=300, deadline=None)
@given(column=values, chunk=st.integers(1, 8))
def test_what_pyarrow_writes_is_read_to_the_same_values(column: Any, chunk: int) -> None:
    table = pa.table({"c": column})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=chunk)
    count, columns = Stream(sink.getvalue()).read(MOST_ROWS)
    assert count == len(column)
    assert columns["c"].listed() == column.to_pylist()
