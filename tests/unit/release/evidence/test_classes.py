"""Units that were drawn, judged by class vectors: what is foreseen of them must not know what came true."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mainspring.checks.credit import credited
from mainspring.release.evidence.frames import drawn_rows, drawn_units, foreseen, pairs
from mainspring.release.evidence.losses import loss

NAMES = ["a", "b", "c"]
SAID = {"old": [0.6, 0.3, 0.1], "new": [0.2, 0.7, 0.1]}


def labelled(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    """Return scored rows of (prediction, version, the class that came true)."""
    return pl.DataFrame(
        [
            {"prediction_id": id, "row": 0, "version": version, "role": "served" if version == "old" else "shadow",
             "status": "ok", "output": max(SAID[version]), "decision_us": int(id[1:]), "latency_us": 5, "entity": id,
             "vector": SAID[version], "parts": NAMES, "value": None, "label": came,
             "known_us": None if came is None else 50}
            for id, version, came in rows
        ],
        schema_overrides={"value": pl.Float64, "label": pl.String, "known_us": pl.Int64},
    )  # fmt: skip


@pytest.mark.parametrize(("metric", "losses"), [("log_loss", (0.3, 0.7)), ("error", (0.0, 1.0))])
def test_pairs_are_the_credits_of_both_vectors(metric: str, losses: tuple[float, float]) -> None:
    rows = labelled(("p1", "old", "b"), ("p1", "new", "b"), ("p2", "old", None), ("p2", "new", None))
    found = pairs(credited(rows, metric), "old", "new", 100)
    assert (found.rows, found.paired, found.labelled) == (2, 2, 1)
    assert (found.stable.tolist(), found.challenger.tolist(), found.outcome.tolist()) == (
        [losses[0]], [losses[1]], [1.0],
    )  # fmt: skip


def test_a_class_that_nobody_knows_costs_both_the_same() -> None:
    rows = credited(labelled(("p1", "old", "z"), ("p1", "new", "z")), "log_loss")
    found = pairs(rows, "old", "new", 100)
    stable, _ = loss("log_loss").of(found.stable, found.outcome)
    challenger, _ = loss("log_loss").of(found.challenger, found.outcome)
    assert stable.tolist() == challenger.tolist() == [pytest.approx(np.log(99))]


def frame(came: str | None) -> pl.DataFrame:
    drawn = pl.DataFrame(
        {"prediction_id": ["p1"], "row": [0], "arm": ["new"], "propensity": [0.5], "decision_us": [1], "entity": ["p1"],
         "unit_hash": [1], "first_us": [1]}
    )  # fmt: skip
    rows = credited(labelled(("p1", "old", came), ("p1", "new", came)), "log_loss")
    return drawn_rows(drawn, rows, "old", "new", 100)


def test_what_is_foreseen_is_the_same_whatever_came_true() -> None:
    fixed = loss("log_loss")
    told = [foreseen(frame(came), fixed) for came in ("a", "b", "c", None)]
    likely = (np.array(SAID["old"]) + np.array(SAID["new"])) / 2
    by_hand = [float(likely @ (-np.log(SAID[version]) + np.log(0.99))) for version in ("old", "new")]
    for stable, challenger in told:
        assert [stable[0], challenger[0]] == pytest.approx(by_hand)


def test_a_drawn_unit_pays_for_the_class_that_came_true() -> None:
    units = drawn_units(frame("b"), loss("log_loss"), 0.5)
    assert units.loss.tolist() == pytest.approx([-np.log(0.7) + np.log(0.99)])
    assert (units.labelled.tolist(), units.challenged.tolist()) == ([1.0], [True])
    assert drawn_units(frame(None), loss("log_loss"), 0.5).labelled.tolist() == [0.0]
