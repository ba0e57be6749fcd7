"""From frames of the log to arrays: which rows and units count, in which order, and what happened to each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.checks.credit import credit, matrix
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.losses import CLASSIFYING, Loss, rewarding
from mainspring.release.policy.metrics import Failures, Judge, Slower

ROW = ["prediction_id", "row"]
ROLES = ("served", "shadow", "fallback")
ORDER = ["decision_us", "entity", "row"]
UNITS_SCHEMA: dict[str, Any] = {"unit_hash": pl.UInt64, "first_us": pl.Int64}


class Pairs(msgspec.Struct, frozen=True):
    """Labelled rows in order: both outputs and the outcome, each (n,); ``answered``: the challenger did not fail.

    Of ``rows`` answered by the stable version ``paired`` have an answer or a failure of the challenger, ``labelled`` a
    label. ``charge`` is a fault that a rehearsal adds to each of the challenger's losses.
    """

    stable: Floats
    challenger: Floats
    answered: NDArray[np.bool_]
    outcome: Floats
    rows: int
    paired: int
    labelled: int
    newest_label_us: int | None
    charge: float = 0.0
    at_us: NDArray[np.int64] | None = None


class Units(msgspec.Struct, frozen=True):
    """Drawn units in the order of their first request; arrays (n,), each a mean over the unit's window.

    ``loss`` and ``label`` are 0 where no label came within H; ``labelled`` is the share of rows that have one.
    ``expected`` are losses of (stable, challenger) foreseen from both models' scores, NaN where a score is missing.
    ``judged`` are the losses of further metrics by name.
    """

    challenged: NDArray[np.bool_]
    propensity: Floats
    failed: Floats
    late: Floats
    loss: Floats
    label: Floats
    labelled: Floats
    expected: tuple[Floats, Floats]
    winsorised: int
    judged: dict[str, Floats] = {}
    at_us: NDArray[np.int64] | None = None


def answers(scored: pl.DataFrame, version: str) -> pl.DataFrame:
    """Return one line for each row that ``version`` tried: a finished answer before a failed one."""
    tried = scored.filter((pl.col("version") == version) & pl.col("role").is_in(ROLES))
    finite = pl.col("output").cast(pl.Float64).is_finite().fill_null(False)
    return (
        tried.with_columns(ok=(pl.col("status") == "ok") & finite, late=pl.col("status") == "late")
        .sort(["ok", "late"], descending=True)
        .unique(ROW, keep="first", maintain_order=True)
    )


def by_horizon(horizon_us: int) -> pl.Expr:
    """Return whether a row's label was known by its own decision time + H."""
    in_time = (pl.col("known_us") - pl.col("decision_us")) <= horizon_us
    return (in_time & pl.col("value").cast(pl.Float64).is_finite()).fill_null(False)


def silence_as_negative(rows: pl.DataFrame, horizon_us: int) -> pl.DataFrame:
    """Return rows in which no outcome by the decision time + H is itself the outcome 0, known at that moment."""
    told = by_horizon(horizon_us)
    return rows.with_columns(
        value=pl.when(told).then(pl.col("value").cast(pl.Float64)).otherwise(0.0),
        known_us=pl.when(told).then(pl.col("known_us")).otherwise(pl.col("decision_us") + horizon_us),
    )


def pairs(
    labelled: pl.DataFrame, stable: str, challenger: str, horizon_us: int, *, absent_is_negative: bool = False
) -> Pairs:
    """Join both versions' answers on the rows that the stable one answered."""
    theirs = answers(labelled, challenger).select(*ROW, c_ok="ok", c_out=pl.col("output").cast(pl.Float64))
    rows = answers(labelled, stable).filter("ok").join(theirs, on=ROW, how="left")
    newest_us = _newest(rows, "known_us")
    if absent_is_negative:
        rows = silence_as_negative(rows, horizon_us)
    met = rows.filter(pl.col("c_ok").is_not_null())
    known = met.filter(by_horizon(horizon_us)).sort(ORDER)
    return Pairs(
        stable=_floats(known["output"]),
        challenger=_floats(known["c_out"]),
        answered=known["c_ok"].to_numpy().astype(bool),
        outcome=_floats(known["value"]),
        rows=rows.height,
        paired=met.height,
        labelled=rows.filter(by_horizon(horizon_us)).height,
        newest_label_us=newest_us,
        at_us=known["decision_us"].to_numpy().astype(np.int64),
    )


