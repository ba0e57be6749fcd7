import msgspec
import pytest

from mainspring.kernel.errors import Unavailable
from mainspring.ledger.queries import entries
from mainspring.log.parts import MERGED_AT_ONCE, listed
from mainspring.log.records import SourceRows, Stopped
from mainspring.testing.logs import assignment, outcome, request, scored


def test_every_record_becomes_a_row_once(bench):
    bench.write(request(1), assignment(1), scored(1), outcome("e1", 1.0, 99))
    ingested = bench.ingest.run()
    assert ingested.records == 4
    assert ingested.rows == {"requests": 1, "assignments": 1, "scored": 1, "outcomes": 1}
    assert ingested.caught_up
    assert bench.ingest.run().records == 0
    assert bench.log.counts("mod_1")["predictions"] == 1


def test_a_new_process_goes_on_where_the_old_one_stopped(bench):
    bench.write(request(1))
    bench.ingest.run()
    bench.write(request(2))
    assert bench.new_ingest().run().records == 1
    assert bench.log.requests("mod_1")["entity"].to_list() == ["e1", "e2"]


def test_segments_are_removed_once_their_boot_has_ended(bench):
    bench.write(request(1))
    bench.end()
    bench.ingest.run()
    assert bench.disk.list(bench.spool) == []
    assert bench.log.counts()["predictions"] == 1


def test_boots_are_read_side_by_side(bench):
    bench.write(request(1), boot="b_1")
    bench.write(request(2), boot="b_2")
    assert bench.ingest.run().records == 2


def test_a_run_takes_no_more_than_it_should_and_says_so(bench):
    for number in range(1, 6):
        bench.write(request(number))
    ingest = bench.new_ingest(most_records=2)
    assert [(run.records, run.caught_up) for run in (ingest.run(), ingest.run(), ingest.run())] == [
        (2, False),
        (2, False),
        (1, True),
    ]


def test_a_torn_end_of_an_ended_boot_is_cut_off_and_counted(bench):
    bench.write(request(1), request(2))
    bench.end()
    bench.write(request(3), boot="b_2")
    path = bench.spool / "b_1" / "000001.seg"
    path.write_bytes(path.read_bytes() + b"\x40\x00\x00\x00torn")
    ingested = bench.ingest.run()
    assert (ingested.records, ingested.torn_bytes, ingested.damaged) == (3, 8, ())
    assert bench.disk.list(bench.spool) == ["b_2"]


def test_a_changed_byte_in_the_last_group_of_an_ended_boot_is_damage_that_is_told_and_kept(bench):
    bench.write(request(1))
    bench.write(request(2))
    bench.end()
    path = bench.spool / "b_1" / "000001.seg"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)
    ingested = bench.ingest.run()
    assert (ingested.records, ingested.torn_bytes, ingested.damaged) == (1, 0, ("b_1-000001.seg",))
    assert (bench.spool / "quarantine" / "b_1-000001.seg").read_bytes() == data
    with bench.store.read() as connection:
        (told,) = entries(connection, kind="log.damaged")
    assert told.numbers["damage"][0]["bytes"] == len(data) // 2
    assert bench.ingest.run().damaged == ()


def test_an_unfinished_group_of_a_living_boot_is_waited_for(bench):
    bench.write(request(1))
    path = bench.spool / "b_1" / "000001.seg"
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:20])
    assert bench.ingest.run().lag_bytes == 20
    with path.open("ab") as file:
        file.write(whole[20:])
    assert (bench.ingest.run().records, bench.ingest.run().lag_bytes) == (1, 0)


def test_damage_in_the_middle_is_kept_reported_and_put_into_the_ledger(bench):
    for number in (1, 2, 3):
        bench.write(request(number))
    bench.end()
    path = bench.spool / "b_1" / "000001.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    ingested = bench.ingest.run()
    assert ingested.damaged == ("b_1-000001.seg",)
    assert bench.log.requests("mod_1")["entity"].to_list() == ["e1", "e3"]
    assert (bench.spool / "quarantine" / "b_1-000001.seg").read_bytes() == data
    with bench.store.read() as connection:
        assert [(entry.kind, entry.subject) for entry in entries(connection)] == [("log.damaged", "b_1-000001.seg")]
    assert bench.ingest.run().damaged == ()


def test_pushed_rows_are_typed_and_know_when_they_were_known(bench):
    body = b'[{"k":"a","at":"2013-01-01T00:00:00Z","x":1},{"k":"b","at":"2013-01-01T01:00:00+01:00","x":null}]'
    bench.write(SourceRows("prj_1", "src_1", 5, body))
    ingested = bench.ingest.run()
    rows = ingested.sources["src_1"]
    assert rows["x"].to_list() == [1.0, None]
    assert rows["_known_us"].to_list() == [1_357_000_200_000_000, 1_357_000_200_000_000]
    assert bench.log.source("src_1").equals(rows)
    assert bench.log.source("src_1", known_until_us=1_357_000_199_999_999).is_empty()


