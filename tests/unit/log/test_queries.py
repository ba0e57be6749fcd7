import polars as pl
import pytest
from sqlalchemy import update

from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.errors import InvalidInput, NotFound
from mainspring.log.parts import listed
from mainspring.log.queries import PredictionLog
from mainspring.log.records import ClassOutcomes, ScoredVectors
from mainspring.log.tables import parts
from mainspring.testing.logs import assignment, outcome, request, scored


@pytest.fixture
def log(bench):
    bench.write(request(1), assignment(1), scored(1), scored(1, "ver_2", "shadow", 0.7))
    bench.ingest.run()
    bench.write(request(2), assignment(2, "challenger"), scored(2, "ver_2", output=0.9), request(3, model="mod_2"))
    bench.ingest.run()
    return bench.log


def test_an_empty_log_answers_with_empty_frames(bench):
    assert bench.log.requests("mod_1").is_empty()
    assert bench.log.labelled("mod_1", ["ver_1"], 0, 100, 100).is_empty()
    assert bench.log.outcomes("mod_1").is_empty()
    assert bench.log.first_decision_us("mod_1") is None
    assert bench.log.counts("mod_1")["predictions"] == 0
    assert bench.log.source("src_1").is_empty()


def test_requests_are_those_of_the_model_and_the_span(log):
    assert log.requests("mod_1")["prediction_id"].to_list() == ["b_1-1", "b_1-2"]
    assert log.requests("mod_1", since_us=11)["decision_us"].to_list() == [20]
    assert log.requests("mod_1", since_us=10, until_us=20)["decision_us"].to_list() == [10]
    assert log.requests("mod_1")["body"].to_list() == ['{"flight":"1"}', '{"flight":"2"}']


def test_assignments_are_of_one_release_or_of_all(log):
    assert log.assignments("mod_1", release="rel_1")["arm"].to_list() == ["champion", "challenger"]
    assert log.assignments("mod_1", release="rel_other").is_empty()
    assert log.assignments("mod_1")["propensity"].to_list() == [0.95, 0.95]


def test_scored_rows_are_chosen_by_version_role_and_span(log):
    assert log.scored("mod_1", versions=["ver_2"])["role"].to_list() == ["shadow", "served"]
    assert log.scored("mod_1", roles=["served"])["output"].to_list() == [0.5, 0.9]
    assert log.scored("mod_1", since_us=20)["version"].to_list() == ["ver_2"]
    assert "features" not in log.scored("mod_1").columns
    with_features = log.scored("mod_1", roles=["served"], until_us=20, features=True)
    assert with_features["features"].to_list() == ['{"weather":[[12.5,null],900,"d1"]}']


def test_labelled_rows_say_what_was_known_by_then(bench, log):
    bench.write(outcome("e1", 1.0, known_us=50), outcome("e2", 0.0, known_us=80))
    bench.ingest.run()
    rows = log.labelled("mod_1", ["ver_1", "ver_2"], 0, 100, known_until_us=60)
    assert rows.select("entity", "version", "value", "known_us").rows() == [
        ("e1", "ver_1", 1.0, 50),
        ("e1", "ver_2", 1.0, 50),
        ("e2", "ver_2", None, None),
    ]


def test_an_identical_repeat_of_an_outcome_changes_nothing(bench):
    bench.write(outcome("e1", 1.0, known_us=50), outcome("e1", 1.0, known_us=70))
    bench.ingest.run()
    assert bench.log.outcomes("mod_1").rows() == [("e1", 1.0, 5, 50, 1, None)]


def test_another_value_is_a_new_revision_from_when_it_was_known(bench):
    bench.write(outcome("e1", 1.0, known_us=50), outcome("e1", 0.0, known_us=70), outcome("e1", 1.0, known_us=90))
    bench.ingest.run()
    assert bench.log.outcomes("mod_1", known_until_us=49).is_empty()
    assert bench.log.outcomes("mod_1", known_until_us=69).rows() == [("e1", 1.0, 5, 50, 1, None)]
    assert bench.log.outcomes("mod_1", known_until_us=70).rows() == [("e1", 0.0, 5, 70, 2, None)]
    assert bench.log.outcomes("mod_1").rows() == [("e1", 1.0, 5, 90, 3, None)]


def test_of_two_revisions_known_at_the_same_moment_the_later_one_counts(bench):
    bench.write(outcome("e1", 1.0, known_us=50))
    bench.ingest.run()
    bench.write(outcome("e1", 0.0, known_us=50))
    bench.ingest.run()
    assert bench.log.outcomes("mod_1").rows() == [("e1", 0.0, 5, 50, 2, None)]


def test_an_outcome_that_comes_before_its_prediction_waits_for_it(bench):
    bench.write(outcome("e1", 1.0, known_us=50))
    bench.ingest.run()
    assert bench.log.counts("mod_1")["parked"] == 1
    bench.write(request(1), scored(1))
    bench.ingest.run()
    assert bench.log.counts("mod_1")["parked"] == 0
    assert bench.log.labelled("mod_1", ["ver_1"])["value"].to_list() == [1.0]


