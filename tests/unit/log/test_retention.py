import pytest

from mainspring.kernel.duration import DAY_US
from mainspring.ledger.queries import entries
from mainspring.log.parts import listed
from mainspring.log.retention import Keep, Retention, keep_from
from mainspring.testing.logs import assignment, outcome, request, scored

NOW_US = 30 * DAY_US


def day(number):
    return number * DAY_US + 5


def asked(number, at_day, model="mod_1"):
    made = request(number, at_us=day(at_day), model=model), assignment(number), scored(number)
    return [type(one)(**{**fields(one), "decision_us": day(at_day), "model": model}) for one in made]


def fields(record):
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.fixture
def retention(bench):
    return Retention(bench.store, bench.tables)


def told(bench):
    with bench.store.read() as connection:
        return entries(connection, kind="log.retained")


def parts_of(bench, table="requests"):
    with bench.store.read() as connection:
        return listed(connection, table)


def test_whole_parts_go_by_their_listing_and_rows_at_the_border(bench, retention):
    bench.write(*asked(1, 3), *asked(2, 4))
    bench.ingest.run()
    bench.write(*asked(3, 9), *asked(4, 10))
    bench.ingest.run()
    bench.write(*asked(5, 20))
    bench.ingest.run()
    found = retention.run({"mod_1": Keep(since_us=10 * DAY_US)}, NOW_US)
    assert found.rows == {"requests": 3, "assignments": 3, "scored": 3}
    assert (found.parts_dropped, found.parts_rewritten) == (3, 3)
    assert bench.log.requests("mod_1")["entity"].to_list() == ["e4", "e5"]
    assert bench.log.scored("mod_1").height == bench.log.assignments("mod_1").height == 2
    counts = bench.log.counts("mod_1")
    assert (counts["predictions"], counts["served"], counts["under_batched"]) == (2, 2, 2)
    assert bench.log.first_decision_us("mod_1") == 10 * DAY_US
    assert len(list((bench.spool.parent / "parts").glob("requests/*.parquet"))) == len(parts_of(bench)) == 2
    (entry,) = told(bench)
    assert entry.numbers == {
        "requests": 3, "assignments": 3, "scored": 3, "given_up": 0, "since": {"mod_1": "1970-01-11T00:00:00Z"},
    }  # fmt: skip


def test_a_dry_run_says_the_same_and_changes_nothing(bench, retention):
    bench.write(*asked(1, 3), *asked(2, 20))
    bench.ingest.run()
    before = parts_of(bench)
    keep = {"mod_1": Keep(since_us=10 * DAY_US)}
    planned = retention.run(keep, NOW_US, dry_run=True)
    assert (planned.rows["requests"], planned.dry_run, parts_of(bench), told(bench)) == (1, True, before, [])
    assert retention.run(keep, NOW_US).rows == planned.rows


def test_a_second_run_finds_nothing_and_says_nothing(bench, retention):
    bench.write(*asked(1, 3))
    bench.ingest.run()
    keep = {"mod_1": Keep(since_us=10 * DAY_US)}
    assert not retention.run(keep, NOW_US).nothing
    assert retention.run(keep, NOW_US).nothing
    assert len(told(bench)) == 1


def test_each_model_has_its_own_day(bench, retention):
    bench.write(*asked(1, 3), *asked(2, 3, model="mod_2"))
    bench.ingest.run()
    retention.run({"mod_1": Keep(since_us=10 * DAY_US), "mod_2": Keep()}, NOW_US)
    assert bench.log.requests("mod_1").height == 0
    assert bench.log.requests("mod_2").height == 1


def test_a_day_that_a_running_release_may_count_is_kept():
    assert keep_from(NOW_US, 5 * DAY_US, day(12)) == 12 * DAY_US
    assert keep_from(NOW_US, 5 * DAY_US, day(28)) == 25 * DAY_US
    assert keep_from(NOW_US, None, day(28)) is None


def test_outcomes_that_nobody_asked_about_are_given_up_after_their_horizon(bench, retention):
    bench.write(*asked(1, 3), outcome("e1", 1.0, day(4)), outcome("nobody", 1.0, day(4)), outcome("yet", 1.0, day(25)))
    bench.ingest.run()
    assert bench.log.counts("mod_1")["parked"] == 2
    found = retention.run({"mod_1": Keep(parked_since_us=20 * DAY_US)}, NOW_US)
    assert (found.rows, found.given_up) == ({}, 1)
    assert sorted(bench.log.outcomes("mod_1")["entity"]) == ["e1", "yet"]
    counts = bench.log.counts("mod_1")
    assert (counts["parked"], counts["given_up"], counts["outcomes"]) == (1, 1, 2)
    assert told(bench)[0].numbers["given_up"] == 1
    assert retention.run({"mod_1": Keep(parked_since_us=20 * DAY_US)}, NOW_US).nothing


def test_a_job_that_reads_keeps_its_files_to_its_end(bench, retention):
    bench.write(*asked(1, 3))
    bench.ingest.run()
    with bench.log.reading():
        paths = bench.tables.paths(parts_of(bench))
        retention.run({"mod_1": Keep(since_us=10 * DAY_US)}, NOW_US)
        assert all(path.exists() for path in paths)
    assert not any(path.exists() for path in paths)
