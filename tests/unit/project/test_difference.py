"""What changed between two revisions, in words."""

import msgspec

from mainspring.features.spec import CsvReader, Feature, SourceSpec, ViewSpec
from mainspring.project.difference import difference
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe

SOURCE = SourceSpec("trips", CsvReader("trips.csv"), "start", ("trip",), "end")
VIEW = ViewSpec("by_place", "trips", ("place",), (Feature("n", "count", over_us=3_600_000_000),))
MODEL = ModelSpec(
    name="slow",
    task="binary",
    entity="trip",
    source="trips",
    predict_at=PredictAt("start"),
    outcome=OutcomeSpec("minutes > 30", "trips", 1),
    recipes=(Recipe("default", "project:train"), Recipe("other", "project:train")),
)
ENTRY = ModelEntry(MODEL, checks=({"type": "metric", "at_least": 0.6},), release={"type": "canary", "margin": 0.01})
REVISION = Revision("p", "project.py", (SOURCE,), (VIEW,), (ENTRY,), {"project.py": "a" * 64})
replace = msgspec.structs.replace


def said(old, new):
    return [change.sentence() for change in difference(old, new)]


def test_without_an_old_revision_everything_is_added():
    assert said(None, REVISION) == ["+ source trips", "+ view by_place", "+ model slow", "+ file project.py"]


def test_the_same_revision_has_no_difference():
    assert said(REVISION, REVISION) == []


def test_a_changed_number_shows_both():
    entry = replace(ENTRY, release={"type": "canary", "margin": 0.02})
    assert said(REVISION, replace(REVISION, models=(entry,))) == ["~ model slow: release.margin: 0.01 → 0.02"]


def test_parts_of_a_list_are_told_apart_by_name():
    feature = Feature("n", "count", over_us=7_200_000_000)
    view = replace(VIEW, features=(feature,))
    assert said(REVISION, replace(REVISION, views=(view,))) == ["~ view by_place: features[n].over: 1h → 2h"]
    recipes = (MODEL.recipes[0], replace(MODEL.recipes[1], window="30d"))
    entry = replace(ENTRY, spec=replace(MODEL, recipes=recipes))
    assert said(REVISION, replace(REVISION, models=(entry,))) == [
        "~ model slow: recipes[other].window: expanding → 30d"
    ]


def test_changed_code_and_removed_views_are_named():
    changed = replace(REVISION, views=(), files={"project.py": "b" * 64, "words.py": "c" * 64})
    assert said(REVISION, changed) == ["+ file words.py", "~ file project.py: its content", "- view by_place"]


def test_a_lock_that_appears_is_added():
    assert said(REVISION, replace(REVISION, lock="d" * 64)) == ["+ lock"]


def test_spans_are_shown_as_people_write_them():
    entry = replace(ENTRY, spec=replace(MODEL, predict_at=PredictAt("start", -7_200_000_000)))
    assert said(REVISION, replace(REVISION, models=(entry,))) == ["~ model slow: predict_at.offset: 0s → -2h"]