def test_one_outcome_labels_many_predictions(bench):
    bench.write(request(1, "same"), scored(1), request(2, "same"), scored(2), outcome("same", 1.0, 50))
    bench.ingest.run()
    assert bench.log.labelled("mod_1", ["ver_1"])["value"].to_list() == [1.0, 1.0]


def test_counts_are_by_role_and_of_one_model_or_all(bench, log):
    bench.write(outcome("e1", 1.0, known_us=50), outcome("e1", 1.0, known_us=60))
    bench.ingest.run()
    assert log.counts("mod_1") == {
        "predictions": 2,
        "assignments": 2,
        "served": 2,
        "shadow": 1,
        "under_batched": 2,
        "outcomes": 1,
        "parked": 0,
        "given_up": 0,
        "spool_lag_bytes": 0,
    }
    assert log.counts()["predictions"] == 3


def test_first_and_last_moments_are_known(bench, log):
    bench.write(outcome("e1", 1.0, known_us=50), outcome("e2", 1.0, known_us=40))
    bench.ingest.run()
    assert log.first_decision_us("mod_1") == 10
    assert log.last_outcome_us("mod_1") == 50


def test_everything_about_one_prediction_is_found(bench, log):
    bench.write(outcome("e1", 1.0, known_us=50))
    bench.ingest.run()
    found = log.prediction("b_1-1")
    assert found["requests"][0]["body"] == '{"flight":"1"}'
    assert found["assignments"][0]["arm"] == "champion"
    assert [row["version"] for row in found["scored"]] == ["ver_1", "ver_2"]
    assert found["scored"][0]["features"] == '{"weather":[[12.5,null],900,"d1"]}'
    assert found["outcomes"][0]["value"] == 1.0


def test_an_unknown_prediction_is_not_found(log):
    with pytest.raises(NotFound, match="b_9-1"):
        log.prediction("b_9-1")


def test_rows_read_from_files_and_pushed_ones_are_one_source(bench):
    frame = pl.DataFrame(
        {"k": ["a"], "x": [1], "_known_us": [5]}, schema_overrides={"x": pl.Int32, "k": pl.Categorical}
    )
    with bench.store.bookkeeping() as connection:
        bench.log.append_source(connection, "src_1", frame)
    assert bench.log.source("src_1").schema == {"k": pl.String(), "x": pl.Int64(), "_known_us": pl.Int64()}
    assert len(bench.log.source_parts("src_1")) == len(bench.log.source_digests("src_1")) == 1


def test_rows_of_an_abandoned_transaction_were_never_there(bench):
    frame = pl.DataFrame({"k": ["a"], "_known_us": [5]})
    with bench.store.bookkeeping() as connection:
        bench.log.append_source(connection, "src_1", frame)
        connection.rollback()
    assert bench.log.source("src_1").is_empty()


def test_rows_of_a_source_must_say_when_they_were_known(bench):
    with bench.store.bookkeeping() as connection, pytest.raises(InvalidInput, match="_known_us"):
        bench.log.append_source(connection, "src_1", pl.DataFrame({"k": ["a"]}))


def test_outcomes_that_came_after_their_horizon_are_counted(bench):
    bench.write(request(1), request(2), request(3), request(4))  # decided at 10, 20, 30, 40
    bench.write(outcome("e1", 1.0, 60), outcome("e2", 1.0, 71), outcome("e3", 1.0, 500), outcome("e4", 1.0, 900))
    bench.ingest.run()
    assert bench.log.too_late("mod_1", 0, 0, 600, horizon_us=50) == 2
    assert bench.log.too_late("mod_1", 25, 0, 600, horizon_us=50) == 1
    assert bench.log.too_late("mod_1", 0, 601, 2_000, horizon_us=50) == 1


def test_parts_from_before_vectors_are_read_beside_those_with_them(bench):
    """A part that an earlier Mainspring wrote lacks the columns that came later."""
    bench.write(request(1), scored(1), outcome("e1", 1.0, 50))
    bench.ingest.run()
    with bench.store.read() as connection:
        old = {part.table: part for part in listed(connection, "scored") + listed(connection, "outcomes")}
    for table, columns in (("scored", ["vector", "parts"]), ("outcomes", ["label"])):
        frame = bench.tables.scan([old[table]]).collect().drop(columns)
        part = bench.tables.write(table, frame)
        with bench.store.bookkeeping() as connection:
            swapped = {"id": part.id, "digest": part.digest, "bytes": part.bytes}
            connection.execute(update(parts).where(parts.c.id == old[table].id).values(**swapped))
    bench.tables.drop(list(old.values()))
    several = ScoredVectors(
        "b_1-2", "mod_1", "ver_1", "served", "ok", 7, (0,), (0.75,), b"", 40, 20,
        parts=("a", "b"), vectors=((0.25, 0.75),),
    )  # fmt: skip
    bench.write(request(2), several, ClassOutcomes("prj_1", "mod_1", ("e2",), (), (5,), (50,), ("b",)))
    bench.ingest.run()
    fresh = PredictionLog(bench.store, ParquetTables(bench.spool.parent / "parts", bench.disk))
    rows = fresh.labelled("mod_1").sort("decision_us")
    assert rows.select("output", "vector", "parts", "value", "label").rows() == [
        (0.5, None, None, 1.0, None),
        (0.75, [0.25, 0.75], ["a", "b"], None, "b"),
    ]
