from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest

from mainspring.log.arrow import Stream, listed
from mainspring.log.arrow_head import MOST_COLUMNS, WrongStream


def stream(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return buffer.getvalue()


TIMES = pa.array([0, None, 1_367_582_400], pa.timestamp("s", "UTC"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", None, "ü" * 20]), ["a", None, "ü" * 20]),
        (pa.array(["a", None, "ü" * 20], pa.large_string()), ["a", None, "ü" * 20]),
        (pa.array(["a", None, "ü" * 20], pa.string_view()), ["a", None, "ü" * 20]),
        (pa.array(["a", None, "b"], pa.string_view()), ["a", None, "b"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([None, None, None], pa.dictionary(pa.int8(), pa.string())), [None, None, None]),
        (pa.array([1.5, None, float("nan")]), [1.5, None, None]),
        (pa.array([1.5, None, -0.0], pa.float32()), [1.5, None, -0.0]),
        (pa.array([1, None, -7], pa.int8()), [1, None, -7]),
        (pa.array([1, 2**64 - 1, 0], pa.uint64()), [1, 2**64 - 1, 0]),
        (pa.array([True, None, False]), [True, None, False]),
        (TIMES, ["1970-01-01T00:00:00+00:00", None, "2013-05-03T12:00:00+00:00"]),
        (TIMES.cast(pa.timestamp("ns", "UTC")), ["1970-01-01T00:00:00+00:00", None, "2013-05-03T12:00:00+00:00"]),
        (pa.nulls(3), [None, None, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_every_kind_of_column_is_read(values: Any, expected: list[Any]) -> None:
    count, columns = Stream(stream(pa.table({"c": values}))).read(3)
    assert (count, columns["c"].listed()) == (3, expected)


def test_batches_are_joined_and_dictionaries_grow() -> None:
    sink = io.BytesIO()
    schema = pa.schema([("c", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int64())])
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for texts, codes in ((["a"], [0, 0]), (["a", "b"], [1, 0])):
            column = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), texts)
            writer.write_batch(pa.record_batch([column, pa.array([None, 7])], schema=schema))
    assert [row.decode() for row in listed(sink.getvalue())] == [
        '{"c":"a","n":null}', '{"c":"a","n":7}', '{"c":"b","n":null}', '{"c":"a","n":7}',
    ]  # fmt: skip


def test_rows_beyond_the_limit_are_counted_but_not_made() -> None:
    assert Stream(stream(pa.table({"c": pa.nulls(10**9)}))).read(1_000) == (10**9, {})


def test_a_text_that_a_dictionary_repeats_may_not_unfold_without_end() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int8()), ["x" * 2**20])
    with pytest.raises(WrongStream, match="c: has texts of more than 33554432 bytes"):
        Stream(stream(pa.table({"c": column}))).read(1_000)
    view = pa.array(["x" * 2**20], pa.string_view())
    batches = pa.Table.from_batches([pa.record_batch([view], ["c"])] * 40)
    with pytest.raises(WrongStream, match="c: has texts of more than 33554432 bytes"):
        Stream(stream(batches)).read(1_000)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (pa.table({"c": pa.array([[1]])}), "c: is of a type that is not taken"),
        (pa.table({"c": pa.array([{"a": 1}])}), "c: is of a type that is not taken"),
        (pa.table({"c": pa.array([b"x"])}), "c: is of a type that is not taken"),
        (pa.table({"c": pa.array([0], pa.timestamp("us"))}), "c: is a time without a zone"),
        (pa.table({"c": pa.array([1, 1]).dictionary_encode()}), "c: has a dictionary of something else than texts"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([1])], ["c", "c"]), "body: has two columns of one name"),
        (pa.table({f"c{n}": [1] for n in range(MOST_COLUMNS + 1)}), "body: has more than 2000 columns"),
    ],
)
def test_a_schema_that_is_not_taken_is_refused(table: Any, what: str) -> None:
    with pytest.raises(WrongStream, match=what):
        Stream(stream(table))


def test_a_compressed_stream_is_refused_unread() -> None:
    with pytest.raises(WrongStream, match="is compressed"):
        Stream(stream(pa.table({"c": ["x" * 1_000] * 10}), compression="zstd")).read(100)


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800])
def test_a_time_that_no_calendar_has_is_refused(seconds: int) -> None:
    column = pa.array([0, seconds], pa.int64()).view(pa.timestamp("s", "UTC"))
    with pytest.raises(WrongStream, match="c: has a time that no calendar has"):
        Stream(stream(pa.table({"c": column}))).read(100)
