"""Whatever values a model's columns hold: every protocol reads the same rows, and the log gives the same rows again."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mainspring.edges.gateway.protocols.codec import Described
from mainspring.edges.gateway.protocols.spoken import spoken
from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Column
from mainspring.log import arrow
from mainspring.serving.decode import RowDecoder

COLUMNS = (
    Column("id", "str"), Column("x", "float"), Column("n", "int"), Column("b", "bool"),
    Column("wind", "float", nullable=True), Column("word", "str", nullable=True), Column("at", "time", nullable=True),
)  # fmt: skip
MODEL = Described("m", COLUMNS, 1, (1,), False, 100)
CODECS = spoken(MODEL, RowDecoder(COLUMNS))
LENIENT = RowDecoder(COLUMNS, [column.name for column in COLUMNS if column.nullable])


class Headers(dict[str, str]):
    """The headers of a request."""


numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
moments = st.integers(-(10**15), 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": texts, "x": numbers, "n": st.integers(-(2**63), 2**63 - 1), "b": st.booleans(),
            "wind": st.none() | numbers, "word": st.none() | texts.filter(bool), "at": st.none() | moments,
        }
    ).map(lambda row: {column.name: row[column.name] for column in COLUMNS}),
    min_size=1, max_size=6,
)  # fmt: skip


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "at": row["at"].isoformat() if row["at"] else None}


def columns(given: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [plain(row)[name] for row in given] for name in given[0]}


def native(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    return "native", msgspec.json.encode([plain(row) for row in given]), {}


def arrow_stream(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    kinds = {"id": pl.String, "x": pl.Float64, "n": pl.Int64, "b": pl.Boolean, "wind": pl.Float64, "word": pl.String,
             "at": pl.Datetime("us", "UTC")}  # fmt: skip
    buffer = io.BytesIO()
    pl.DataFrame(given, schema=kinds).write_ipc_stream(buffer)
    return "arrow", buffer.getvalue(), {}


def split(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    data = [[plain(row)[name] for name in row] for row in given]
    return "invocations", json.dumps({"dataframe_split": {"columns": list(given[0]), "data": data}}).encode(), {}


def records(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    return "invocations", json.dumps({"dataframe_records": [plain(row) for row in given]}).encode(), {}


def tf_rows(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    return "tfserving", json.dumps({"instances": [list(plain(row).values()) for row in given]}).encode(), {}


def tf_columns(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    return "tfserving", json.dumps({"inputs": columns(given)}).encode(), {}


def lines(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    body = "\n".join(json.dumps(plain(row)) for row in given)
    return "invocations", body.encode(), {"content-type": "application/jsonlines"}


def csv_rows(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(given[0])
    writer.writerows([["" if value is None else value for value in plain(row).values()] for row in given])
    return "invocations", buffer.getvalue().encode(), {"content-type": "text/csv; header=present"}


def tensors(given: list[dict[str, Any]]) -> tuple[str, bytes, dict[str, str]]:
    """Texts that may be missing are left out where one is, as a tensor has no way to say it."""
    inputs, behind = [], b""
    for name, values in columns(given).items():
        kind, packed = "FP64", b""
        if name in ("x", "wind"):
            packed = np.array([np.nan if value is None else value for value in values], "<f8").tobytes()
        elif name == "n":
            kind, packed = "INT64", np.array(values, "<i8").tobytes()
        elif name == "b":
            kind, packed = "BOOL", np.array(values, bool).tobytes()
        elif None in values:
            continue
        else:
            kind = "BYTES"
            packed = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
        inputs.append({"name": name, "shape": [len(values)], "datatype": kind,
                       "parameters": {"binary_data_size": len(packed)}})  # fmt: skip
        behind += packed
    head = json.dumps({"inputs": inputs}).encode()
    return "oip", head + behind, {"inference-header-content-length": str(len(head))}


def expected(given: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def us(at: datetime | None) -> int | None:
        return None if at is None else round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)

    return [(*[value for name, value in row.items() if name != "at"], us(row["at"])) for row in given]


def read_from_log(listed: bytes) -> list[tuple[Any, ...]]:
    if listed[:4] == arrow.MARK:
        return [LENIENT.decode(row)[0][0] for row in arrow.listed(listed)]
    return RowDecoder(COLUMNS).decode(listed)[0]


@pytest.mark.parametrize(
    "encode", [native, arrow_stream, split, records, tf_rows, tf_columns, lines, csv_rows, tensors]
)  # fmt: skip
def test_every_protocol_reads_the_same_rows_and_logs_them(encode: Any) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(asked=rows)
    def hold(asked: list[dict[str, Any]]) -> None:
        if encode is tensors:
            for name in ("word", "at"):
                if any(row[name] is None for row in asked):
                    asked = [{**row, name: None} for row in asked]
        codec, body, headers = encode(asked)
        decoded = CODECS[codec].decode(body, Headers(headers))
        assert repr(list(decoded.rows)) == repr(expected(asked))
        assert repr(read_from_log(decoded.listed)) == repr(expected(asked))

    hold()


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/csv"}, {"content-type": "application/jsonlines"},
     {"content-type": "text/csv; header=present"}, {"inference-header-content-length": "9"}],
    ids=str,
)  # fmt: skip
def test_any_bytes_are_rows_or_refused_by_name(codec: str, headers: dict[str, str]) -> None:
    starts = [
        b"",
        b"[",
        b'{"inputs": ',
        b'{"instances": [[',
        b'{"dataframe_split": {"columns": ["id"], "data": [',
        b"\xff" * 4,
    ]

    @settings(max_examples=120, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(
        start=st.sampled_from(starts),
        rest=st.binary(max_size=60) | st.text(st.characters(exclude_categories=("Cs",)), max_size=60).map(str.encode),
    )
    def hold(start: bytes, rest: bytes) -> None:
        with suppress(MainspringError):
            CODECS[codec].decode(start + rest, Headers(headers))

    hold()
