from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from mainspring.kernel.errors import Damaged, InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.packing import Filler, PackedColumn, Packing, read_packing

SIGNATURE = Signature("binary", (Column("temp", "float", nullable=True), Column("carrier", "str", nullable=True)))
GOLDEN = Path(__file__).parent / "golden" / "packing-1.json"


COLUMNS = (PackedColumn("carrier", {"": None, "AA": 0.0, "UA": 1.0}, -1.0), PackedColumn("temp"))


def test_a_packing_of_format_1_is_read() -> None:
    assert read_packing(GOLDEN.read_bytes()) == Packing("mainspring_packed", "double", COLUMNS, format=1)


def test_a_packing_of_format_2_says_which_column_is_asked_for_most() -> None:
    golden = GOLDEN.with_name("packing-2.json").read_bytes()
    assert read_packing(golden) == Packing("mainspring_packed", "double", COLUMNS, busiest=1)
    assert msgspec.json.encode(read_packing(golden)) == golden.strip()


def test_a_packing_of_a_later_format_is_refused() -> None:
    later = GOLDEN.read_bytes().replace(b'"format":1', b'"format":3')
    with pytest.raises(Damaged, match="was written by a newer version"):
        read_packing(later)


def test_texts_are_coded_missing_ones_as_the_empty_text_and_unseen_ones_as_agreed() -> None:
    filler = Filler(read_packing(GOLDEN.read_bytes()), SIGNATURE)
    assert filler.row((2.5, "UA")) == [1.0, 2.5]
    assert filler.row((None, "ZZ")) == [-1.0, None]
    assert math.isnan(filler.row((2.5, None))[0])
    assert math.isnan(filler.row((2.5, ""))[0])
    assert filler.columns([(2.5, None), ("UA", "ZZ")]) == [[1.0, -1.0], (2.5, None)]


def test_a_packing_of_other_inputs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is a packed column but not an input"):
        Filler(read_packing(GOLDEN.read_bytes()), Signature("binary", (Column("temp", "float"),)))