def shadow_failures(
    scored: pl.DataFrame, stable: str, challenger: str, roles: tuple[str, ...] = ("shadow",)
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (failed, late) of the challenger in these roles and of the stable version on the same rows, each (n,)."""
    theirs = answers(scored, challenger).filter(pl.col("role").is_in(roles))
    ours = answers(scored, stable).select(*ROW, s_ok="ok", s_late="late")
    both = theirs.join(ours, on=ROW, how="inner").sort(["decision_us", *ROW])
    return (
        _floats(~both["ok"] & ~both["late"]),
        _floats(both["late"]),
        _floats(~both["s_ok"] & ~both["s_late"]),
        _floats(both["s_late"]),
    )


def unit_hashes(units: pl.Series) -> pl.Series:
    """Return 64 bits of each unit's name, the same in every process."""
    values = [int.from_bytes(hashlib.blake2b(str(unit).encode(), digest_size=8).digest(), "little") for unit in units]
    return pl.Series("unit_hash", values, dtype=pl.UInt64)


def first_requests(assigned: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Return units met for the first time: their hash and the moment of their first request."""
    fresh = assigned.group_by("unit_hash").agg(first_us=pl.col("decision_us").min())
    return fresh.join(seen, on="unit_hash", how="anti").sort(["first_us", "unit_hash"]).select(list(UNITS_SCHEMA))


def windows(
    assigned: pl.DataFrame, seen: pl.DataFrame, since_us: int, until_us: int, window_us: int, changes: tuple[int, ...]
) -> pl.DataFrame:
    """Return the rows inside the window of each unit first met in (since, until], without a change of shares in it."""
    first = seen.filter((pl.col("first_us") > since_us) & (pl.col("first_us") <= until_us))
    for change_us in changes:
        first = first.filter(~((pl.col("first_us") < change_us) & (pl.col("first_us") + window_us >= change_us)))
    rows = assigned.join(first, on="unit_hash", how="inner")
    age = pl.col("decision_us") - pl.col("first_us")
    return rows.filter((age >= 0) & (age <= window_us))


def drawn_rows(
    rows: pl.DataFrame,
    labelled: pl.DataFrame,
    stable: str,
    challenger: str,
    horizon_us: int,
    *,
    absent_is_negative: bool = False,
) -> pl.DataFrame:
    """Join what happened to each drawn row, in order of assignment; lost work counts as its arm's failure."""
    took = pl.col("latency_us") if "latency_us" in labelled.columns else pl.lit(None, pl.Int64)
    ours = answers(labelled, stable).select(
        *ROW, s_ok="ok", s_late="late", s_out=pl.col("output").cast(pl.Float64), s_took=took, **_several(labelled, "s")
    )
    theirs = answers(labelled, challenger).select(
        *ROW, c_ok="ok", c_late="late", c_out=pl.col("output").cast(pl.Float64), c_took=took, **_several(labelled, "c")
    )
    labels = labelled.unique(ROW, keep="first").select(*ROW, "value", "known_us")
    frame = rows.join(ours, on=ROW, how="left").join(theirs, on=ROW, how="left").join(labels, on=ROW, how="left")
    if absent_is_negative:
        frame = silence_as_negative(frame, horizon_us)
    chosen = pl.col("arm").is_in([challenger, "challenger"])
    return frame.with_columns(
        chosen=chosen,
        p=pl.when(chosen).then(pl.col("propensity")).otherwise(1.0 - pl.col("propensity")),
        done=pl.when(chosen).then(pl.col("c_ok")).otherwise(pl.col("s_ok")).fill_null(False),
        slow=pl.when(chosen).then(pl.col("c_late")).otherwise(pl.col("s_late")).fill_null(False),
        served=pl.when(chosen & pl.col("c_ok").fill_null(False)).then(pl.col("c_out")).otherwise(pl.col("s_out")),
        took=pl.when(chosen & pl.col("c_ok").fill_null(False))
        .then(pl.col("c_took"))
        .otherwise(pl.when(chosen).then(pl.col("c_took").fill_null(0)).otherwise(0) + pl.col("s_took").fill_null(0)),
        labelled=by_horizon(horizon_us),
    ).sort(["first_us", "unit_hash", *ORDER])


def between(assigned: pl.DataFrame, champion: str, challenger: str) -> pl.DataFrame:
    """Return the rows that drew one of two versions among several, with the propensity of each given that it did.

    ``actions`` says how probable each version was; it is empty where there was only one challenger to draw. Given one
    of the two, the draw between them is as fair as any.
    """
    told = assigned["actions"].unique()
    known = {text: msgspec.json.decode(text) for text in told if text}
    either = pl.DataFrame(
        {
            "actions": list(known),
            "stable_p": [one.get(champion, 0.0) for one in known.values()],
            "challenger_p": [one.get(challenger, 0.0) for one in known.values()],
        },
        schema={"actions": pl.String, "stable_p": pl.Float64, "challenger_p": pl.Float64},
    )
    rows = assigned.join(either, on="actions", how="left", maintain_order="left")
    alone = pl.col("actions").fill_null("") == ""
    rows = rows.filter(pl.col("arm").is_in([champion, challenger]) & (alone | (pl.col("challenger_p") > 0)))
    own = pl.when(pl.col("arm") == challenger).then(pl.col("challenger_p")).otherwise(pl.col("stable_p"))
    given = own / (pl.col("stable_p") + pl.col("challenger_p"))
    return rows.with_columns(propensity=pl.when(alone).then(pl.col("propensity")).otherwise(given))


def rewarded(
    rows: pl.DataFrame, labelled: pl.DataFrame, horizon_us: int, *, absent_is_negative: bool = False
) -> pl.DataFrame:
    """Return one line a unit: the arm and propensity of its first request, and its mean reward by the horizon."""
    labels = labelled.unique(ROW, keep="first").select(*ROW, "value", "known_us")
    frame = rows.join(labels, on=ROW, how="left")
    if absent_is_negative:
        frame = silence_as_negative(frame, horizon_us)
    value = pl.when(by_horizon(horizon_us)).then(pl.col("value").cast(pl.Float64))
    return (
        frame.with_columns(reward=value)
        .sort(["first_us", "unit_hash", *ORDER])
        .group_by("unit_hash", maintain_order=True)
        .agg(pl.col("arm", "propensity", "first_us").first(), pl.col("reward").mean())
    )


def drawn_units(frame: pl.DataFrame, loss: Loss, label_cut: float, judges: Sequence[Judge] = ()) -> Units:
    """Average rows of ``drawn_rows`` over each unit, which counts once."""
    starts = np.flatnonzero((frame["unit_hash"] != frame["unit_hash"].shift(1)).fill_null(True).to_numpy())
    sizes = np.diff(np.append(starts, frame.height)).astype(np.float64)

    def mean(values: NDArray[Any]) -> Floats:
        return np.add.reduceat(values.astype(np.float64), starts) / sizes if len(starts) else np.zeros(0)

    known = frame["labelled"].to_numpy().astype(bool) & np.isfinite(_floats(frame["served"]))
    outcome, done, slow = _floats(frame["value"]), frame["done"].to_numpy().astype(bool), frame["slow"].to_numpy()
    served = np.where(known, _floats(frame["served"]), 0.0)
    losses, winsorised = loss.of(served, np.where(known, outcome, 0.0))
    expected = foreseen(frame, loss)
    return Units(
        challenged=frame["chosen"].to_numpy().astype(bool)[starts],
        propensity=_floats(frame["p"])[starts],
        failed=mean(~done & ~slow.astype(bool)),
        late=mean(slow),
        loss=mean(np.where(known, losses, 0.0)),
        label=mean(frame["labelled"].to_numpy().astype(bool) & (outcome > label_cut)),
        labelled=mean(frame["labelled"].to_numpy()),
        expected=(mean(expected[0]), mean(expected[1])),
        winsorised=winsorised,
        judged={one.name: mean(_judged(frame, one, ~done & ~slow.astype(bool))) for one in judges},
        at_us=frame["first_us"].to_numpy().astype(np.int64)[starts],
    )


def foreseen(frame: pl.DataFrame, loss: Loss) -> tuple[Floats, Floats]:
    """Return the losses (n,) expected of both versions if what they say on average were so; NaN where one is silent."""
    stable, challenger = _floats(frame["s_out"]), _floats(frame["c_out"])
    unknown = np.full(frame.height, np.nan)
    if loss.metric not in CLASSIFYING:
        return unknown, unknown
    if "s_vector" not in frame.columns or not frame["s_vector"].is_not_null().any():
        likely = np.clip((stable + challenger) / 2.0, 0.0, 1.0)
        return loss.expected(stable, likely), loss.expected(challenger, likely)
    alike = (frame["s_parts"] == frame["c_parts"]).fill_null(value=False)
    if frame.filter(alike)["s_parts"].n_unique() != 1:  # an outcome must not tell what was foreseen of it
        return unknown, unknown
    at = np.flatnonzero(alike.to_numpy())
    said = [matrix(frame[at.tolist()][name]) for name in ("s_vector", "c_vector")]
    found = (unknown.copy(), unknown.copy())
    for into, vectors in zip(found, said, strict=True):
        into[at] = _expected_of_classes(loss, vectors, (said[0] + said[1]) / 2.0)
    return found


def _expected_of_classes(loss: Loss, vectors: Floats, likely: Floats) -> Floats:
    """Return the loss expected (n,) of probabilities ``(n, k)`` if each class came true as ``likely`` as is said."""
    ones, expected = np.ones(len(vectors)), np.zeros(len(vectors))
    for place in range(vectors.shape[1]):
        came = np.full(len(vectors), place, dtype=np.int64)
        expected += likely[:, place] * loss.of(credit(loss.metric, vectors, came), ones)[0]
    return expected


def _several(labelled: pl.DataFrame, who: str) -> dict[str, pl.Expr]:
    """Return the columns of class vectors under a version's name, where the log has such."""
    if "vector" not in labelled.columns:
        return {}
    return {f"{who}_vector": pl.col("vector"), f"{who}_parts": pl.col("parts")}


def _judged(frame: pl.DataFrame, judge: Judge, failed: NDArray[np.bool_]) -> Floats:
    """Return one further metric's loss of each row; what is not labelled yet is no loss, as in every drawn metric."""
    if isinstance(judge, Failures):
        return failed.astype(np.float64)
    if isinstance(judge, Slower):
        return (_floats(frame["took"]) > judge.limit_us).astype(np.float64)
    known = frame["labelled"].to_numpy().astype(bool)
    value = np.where(known, _floats(frame["value"]), 0.0)
    losses, _ = rewarding(judge.low, judge.high).of(np.zeros(frame.height), value)
    return np.where(known, losses, 0.0)


def _floats(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def _newest(frame: pl.DataFrame, column: str) -> int | None:
    value = frame[column].max()
    return int(value) if isinstance(value, int | float) else None
