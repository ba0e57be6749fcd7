"""The deck: logged rows as arrays, with what each version said of them, and when what came true was known.

A rehearsal deals from it. Every draw meets the same rows, so what does not depend on the draw is worked out once.
"""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.kernel.errors import Damaged
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import ORDER, ROLES, ROW, answers, unit_hashes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NEVER_US = np.iinfo(np.int64).max
FORMAT = 2


class Said(msgspec.Struct, frozen=True):
    """What one version said of each row, (n,): its output, whether it answered, was late, and how long it took.

    ``latency_us`` is -1 where it is not known. ``tried`` is false where the version never saw the row.
    """

    output: Floats
    ok: Bools
    late: Bools
    tried: Bools
    latency_us: Ints

    def of(self, kept: Ints) -> Said:
        """Return what was said of some of the rows."""
        return Said(*(getattr(self, name)[kept] for name in self.__struct_fields__))


class Deck(msgspec.Struct, frozen=True):
    """Rows (n,) in the order of their decision. ``known_us`` is ``NEVER_US`` where no outcome came.

    ``others`` are further challengers. ``held`` rows belong to units that no release may draw.
    """

    decision_us: Ints
    unit: NDArray[np.uint64]
    outcome: Floats
    known_us: Ints
    stable: Said
    challenger: Said
    anchor: Said | None = None
    others: tuple[Said, ...] = ()
    held: Bools | None = None

    @property
    def rows(self) -> int:
        return len(self.decision_us)

    @property
    def challengers(self) -> tuple[Said, ...]:
        return (self.challenger, *self.others)

    def packed(self) -> bytes:
        """Return the deck as bytes, for a worker that opens no store."""
        arrays = {name: getattr(self, name) for name in _COLUMNS}
        if self.held is not None:
            arrays["held"] = self.held
        told = {"stable": self.stable, "challenger": self.challenger, "anchor": self.anchor}
        told.update({f"other{place}": said for place, said in enumerate(self.others)})
        for who, said in told.items():
            if said is not None:
                arrays.update({f"{who}.{name}": getattr(said, name) for name in Said.__struct_fields__})
        body = io.BytesIO()
        np.savez(body, format=np.array([FORMAT]), **arrays)
        return body.getvalue()


_COLUMNS = ("decision_us", "unit", "outcome", "known_us")


def unpacked(data: bytes) -> Deck:
    """Read a packed deck."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if int(arrays["format"][0]) != FORMAT:
            raise Damaged("a deck is in an unknown format", field="deck", value=int(arrays["format"][0]))
        names = {name.partition(".")[0] for name in arrays.files if "." in name}
        said: dict[str, Any] = {
            who: Said(**{name: arrays[f"{who}.{name}"] for name in Said.__struct_fields__}) for who in names
        }
        others = tuple(said.pop(f"other{place}") for place in range(len(names - {"stable", "challenger", "anchor"})))
        columns: dict[str, Any] = {name: arrays[name] for name in _COLUMNS}
        held = arrays.get("held")
        return Deck(**columns, **said, others=others, held=held)


def answered_rows(requests: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that callers asked (not a batch), in the order of their decision."""
    asked = scored.filter(pl.col("role").is_in(ROLES)).select(ROW).unique()
    return requests.join(asked, on=ROW, how="semi").sort(ORDER)


def deck(
    rows: pl.DataFrame,
    outcomes: pl.DataFrame,
    said: dict[str, Said],
    others: tuple[Said, ...] = (),
    held: Bools | None = None,
) -> Deck:
    """Return the deck of ``rows``; ``said`` holds the answers of ``stable``, ``challenger`` and perhaps ``anchor``."""
    newest = outcomes.select("entity", "value", "known_us")
    came = rows.select("entity").join(newest, on="entity", how="left", maintain_order="left")
    value = came["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Deck(
        decision_us=rows["decision_us"].to_numpy().astype(np.int64),
        unit=unit_hashes(rows["unit"]).to_numpy(),
        outcome=value.astype(np.float64),
        known_us=came["known_us"].fill_null(NEVER_US).to_numpy().astype(np.int64),
        **said,
        others=others,
        held=held,
    )


def logged(rows: pl.DataFrame, scored: pl.DataFrame, version: str) -> Said:
    """Return what the log says that a version said of each of ``rows``."""
    found = answers(scored, version).select(
        *ROW, "ok", "late", tried=pl.lit(value=True), output=pl.col("output").cast(pl.Float64), latency="latency_us"
    )
    met = rows.select(ROW).join(found, on=ROW, how="left", maintain_order="left")
    return Said(
        output=met["output"].fill_null(np.nan).to_numpy().astype(np.float64),
        ok=_bools(met["ok"]),
        late=_bools(met["late"]),
        tried=_bools(met["tried"]),
        latency_us=met["latency"].fill_null(-1).to_numpy().astype(np.int64),
    )


def recomputed(said: Said, outputs: Floats) -> Said:
    """Return ``said`` with rows that it had not tried filled in; an output that is not a number is a failure."""
    fresh = ~said.tried
    return Said(
        output=np.where(fresh, outputs, said.output),
        ok=np.where(fresh, np.isfinite(outputs), said.ok),
        late=said.late,
        tried=np.ones(len(fresh), dtype=np.bool_),
        latency_us=said.latency_us,
    )


def _bools(series: pl.Series) -> Bools:
    found: NDArray[Any] = series.fill_null(value=False).to_numpy()
    return found.astype(np.bool_)
