"""What holds for every revision."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mainspring.features.spec import CsvReader, Feature, SourceSpec, ViewSpec
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.schema import Column
from mainspring.project.difference import difference
from mainspring.project.evaluate import revision_of
from mainspring.project.given import predict_at_of
from mainspring.project.manifest import Revision

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
columns = st.builds(Column, names, st.sampled_from(["int", "float", "bool", "str", "time"]), st.booleans())
sources = st.builds(
    SourceSpec,
    name=names,
    reader=st.builds(CsvReader, st.text(max_size=10)),
    time=names,
    key=st.lists(names, min_size=1, max_size=3).map(tuple),
    known_after_us=st.integers(0, 10**12),
    columns=st.lists(columns, max_size=4).map(tuple),
)
features = st.builds(Feature, names, st.just("count"), over_us=st.integers(1, 10**12))
views = st.builds(
    ViewSpec,
    names,
    names,
    key=st.lists(names, min_size=1, max_size=3).map(tuple),
    features=st.lists(features, min_size=1, max_size=3, unique_by=lambda feature: feature.name).map(tuple),
)
revisions = st.builds(
    Revision,
    project=names,
    file=st.just("project.py"),
    sources=st.lists(sources, max_size=3, unique_by=lambda source: source.name).map(tuple),
    views=st.lists(views, max_size=3, unique_by=lambda view: view.name).map(tuple),
    files=st.dictionaries(names, st.text("abcdef0123456789", min_size=4, max_size=4), max_size=3),
)


@given(revisions)
def test_a_stored_revision_is_read_back_as_it_was(revision):
    assert revision_of(revision.encoded()) == revision
    assert revision_of(revision.encoded()).digest() == revision.digest()


@given(revisions, revisions)
def test_a_difference_is_empty_only_between_equal_revisions(old, new):
    new = msgspec.structs.replace(new, project=old.project)
    assert difference(old, old) == []
    same_order = sorted(map(str, old.sources)) == sorted(map(str, new.sources))
    same_views = sorted(map(str, old.views)) == sorted(map(str, new.views))
    assert (difference(old, new) == []) == (same_order and same_views and old.files == new.files)


@given(names, st.sampled_from("+-"), st.integers(0, 999), st.sampled_from(["ms", "s", "m", "h", "d", "w"]))
def test_a_moment_of_prediction_is_its_column_and_its_span(column, sign, count, unit):
    offset_us = round(parse_duration(f"{count}{unit}").total_seconds() * 1e6)
    expected = -offset_us if sign == "-" else offset_us
    assert predict_at_of("predict_at", f"{column} {sign} {count}{unit}") == (column, expected)
