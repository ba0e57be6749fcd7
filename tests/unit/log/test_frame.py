import zlib
from pathlib import Path

import pytest

from mainspring.kernel.errors import Damaged
from mainspring.log.frame import encode_group, encode_set, read_groups
from mainspring.log.records import (
    Assignment,
    ClassOutcomes,
    Outcomes,
    Request,
    Scored,
    ScoredRows,
    ScoredVectors,
    SourceRows,
    Stopped,
)

GOLDEN = Path(__file__).parent / "golden" / "frame-1.seg"
RECORDS = (
    Request("b_1-1", "prj_1", "mod_1", 10, 11, b'{"a":1}', ("e1",), ("u1",), ("s1",), "caller", "key"),
    Assignment(
        "b_1-1", "mod_1", 3, "rel_1", 2, "salt", (0,), (0.25,), ("champion",), (0.95,), 10, ("a", "b"), (0.5, 0.5)
    ),
    Scored(
        "b_1-1", "mod_1", "ver_1", "served", "ok", 3, (0,), (0.5,), b"[{}]", 40, 10, "why", 0.4, (True,), b"\x90", "r"
    ),
    Outcomes("prj_1", "mod_1", ("e1", "e2"), (1.0, 0.0), (5, 6), (7, 8)),
    SourceRows("prj_1", "src_1", 9, b'[{"k":"a"}]'),
)


def group(*records):
    return encode_group([encode_set(records)], len(records))


def test_the_golden_segment_is_read_as_it_was_written():
    scan = read_groups(GOLDEN.read_bytes())
    assert scan.records == RECORDS
    assert (scan.groups, scan.rest) == (2, "nothing")


def test_the_format_has_not_changed():
    assert group(*RECORDS[:3]) + group(*RECORDS[3:]) == GOLDEN.read_bytes()


def test_a_cut_at_any_byte_leaves_the_whole_groups_before_it():
    first, second = group(*RECORDS[:3]), group(*RECORDS[3:])
    for cut in range(len(first), len(first) + len(second)):
        scan = read_groups((first + second)[:cut])
        assert scan.records == RECORDS[:3]
        assert scan.end == len(first)
        assert scan.rest == ("nothing" if cut == len(first) else "unfinished")


def test_an_end_of_zeros_is_an_unfinished_group():
    scan = read_groups(group(*RECORDS) + bytes(4096))
    assert (scan.records, scan.rest) == (RECORDS, "unfinished")


def test_a_last_group_whose_bytes_are_all_there_and_changed_is_told_from_one_that_was_cut():
    whole = group(*RECORDS)
    assert not read_groups(whole).as_long_as_said
    for place in range(8, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        scan = read_groups(bytes(changed))
        assert (scan.records, scan.rest, scan.as_long_as_said) == ((), "unfinished", True)
        assert not read_groups(whole[:place]).as_long_as_said


def test_any_changed_byte_with_whole_groups_after_it_is_damage():
    first, second = group(*RECORDS[:3]), group(*RECORDS[3:])
    for place in range(len(first)):
        data = bytearray(first + second)
        data[place] ^= 0x80
        scan = read_groups(bytes(data))
        assert (scan.records, scan.rest, scan.resume) == ((), "damage", len(first))
        assert read_groups(bytes(data), scan.resume).records == RECORDS[3:]


def test_a_newer_format_is_refused_with_what_to_do():
    body = b"\x02\x00\x00"
    data = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body
    with pytest.raises(Damaged, match=r"newer version.*install"):
        read_groups(data)


def test_reading_stops_at_a_group_once_enough_records_are_there():
    data = group(*RECORDS[:3]) + group(*RECORDS[3:])
    scan = read_groups(data, most_records=1)
    assert (scan.records, scan.rest) == (RECORDS[:3], "nothing")
    assert read_groups(data, scan.end).records == RECORDS[3:]


def test_a_stop_is_written_as_the_golden_segment_of_records_two_says():
    stop = Stopped("b_1", "home: the disk is full", 1_250, 42)
    golden = GOLDEN.with_name("stopped-2.seg").read_bytes()
    assert group(stop) == golden
    assert read_groups(golden).records == (stop,)


def test_class_vectors_and_labels_are_written_as_the_golden_segment_of_records_four_says():
    scored = ScoredVectors(
        "b_1-1", "mod_1", "ver_1", "served", "ok", 3, (0, 1), (0.7, None), b"[{},{}]", 40, 10,
        parts=("EWR", "JFK", "LGA"), vectors=((0.1, 0.7, 0.2), None),
    )  # fmt: skip
    came = ClassOutcomes("prj_1", "mod_1", ("e1", "e2"), (), (5, 6), (7, 8), ("JFK", "other"))
    golden = GOLDEN.with_name("vectors-4.seg").read_bytes()
    assert group(scored, came) == golden
    assert read_groups(golden).records == (scored, came)


def test_rows_that_share_features_are_written_as_the_golden_segment_of_records_four_says():
    several = ScoredRows(
        "b_1-2", "mod_1", "ver_1", "served", "ok", 3, (0, 1, 2), (0.5, 0.25, 0.75),
        b'{"sky":[[[1.5],7,"d1"]],"busy":[[[2],8,"d2"],[[null],null,"d2"]]}', 40, 10, seen=((0, 0, 0), (1, 0, 1)),
    )  # fmt: skip
    golden = GOLDEN.with_name("rows-4.seg").read_bytes()
    assert group(several) == golden
    assert read_groups(golden).records == (several,)
