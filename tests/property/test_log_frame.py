from hypothesis import given
from hypothesis import strategies as st

from mainspring.log.frame import encode_group, encode_set, read_groups
from mainspring.log.records import Outcomes, SourceRows

numbers = st.integers(-(2**53), 2**53)
outcomes = st.builds(
    lambda entity, value, at: Outcomes("prj", "mod", (entity,), (value,), (at,), (at,)),
    st.text(max_size=20),
    st.floats(allow_nan=False),
    numbers,
)
pushed = st.builds(SourceRows, st.text(max_size=5), st.text(max_size=5), numbers, st.binary(max_size=50))
groups = st.lists(st.lists(outcomes | pushed, min_size=1, max_size=4), min_size=1, max_size=4)


def written(group):
    return encode_group([encode_set([record]) for record in group], len(group))


@given(groups)
def test_what_is_written_is_read(records):
    scan = read_groups(b"".join(map(written, records)))
    assert list(scan.records) == [record for group in records for record in group]
    assert scan.rest == "nothing"


@given(groups, st.data())
def test_a_cut_never_gives_part_of_a_group(records, data):
    pieces = [written(group) for group in records]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    scan = read_groups(whole[:cut])
    assert scan.end <= cut
    assert list(scan.records) == [record for group in records[: scan.groups] for record in group]
    assert scan.end == sum(map(len, pieces[: scan.groups]))


@given(groups, st.data())
def test_a_changed_byte_never_gives_a_changed_record(records, data):
    whole = bytearray(b"".join(map(written, records)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    read, at = [], 0
    while True:
        scan = read_groups(bytes(whole), at)
        read.extend(scan.records)
        if scan.rest != "damage":
            break
        at = scan.resume
    everything = [record for group in records for record in group]
    assert all(record in everything for record in read)
    assert len(read) < len(everything)
