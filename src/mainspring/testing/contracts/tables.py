"""What every ``Tables`` must do."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

import polars as pl
import pytest

from mainspring.kernel.errors import Damaged
from mainspring.log.ports import PartRef, Tables

FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "z"], "c": [0.1, float("nan"), None]})


class TablesContract:
    """Subclass it with a fixture ``tables``; ``reopened`` gives another object on the same place: a restart.

    ``change`` flips a bit where a part is kept, ``lose`` takes it away.
    """

    def change(self, tables: Tables, part: PartRef) -> None:
        path = tables.paths([part])[0]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def lose(self, tables: Tables, part: PartRef) -> None:
        tables.paths([part])[0].unlink()

    def reopened(self, tables: Tables) -> Tables:
        raise NotImplementedError

    def test_rows_come_back_in_order_from_several_parts(self, tables: Tables) -> None:
        parts = [tables.write("scored", FRAME), tables.write("scored", FRAME.reverse())]
        assert tables.scan(parts).collect().equals(pl.concat([FRAME, FRAME.reverse()]))

    def test_the_same_rows_come_back_after_a_restart(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        assert self.reopened(tables).scan([part]).collect().equals(FRAME)

    def test_only_named_columns_are_given_in_that_order(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        for each in (tables, self.reopened(tables)):
            assert each.scan([part], ["c", "a"]).collect().columns == ["c", "a"]

    def test_columns_that_a_part_lacks_are_missing_values(self, tables: Tables) -> None:
        parts = [tables.write("source:s", FRAME), tables.write("source:s", FRAME.with_columns(d=pl.lit(1)))]
        assert tables.scan(parts).collect()["d"].to_list() == [None, None, None, 1, 1, 1]

    def test_a_part_says_its_rows_and_bytes(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        assert (part.table, part.rows) == ("scored", 3)
        assert part.bytes == sum(path.stat().st_size for path in tables.paths([part]))

    def test_a_sweep_removes_what_is_not_listed(self, tables: Tables) -> None:
        listed, unlisted = tables.write("scored", FRAME), tables.write("scored", FRAME)
        assert self.reopened(tables).sweep([listed.id]) == 1
        assert self.reopened(tables).scan([listed]).collect().equals(FRAME)
        with pytest.raises(Damaged):
            self.reopened(tables).scan([unlisted]).collect()

    def test_a_sweep_leaves_what_this_process_has_just_written(self, tables: Tables) -> None:
        tables.write("scored", FRAME)
        assert tables.sweep([]) == 0

    def test_a_changed_part_is_never_read(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        self.change(tables, part)
        with pytest.raises(Damaged):
            self.reopened(tables).scan([part]).collect()

    def test_a_part_that_is_gone_is_damage(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        self.lose(tables, part)
        with pytest.raises(Damaged):
            self.reopened(tables).scan([part]).collect()

    def test_dropped_parts_stay_for_those_who_read_and_no_longer(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        with tables.reading():
            with tables.reading():
                tables.drop([part])
            assert self.reopened(tables).scan([part]).collect().equals(FRAME)
            assert tables.retired == 1
        assert tables.retired == 0
        with pytest.raises(Damaged):
            self.reopened(tables).scan([part]).collect()

    def test_who_begins_to_read_after_a_drop_holds_nothing(self, tables: Tables) -> None:
        part = tables.write("scored", FRAME)
        tables.drop([part])
        with tables.reading(), pytest.raises(Damaged):
            self.reopened(tables).scan([part]).collect()
