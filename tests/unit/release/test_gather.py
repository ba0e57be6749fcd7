import polars as pl
import pytest

from mainspring.kernel.errors import Damaged
from mainspring.release.evidence.frames import UNITS_SCHEMA, unit_hashes
from mainspring.release.gather import no_units, units_bytes, units_from

GOLDEN = bytes.fromhex("01" + "0100000000000000" + "0a00000000000000" + "ffffffffffffffff" + "4042054bdb030500")


def test_units_are_written_as_they_always_were() -> None:
    units = pl.DataFrame({"unit_hash": [1, 2**64 - 1], "first_us": [10, 1_411_615_274_910_272]}, schema=UNITS_SCHEMA)
    assert units_bytes(units) == GOLDEN
    assert units_from(GOLDEN).equals(units)
    assert units_from(units_bytes(no_units())).height == 0


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(Damaged, match="unknown format"):
        units_from(b"\x02" + GOLDEN[1:])


def test_a_units_hash_is_the_same_in_every_process() -> None:
    assert unit_hashes(pl.Series(["UA-1545-20130501"])).to_list() == [17304541444624153656]
