"""Units of releases under other names: a subject that was erased is counted once all the same."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from sqlalchemy import Connection, select, update

from mainspring.release.evidence.frames import unit_hashes
from mainspring.release.gather import units_bytes, units_from
from mainspring.release.tables import release_books


def rename_units(connection: Connection, names: Mapping[str, str]) -> int:
    """Let the books know units by the hashes of their new names; return how many were met under old ones.

    Rows of the log that carry the new names then belong to units that were counted, and no hash of an old name is left.
    """
    new = dict(zip(unit_hashes(pl.Series(list(names))), unit_hashes(pl.Series(list(names.values()))), strict=True))
    renamed = 0
    kept = select(release_books.c.release, release_books.c.units).where(release_books.c.units != b"")
    for row in connection.execute(kept).all():
        units = units_from(row.units)
        met = int(units["unit_hash"].is_in(list(new)).sum())
        if not met:
            continue
        changed = units.with_columns(pl.col("unit_hash").replace(new))
        mine = release_books.c.release == row.release
        connection.execute(update(release_books).where(mine).values(units=units_bytes(changed)))
        renamed += met
    return renamed
