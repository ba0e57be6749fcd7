"""Whatever rows come, in whatever order: a feature is what one would work out by hand from what was known."""

import math
from itertools import pairwise

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.features.join import BoundView, as_of_join
from mainspring.features.keys import encode_key
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column

START_US = 1_367_582_400_000_000
COLUMNS = (
    Column("id", "int"),
    Column("key", "str"),
    Column("time", "time"),
    Column("known", "time"),
    Column("x", "float", nullable=True),
)
SOURCE = SourceSpec("s", PushReader(), time="time", key=("id",), known_at="known", columns=COLUMNS)
VIEW = ViewSpec(
    "v",
    "s",
    ("key",),
    (
        Feature("count", "count", over_us=7),
        Feature("mean", "mean", column="x", over_us=9),
        Feature("share", "share", condition="x > 0", over_us=7),
        Feature("timed", "mean", column="x", over_us=8, by="time"),
        Feature("last", "last", column="x"),
    ),
    ttl_us=6,
)
NAMES = [f"v.{feature.name}" for feature in VIEW.features]

moments = st.integers(0, 30)
values = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.1, 0.2, 0.3, 1e15, -1e15, 1e-9]))
rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 12), "key": st.sampled_from("ab"), "time": moments, "known": moments, "x": values}
    ),
    max_size=25,
    unique_by=lambda row: (row["id"], row["known"]),
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(found):
    plain = pl.DataFrame(
        found, schema={"id": pl.Int64, "key": pl.String, "time": pl.Int64, "known": pl.Int64, "x": pl.Float64}
    )
    return plain.with_columns(pl.from_epoch(pl.col("time", "known") + START_US, "us").dt.replace_time_zone("UTC"))


def joined(found, asked):
    at = pl.DataFrame({"key": [key for key, _ in asked], "at": [START_US + at for _, at in asked]})
    return as_of_join(at, "at", [BoundView(VIEW, SOURCE, frame(found))]).select(NAMES).rows()


def by_hand(found, key, at):
    known = [row for row in found if row["known"] <= at]
    newest = [row for row in known if not any(o["id"] == row["id"] and o["known"] > row["known"] for o in known)]
    mine = [row for row in newest if row["key"] == key]
    by_known = [row for row in mine if row["known"] > at - 7]
    wide = [row["x"] for row in mine if row["known"] > at - 9 and row["x"] is not None]
    timed = [row["x"] for row in mine if at - 8 < row["time"] <= at and row["x"] is not None]
    told = [row["x"] > 0 for row in by_known if row["x"] is not None]
    ever = [row for row in known if row["key"] == key]
    last = max(ever, key=lambda row: (row["time"], row["known"], row["id"]), default=None)
    return (
        len(by_known),
        math.fsum(wide) / len(wide) if wide else None,
        sum(told) / len(told) if told else None,
        math.fsum(timed) / len(timed) if timed else None,
        last["x"] if last is not None and at - last["time"] <= 6 else None,
    )


EVERYWHERE = [(key, at) for key in "ab" for at in range(-1, 45)]


@quick
@given(rows)
def test_features_are_what_one_works_out_by_hand(found):
    assert joined(found, EVERYWHERE) == [by_hand(found, key, at) for key, at in EVERYWHERE]


@quick
@given(rows, moments)
def test_no_row_uses_anything_known_later(found, at):
    earlier = [row for row in found if row["known"] <= at]
    asked = [(key, moment) for key, moment in EVERYWHERE if moment <= at]
    assert joined(found, asked) == joined(earlier, asked)


@quick
@given(rows, st.randoms(use_true_random=False))
def test_permuting_the_input_changes_nothing(found, random):
    other, asked = list(found), list(EVERYWHERE)
    random.shuffle(other)
    random.shuffle(asked)
    answers = dict(zip(EVERYWHERE, joined(found, EVERYWHERE), strict=True))
    assert dict(zip(asked, joined(other, asked), strict=True)) == answers


@settings(quick, max_examples=25)
@given(rows, st.lists(st.integers(0, 25), max_size=3), st.randoms(use_true_random=False))
def test_online_is_offline_however_the_rows_arrive(tmp_path_factory, found, cuts, random):
    arriving = list(found)
    random.shuffle(arriving)
    latest = LmdbLatest(tmp_path_factory.mktemp("latest"))
    try:
        bounds = [0, *sorted(cuts), len(arriving)]
        for first, end in pairwise(bounds):
            latest.put("d" * 64, VIEW, SOURCE, frame(arriving[first:end]))
        online = [latest.get("d" * 64, [encode_key([key])], START_US + at)[0].values for key, at in EVERYWHERE]
    finally:
        latest.close()
    assert online == joined(found, EVERYWHERE)
