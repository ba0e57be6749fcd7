"""Running sums over whole tables, kept in the transaction that adds the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import polars as pl
from sqlalchemy import Connection, bindparam, insert, select, update

from mainspring.log.rows import TIMES
from mainspring.log.tables import tallies

BOOT_OF = r"-[0-9a-f]+$"  # what a prediction's id has after its boot


class Tally(msgspec.Struct, frozen=True):
    """Rows of one model under one name, with the first and last moment among them."""

    model: str
    name: str
    rows: int
    first_us: int | None = None
    last_us: int | None = None


def tallies_of(table: str, frame: pl.DataFrame) -> list[Tally]:
    """Count a part's rows by model; scored rows by role, as ``scored:<role>``."""
    if table not in TIMES:
        return []
    moments: dict[tuple[str, str], list[int]] = {}
    names = [f"scored:{role}" for role in frame["role"]] if table == "scored" else [table] * frame.height
    for model, name, at_us in zip(frame["model"], names, frame[TIMES[table]], strict=True):
        moments.setdefault((model, name), []).append(at_us)
    return [Tally(model, name, len(at), min(at), max(at)) for (model, name), at in moments.items()]


def under_policies(requests: pl.DataFrame, policies: Mapping[str, str]) -> list[Tally]:
    """Count asked rows by model and by the policy of the boot that logged them, as ``under:<policy>``."""
    boots = requests["prediction_id"].str.replace(BOOT_OF, "").replace_strict(policies, default="batched")
    counted = requests.select("model", policy=boots).group_by("model", "policy").len()
    return [Tally(model, f"under:{policy}", rows) for model, policy, rows in counted.iter_rows()]


def add_tallies(connection: Connection, added: Iterable[Tally]) -> None:
    """Add counts to those stored."""
    stored = {(tally.model, tally.name): tally for tally in read_tallies(connection)}
    fresh, changed = [], []
    for tally in added:
        before = stored.get((tally.model, tally.name))
        if before is None:
            fresh.append(msgspec.structs.asdict(tally))
        else:
            changed.append(
                {
                    "of": tally.model,
                    "under": tally.name,
                    "rows": before.rows + tally.rows,
                    "first_us": _earlier(before.first_us, tally.first_us),
                    "last_us": _later(before.last_us, tally.last_us),
                }
            )
    here = (tallies.c.model == bindparam("of")) & (tallies.c.name == bindparam("under"))
    if changed:
        connection.execute(update(tallies).where(here), changed)
    if fresh:
        connection.execute(insert(tallies), fresh)


def take_tallies(connection: Connection, taken: Iterable[Tally], since_us: Mapping[str, int]) -> None:
    """Take rows that were let go from the counts; what is left begins at its model's day at the earliest."""
    minus: Counter[tuple[str, str]] = Counter()
    for tally in taken:
        minus[tally.model, tally.name] -= tally.rows
    add_tallies(connection, [Tally(model, name, rows) for (model, name), rows in minus.items()])
    for tally in read_tallies(connection):
        start_us = since_us.get(tally.model)
        if start_us is not None and tally.first_us is not None and tally.first_us < start_us:
            here = (tallies.c.model == tally.model) & (tallies.c.name == tally.name)
            connection.execute(update(tallies).where(here).values(first_us=start_us))


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _later(one: int | None, other: int | None) -> int | None:
    return max((at for at in (one, other) if at is not None), default=None)


def read_tallies(connection: Connection, model: str | None = None) -> list[Tally]:
    """Return the stored counts, of one model or of all."""
    query = select(tallies) if model is None else select(tallies).where(tallies.c.model == model)
    return [Tally(**row._mapping) for row in connection.execute(query)]
