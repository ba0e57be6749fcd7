"""From frames of the log to draws: each unit once, with what it was offered and what came of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import ROW
from mainspring.release.offpolicy.value import Draws


class Unit(msgspec.Struct, frozen=True):
    """How long a unit is watched, in microseconds, and whether a release draws every request for itself."""

    window_us: int
    by_request: frozenset[str] = frozenset()


class Found(msgspec.Struct, frozen=True):
    """The draws, the versions that their columns stand for, and how many units were left out: their draw changed.

    ``at_us`` (n,) is each unit's first request, ``told`` the mean of the outcomes that came, NaN where none did.
    """

    draws: Draws
    versions: tuple[str, ...]
    left_out_units: int
    at_us: NDArray[np.int64]
    told: Floats


def first_draws(assigned: pl.DataFrame, unit: Unit) -> tuple[pl.DataFrame, int]:
    """Return the rows inside each unit's window with ``first_us`` and ``key``; units whose draw changed are left out.

    A unit counts once a release; where a release draws each request for itself, each request is a unit.
    """
    alone = pl.col("release").is_in(list(unit.by_request))
    rows = assigned.with_columns(
        key=pl.when(alone)
        .then(pl.concat_str("release", "prediction_id", pl.col("row").cast(pl.String), separator="/"))
        .otherwise(pl.concat_str("release", "unit", separator="/"))
    )
    rows = rows.with_columns(first_us=pl.col("decision_us").min().over("key"))
    rows = rows.filter(pl.col("decision_us") - pl.col("first_us") <= unit.window_us)
    changed = rows.group_by("key").agg(
        n=pl.struct("arm", "propensity", "actions").n_unique(),
    )
    same = changed.filter(pl.col("n") == 1).select("key")
    return rows.join(same, on="key", how="semi"), changed.height - same.height


def draws(rows: pl.DataFrame, rewards: pl.DataFrame, others: Mapping[tuple[str, str], str], left_out: int) -> Found:
    """Return the units of ``first_draws`` in order, with the mean of their rows' ``reward``, and of what was ``told``.

    ``others`` names, for a release of two versions and the one that was drawn, the other one.
    """
    joined = rows.join(rewards, on=ROW, how="inner")
    units = (
        joined.group_by("key")
        .agg(pl.col("first_us", "release", "arm", "propensity", "actions").first(), pl.col("reward", "told").mean())
        .sort(["first_us", "key"])
    )
    columns = units.select("release", "arm", "propensity", "actions").iter_rows()
    sets = [_offered(release, arm, propensity, actions, others) for release, arm, propensity, actions in columns]
    versions = tuple(sorted({version for one in sets for version in one}))
    places = {version: place for place, version in enumerate(versions)}
    offered = np.zeros((len(sets), len(versions)))
    for row, one in enumerate(sets):
        for version, probability in one.items():
            offered[row, places[version]] = probability
    arm = np.array([places[one] for one in units["arm"]], dtype=np.int64)
    return Found(
        Draws(arm, offered, units["reward"].to_numpy().astype(np.float64)),
        versions,
        left_out,
        units["first_us"].to_numpy().astype(np.int64),
        units["told"].fill_null(np.nan).to_numpy().astype(np.float64),
    )


def _offered(
    release: str, arm: str, propensity: float, actions: str, others: Mapping[tuple[str, str], str]
) -> dict[str, float]:
    if actions:
        return msgspec.json.decode(actions, type=dict[str, float])
    other = others.get((release, arm))
    return {arm: propensity} if other is None else {arm: propensity, other: 1.0 - propensity}
