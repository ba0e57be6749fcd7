"""Outside an evaluation a fault raises where it stands; names and secrets are looked after."""

import pytest

import mainspring as ms
from mainspring.kernel.errors import InvalidInput


def test_a_fault_raises_when_nothing_collects():
    with pytest.raises(InvalidInput, match="did you mean 'known_at'"):
        ms.Source("trips", "trips.csv", time="start", known_att="end", key="trip")


def test_an_unknown_word_is_an_attribute_error_that_names_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'FeatureView'"):
        _ = ms.FeatureVew


def test_the_words_of_checks_stay_themselves_when_the_package_is_imported():
    import mainspring.checks.service

    assert mainspring.checks.service.CheckService.__name__ == "CheckService"
    assert ms.checks.metric("roc_auc", at_least=0.6).at_least == 0.6


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(InvalidInput, match="environment variable") as caught:
        ms.sql("postgresql://ada:secret@db/ops", "select 1", watermark="at")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://ada:${PASSWORD}@db/ops", "postgresql://${DB}/ops", "postgresql://db:5432/x"]
)
def test_a_url_without_a_password_is_taken(url):
    assert ms.sql(url, "select 1", watermark="at").url == url


@pytest.mark.parametrize(
    ("data", "kind"),
    [("a.csv", "CsvReader"), ("a.parquet", "ParquetReader"), ("folder/v1.2/parts", "ParquetReader")],
)
def test_a_path_says_how_it_is_read(data, kind):
    source = ms.Source("trips", data, time="start", known_after="0s", key="trip")
    assert type(source.reader).__name__ == kind


def test_a_pushed_source_declares_its_columns():
    columns = {"trip": "str", "start": "time", "price": "float?"}
    source = ms.Source("trips", ms.push(columns), time="start", known_after="0s", key="trip")
    assert [(c.name, c.kind, c.nullable) for c in source.columns] == [
        ("trip", "str", False),
        ("start", "time", False),
        ("price", "float", True),
    ]


def model(**options):
    outcome = ms.Outcome("late", source="trips", matures_after="1h")
    return ms.Model("late", entity="trip", predict_at="start", outcome=outcome, **{"task": "binary", **options})


def test_a_task_that_is_not_served_yet_is_refused_with_a_way_out():
    with pytest.raises(InvalidInput, match=r"is not served yet .*; use binary or regression or multiclass"):
        model(task="quantiles")


@pytest.mark.parametrize("classes", [["b", "a"], [3, 1, 2], [True, False]])
def test_classes_are_texts_numbers_or_truth_values_in_their_order(classes):
    assert model(task="multiclass", classes=classes).classes == tuple(classes)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": ["a", "a"]}, "classes: is given twice (got 'a')"),
        ({"classes": ["a", 1]}, "classes: are not of one kind (got ['a', 1])"),
        ({"classes": ["a"]}, "classes: must be 2 to 1,000 (got 1)"),
        ({"classes": ["a", ""]}, "classes: holds an empty text"),
        ({"classes": [0.5, 1.5]}, "classes: are not of one kind (got [0.5, 1.5])"),
        ({"classes": "ab"}, "classes: must be a list of classes (got 'ab')"),
        ({"threshold": 0.5}, "threshold: cuts one probability in two (got 0.5)"),
        ({"task": "binary", "classes": ["a", "b"]}, "classes: belong to the task multiclass (got ['a', 'b'])"),
    ],
)
def test_what_a_model_of_classes_cannot_have_is_refused(options, sentence):
    with pytest.raises(InvalidInput) as caught:
        model(**{"task": "multiclass", **options})
    assert sentence in str(caught.value)


def test_silence_is_no_class():
    outcome = ms.Outcome("kind", source="s", matures_after="1d", if_absent="negative")
    with pytest.raises(InvalidInput, match="if_absent: says nothing of classes"):
        ms.Model("which", entity="id", predict_at="at", task="multiclass", outcome=outcome)


def test_a_model_says_how_rows_that_wait_are_put_together():
    assert model(batching=ms.Batching(max_rows=32, max_wait_ms=2)).batching.max_rows == 32
    assert model().batching == ms.Batching()
    with pytest.raises(InvalidInput, match=r"must be an ms\.Batching"):
        model(batching=32)
