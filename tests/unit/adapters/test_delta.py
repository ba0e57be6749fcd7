import json
import re
import shutil
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from sqlalchemy import select, update

from mainspring.adapters.tables.delta import DeltaPublication
from mainspring.kernel.clock import SystemClock
from mainspring.log.parts import MERGED_AT_ONCE
from mainspring.log.records import ClassOutcomes, ScoredVectors
from mainspring.log.retention import Keep, Retention
from mainspring.log.tables import publications
from mainspring.testing.logs import LogBench, assignment, outcome, request, scored

GOLDEN = Path(__file__).parent / "golden" / "delta-2.json"


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "home").mkdir()
    bench = LogBench(tmp_path / "home")
    yield bench
    bench.close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "delta"


def publication(bench, root, **how):
    return DeltaPublication(root, store=bench.store, tables=bench.tables, disk=bench.disk, clock=SystemClock(), **how)


def log(bench, *numbers):
    for number in numbers:
        bench.write(
            request(number), assignment(number), scored(number, output=number / 10), outcome(f"e{number}", 1.0, 5)
        )
        bench.ingest.run()


def asked(root):
    """Return what DuckDB finds in the published requests."""
    requests = DeltaTable(str(root / "requests")).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("requests", requests)
        return [entity for (entity,) in connection.sql("SELECT entity FROM requests ORDER BY decision_us").fetchall()]


def test_the_whole_log_is_read_by_duckdb_and_pyarrow(bench, root):
    log(bench, 1, 2, 3)
    published = publication(bench, root).publish()
    assert [(one.table, one.version, one.added, one.rows) for one in published] == [
        ("requests", 0, 3, 3), ("assignments", 0, 3, 3), ("scored", 0, 3, 3), ("outcomes", 0, 3, 3),
    ]  # fmt: skip
    with duckdb.connect() as connection:
        for table in ("requests", "scored", "outcomes"):
            connection.register(table, DeltaTable(str(root / table)).to_pyarrow_dataset())
        joined = "SELECT r.entity, s.output, o.value FROM requests r JOIN scored s USING (prediction_id, row) "
        rows = connection.sql(joined + "JOIN outcomes o USING (entity) ORDER BY s.output").fetchall()
    assert rows == [("e1", 0.1, 1.0), ("e2", 0.2, 1.0), ("e3", 0.3, 1.0)]
    table = DeltaTable(str(root / "scored")).to_pyarrow_table(columns=["output"])
    assert pc.max(table["output"]).as_py() == 0.3


def test_only_what_is_new_is_published_and_merges_are_carried_over(bench, root):
    publish = publication(bench, root).publish
    done = []
    for number in range(1, MERGED_AT_ONCE + 4):
        log(bench, number)
        done.append(publish()[0])
    assert sum(one.added for one in done) == MERGED_AT_ONCE + 3 + 1
    assert sum(one.removed for one in done) == MERGED_AT_ONCE
    assert asked(root) == [f"e{number}" for number in range(1, MERGED_AT_ONCE + 4)]
    assert publish()[0].added == publish()[0].removed == 0


def test_what_is_let_go_or_erased_is_gone_from_the_files_too(bench, root):
    log(bench, 1, 2, 3)
    delta = publication(bench, root)
    delta.publish()
    Retention(bench.store, bench.tables).run({"mod_1": Keep(since_us=25)}, 1_000)
    delta.publish()
    assert asked(root) == ["e3"]
    kept = {path.stem for path in (root / "requests").glob("*.parquet")}
    delta.publish(at_once=True)
    left = {path.stem for path in (root / "requests").glob("*.parquet")}
    assert (len(kept), len(left)) == (3, 1), "an hour for those who read an older version, or none"


@pytest.mark.parametrize("left", [0, 40])
def test_a_newest_commit_that_is_empty_or_cut_is_written_again(bench, root, left):
    log(bench, 1)
    delta = publication(bench, root)
    delta.publish()
    log(bench, 2)
    delta.publish()
    newest = root / "requests" / "_delta_log" / f"{1:020d}.json"
    newest.write_bytes(newest.read_bytes()[:left])
    delta.publish()
    assert asked(root) == ["e1", "e2"]
    assert DeltaTable(str(root / "requests")).version() == 1