@pytest.mark.parametrize(
    ("source", "body"),
    [("src_unknown", b'[{"k":"a"}]'), ("src_1", b'[{"k":"a","at":"yesterday"}]'), ("src_1", b'[{"k":"a","at":5}]')],
)
def test_pushed_rows_that_cannot_be_typed_are_set_aside_and_do_not_stop_the_rest(bench, source, body):
    bench.write(SourceRows("prj_1", source, 5, body), request(1))
    ingested = bench.ingest.run()
    assert len(ingested.damaged) == 1
    assert ingested.damaged[0].startswith("refused-")
    assert bench.log.counts()["predictions"] == 1


def test_a_full_disk_changes_nothing_and_the_next_run_takes_everything(bench):
    bench.write(request(1), assignment(1), scored(1))
    for writes in (0, 1, 1):
        with bench.disk.full(after_writes=writes), pytest.raises(Unavailable, match="disk is full"):
            bench.ingest.run()
        assert bench.log.counts()["predictions"] == 0
    assert bench.ingest.run().records == 3
    assert bench.log.counts()["predictions"] == 1
    assert len(list((bench.spool.parent / "parts").glob("*/*.parquet"))) == 3, "no part was written twice"


def test_parts_that_no_transaction_listed_are_swept_at_the_start(bench):
    bench.write(request(1))
    bench.ingest.run()
    stray = bench.spool.parent / "parts" / "requests" / "part_stray.parquet"
    stray.write_bytes(b"left by a crash")
    bench.new_ingest().run()
    assert not stray.exists()
    assert bench.log.requests("mod_1").height == 1


def test_many_small_parts_are_merged_in_their_order(bench):
    for number in range(1, MERGED_AT_ONCE * 2 + 4):
        bench.write(request(number), outcome(f"e{number}", 1.0, number))
        bench.ingest.run()
    bench.ingest.run()
    bench.ingest.run()
    with bench.store.read() as connection:
        assert len(listed(connection, "requests")) < MERGED_AT_ONCE
    expected = [f"e{number}" for number in range(1, MERGED_AT_ONCE * 2 + 4)]
    assert bench.log.requests("mod_1")["entity"].to_list() == expected


def test_a_spool_that_took_nothing_for_a_while_stands_in_the_ledger(bench):
    bench.write(Stopped("b_1", "home: the disk is full", 1_250, 42))
    bench.ingest.run()
    with bench.store.read() as connection:
        (entry,) = entries(connection, kind="log.stopped")
    assert (entry.subject, entry.numbers) == ("b_1", {"lasted_ms": 1250, "refused": 42})
    assert "disk is full" in entry.reason


def test_records_that_could_not_be_taken_in_stand_in_the_ledger_once_they_are(bench):
    bench.write(request(1), assignment(1))
    with bench.disk.full(), pytest.raises(Unavailable):
        bench.ingest.run()
    bench.ingest.run()
    bench.ingest.run()
    with bench.store.read() as connection:
        (entry,) = entries(connection, kind="log.delayed")
    assert entry.numbers["lasted_ms"] >= 0


def test_rows_are_counted_under_the_policy_of_their_boot(bench):
    bench.write(request(1), assignment(1), scored(1))
    bench.policies["b_2"] = "best_effort"
    weak = [msgspec.structs.replace(one, prediction_id="b_2-1") for one in (request(2), scored(2))]
    bench.write(*weak, boot="b_2")
    bench.ingest.run()
    counts = bench.log.counts("mod_1")
    assert (counts["under_batched"], counts["under_best_effort"]) == (1, 1)
    assert bench.log.prediction("b_2-1")["acknowledgement"] == "best_effort"
    assert bench.log.prediction("b_1-1")["acknowledgement"] == "batched"
    assert bench.log.firm(bench.log.scored("mod_1"))["prediction_id"].to_list() == ["b_1-1"]


def test_a_clock_that_is_set_back_loses_and_doubles_nothing(bench):
    times = [5_000, 5_010, 1_000, 1_010, 5_000, 900]
    for number, at_us in enumerate(times, start=1):
        bench.write(request(number, at_us=at_us), assignment(number), scored(number), outcome(f"e{number}", 1.0, at_us))
        bench.ingest.run()
    assert bench.log.requests("mod_1")["decision_us"].to_list() == times, "rows are in the order in which they came"
    assert bench.log.requests("mod_1", since_us=900, until_us=1_005)["entity"].to_list() == ["e3", "e6"]
    assert bench.log.counts("mod_1")["predictions"] == 6
    assert bench.log.first_decision_us("mod_1") == 900
    assert bench.log.last_outcome_us("mod_1") == 5_010
