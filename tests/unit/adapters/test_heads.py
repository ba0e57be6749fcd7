from pathlib import Path

import pytest

from mainspring.adapters.heads import HeadsFile
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.ledger.chain import Head

ONE, TWO = Head(1, "a" * 64), Head(2, "b" * 64)
NOON_US = 1_367_582_400_000_000


def test_each_new_head_is_kept_once_also_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    heads = HeadsFile(str(path))
    assert [heads.keep(one, NOON_US) for one in (ONE, ONE, TWO)] == [True, False, True]
    assert not HeadsFile(str(path)).keep(TWO, NOON_US)
    assert heads.read() == [ONE, TWO]
    assert path.read_text().splitlines()[0] == f"2013-05-03T12:00:00Z 1:{'a' * 64}"


def test_a_line_that_a_crash_cut_off_is_no_head(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    HeadsFile(str(path)).keep(ONE, NOON_US)
    with path.open("a") as file:
        file.write("2013-05-03T12:00:00Z 2:bb")
    assert HeadsFile(str(path)).read() == [ONE]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ledger_heads: cannot be written"):
        HeadsFile(str(tmp_path / "nowhere" / "heads")).keep(ONE, NOON_US)


def test_a_path_that_depends_on_where_one_stands_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not an absolute path"):
        HeadsFile("heads")


def test_without_a_path_nothing_is_kept() -> None:
    heads = HeadsFile("")
    assert not heads.keep(ONE, NOON_US)
    assert heads.read() == []