def test_an_empty_commit_that_nobody_remembers_is_removed(bench, root):
    log(bench, 1)
    delta = publication(bench, root)
    delta.publish()
    (root / "requests" / "_delta_log" / f"{1:020d}.json").write_bytes(b"")
    log(bench, 2)
    delta.publish()
    assert asked(root) == ["e1", "e2"]


def test_what_another_engine_wrote_into_the_table_is_taken_out_again(bench, root):
    log(bench, 1)
    delta = publication(bench, root)
    delta.publish()
    written = DeltaTable(str(root / "requests")).to_pyarrow_table()
    write_deltalake(str(root / "requests"), written, mode="append")
    assert asked(root) == ["e1", "e1"]
    log(bench, 2)
    delta.publish()
    assert asked(root) == ["e1", "e2"]


def test_a_folder_that_was_taken_away_is_published_anew(bench, root):
    log(bench, 1)
    publication(bench, root).publish()
    shutil.rmtree(root)
    publication(bench, root).publish()
    assert asked(root) == ["e1"]


def test_checkpoints_keep_the_log_short_to_read(bench, root):
    delta = publication(bench, root, checkpoint_every=3)
    for number in range(1, 7):
        log(bench, number)
        delta.publish()
    assert (root / "requests" / "_delta_log" / "_last_checkpoint").exists()
    assert len(asked(root)) == 6


def test_a_table_that_was_published_with_fewer_columns_gets_the_later_ones(bench, root):
    log(bench, 1)
    delta = publication(bench, root)
    delta.publish()
    first = root / "outcomes" / "_delta_log" / f"{0:020d}.json"
    later = r",{\"name\":\"label\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}"
    older = first.read_text().replace(later, "")
    assert older != first.read_text()
    first.write_text(older)
    with bench.store.bookkeeping() as connection:
        for row in connection.execute(select(publications).where(publications.c.table == "outcomes")).all():
            state = {**json.loads(row.state), "commit": older}
            del state["columns"]
            values = {"state": json.dumps(state)}
            connection.execute(update(publications).where(publications.c.id == row.id).values(**values))
    assert "label" not in [field.name for field in DeltaTable(str(root / "outcomes")).schema().fields]
    bench.write(request(2), ClassOutcomes("prj_1", "mod_1", ("e2",), (), (5,), (50,), ("b",)))
    bench.ingest.run()
    delta.publish()
    read = DeltaTable(str(root / "outcomes")).to_pyarrow_table(columns=["entity", "value", "label"])
    assert sorted(read.to_pylist(), key=lambda row: row["entity"]) == [
        {"entity": "e1", "value": 1.0, "label": None}, {"entity": "e2", "value": None, "label": "b"},
    ]  # fmt: skip


def test_vectors_are_lists_of_numbers_for_other_engines(bench, root):
    several = ScoredVectors(
        "b_1-1", "mod_1", "ver_1", "served", "ok", 7, (0,), (0.75,), b"", 40, 10,
        parts=("a", "b"), vectors=((0.25, 0.75),),
    )  # fmt: skip
    bench.write(request(1), several)
    bench.ingest.run()
    publication(bench, root).publish()
    with duckdb.connect() as connection:
        connection.register("scored", DeltaTable(str(root / "scored")).to_pyarrow_dataset())
        rows = connection.sql("SELECT vector[2], list_position(parts, 'b') FROM scored").fetchall()
    assert rows == [(0.75, 2)]


def test_the_first_commit_is_as_the_golden_one(bench, root):
    log(bench, 1)
    publication(bench, root).publish()
    written = (root / "outcomes" / "_delta_log" / f"{0:020d}.json").read_text()
    own = re.sub(r"part_\w{15}", "part_…", re.sub(r"\d{13}", "NOW", re.sub(r'"size":\d+', '"size":SIZE', written)))
    assert own == GOLDEN.read_text()
