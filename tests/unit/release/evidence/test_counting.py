"""From frames of the log to sums."""

import numpy as np
import polars as pl
import pytest

from mainspring.release.evidence.drawn import drawn_terms, running_means
from mainspring.release.evidence.forecast import units_needed
from mainspring.release.evidence.frames import first_requests, pairs, unit_hashes, windows
from mainspring.release.evidence.maturity import horizon_us
from mainspring.release.evidence.ratio import Ratio
from mainspring.release.evidence.stream import Gate, Stream

HOUR = 3_600_000_000


def scored(*rows: tuple[str, str, str, str, float | None, int | None]) -> pl.DataFrame:
    """Return lines of (prediction, version, role, status, output, label's delay in hours; None is unlabelled)."""
    return pl.DataFrame(
        {
            "prediction_id": [row[0] for row in rows],
            "row": 0,
            "version": [row[1] for row in rows],
            "role": [row[2] for row in rows],
            "status": [row[3] for row in rows],
            "output": pl.Series([row[4] for row in rows], dtype=pl.Float64),
            "decision_us": [int(row[0][1:]) * HOUR for row in rows],
            "entity": [row[0] for row in rows],
            "value": pl.Series([None if row[5] is None else 1.0 for row in rows], dtype=pl.Float64),
            "known_us": pl.Series(
                [None if row[5] is None else (int(row[0][1:]) + row[5]) * HOUR for row in rows], dtype=pl.Int64
            ),
        }
    )


def test_pairs_are_rows_that_both_scored_and_that_were_labelled_in_time() -> None:
    frame = scored(
        ("p3", "v1", "served", "ok", 0.3, 2), ("p3", "v2", "shadow", "ok", 0.4, 2),
        ("p1", "v1", "served", "ok", 0.1, 2), ("p1", "v2", "shadow", "failed", None, 2),
        ("p2", "v1", "served", "ok", 0.2, 9), ("p2", "v2", "shadow", "ok", 0.2, 9),
        ("p4", "v1", "served", "ok", 0.4, None), ("p4", "v2", "shadow", "ok", 0.4, None),
        ("p5", "v1", "served", "ok", 0.5, 2),
        ("p6", "v1", "pinned", "ok", 0.5, 2), ("p6", "v2", "batch", "ok", 0.5, 2),
    )  # fmt: skip
    counted = pairs(frame, "v1", "v2", 5 * HOUR)
    assert (counted.rows, counted.paired, counted.labelled) == (5, 4, 3)
    assert counted.stable.tolist() == [0.1, 0.3]
    assert counted.answered.tolist() == [False, True]
    assert counted.challenger[1] == 0.4
    assert counted.newest_label_us == 11 * HOUR


def test_where_silence_is_a_negative_outcome_every_mature_row_has_a_label() -> None:
    frame = scored(
        ("p1", "v1", "served", "ok", 0.1, 2), ("p1", "v2", "shadow", "ok", 0.2, 2),
        ("p2", "v1", "served", "ok", 0.3, 9), ("p2", "v2", "shadow", "ok", 0.4, 9),
        ("p3", "v1", "served", "ok", 0.5, None), ("p3", "v2", "shadow", "ok", 0.6, None),
    )  # fmt: skip
    counted = pairs(frame, "v1", "v2", 5 * HOUR, absent_is_negative=True)
    assert (counted.rows, counted.paired, counted.labelled) == (3, 3, 3)
    assert counted.outcome.tolist() == [1.0, 0.0, 0.0]  # the second came too late to count
    assert counted.newest_label_us == 11 * HOUR  # of an outcome that was told, so that a dead feed goes stale


def test_a_fallback_pairs_the_stable_answer_with_the_challengers_failure() -> None:
    frame = scored(("p1", "v2", "served", "late", None, 1), ("p1", "v1", "fallback", "ok", 0.2, 1))
    counted = pairs(frame, "v1", "v2", HOUR)
    assert (counted.stable.tolist(), counted.answered.tolist()) == ([0.2], [False])


def test_a_unit_counts_once_and_one_whose_window_spans_a_change_of_shares_not_at_all() -> None:
    rows = pl.DataFrame(
        {
            "unit": ["a", "a", "b", "a", "c"],
            "decision_us": [10, 12, 15, 40, 50],
            "prediction_id": list("12345"),
            "row": 0,
        }
    )
    rows = rows.with_columns(unit_hashes(rows["unit"]))
    seen = first_requests(rows, pl.DataFrame(schema={"unit_hash": pl.UInt64, "first_us": pl.Int64}))
    assert seen["first_us"].to_list() == [10, 15, 50]
    assert first_requests(rows, seen).height == 0
    assert windows(rows, seen, 0, 100, 5, ())["prediction_id"].sort().to_list() == ["1", "2", "3", "5"]
    assert windows(rows, seen, 0, 100, 5, (13,))["prediction_id"].sort().to_list() == ["3", "5"]
    assert windows(rows, seen, 10, 15, 5, ())["prediction_id"].to_list() == ["3"]


def test_drawn_terms_are_those_of_the_formula() -> None:
    challenged, p = np.array([True, False]), np.array([0.25, 0.25])
    w, x, v = drawn_terms(challenged, p, np.array([1.0, 0.0]), (np.array([0.2, 0.2]), np.array([0.5, 0.5])))
    assert w.tolist() == [0.1875, 0.1875]
    assert x == pytest.approx([0.1875 * 0.3 + 0.75 * 0.5, 0.1875 * 0.3 + 0.25 * 0.2])
    assert v == pytest.approx([(0.75 * 0.5) ** 2, (0.25 * 0.2) ** 2])


def test_expected_losses_come_from_earlier_units_only_and_go_on_where_they_stopped() -> None:
    challenged, losses = np.array([True, True, False, True]), np.array([1.0, 0.0, 1.0, 1.0])
    whole, after = running_means(challenged, losses, (0, 0.0, 0, 0.0), 0.5, 1.0)
    assert whole[1] == pytest.approx([0.5, 6 / 11, 0.5, 0.5])
    assert whole[0][2] == 0.5
    assert after == (1, 1.0, 3, 2.0)
    _, half = running_means(challenged[:2], losses[:2], (0, 0.0, 0, 0.0), 0.5, 1.0)
    rest, end = running_means(challenged[2:], losses[2:], half, 0.5, 1.0)
    assert rest[1] == pytest.approx(whole[1][2:])
    assert end == after


def test_sums_merge_however_the_rows_are_cut() -> None:
    gate = Gate("quality", "metric", "paired", 1.0, promote_margin=0.05, stop_margin=0.0)
    x = np.random.default_rng(1).normal(0.0, 0.1, 400)
    ones = np.ones(400)
    whole = Stream().add(gate, ones, x, x * x)
    parts = Stream()
    for start in range(0, 400, 37):
        cut = slice(start, start + 37)
        parts = parts.add(gate, ones[cut], x[cut], x[cut] ** 2)
    assert (whole.n, parts.n) == (400, 400)
    assert parts.peak_promote == pytest.approx(whole.peak_promote)
    assert parts.peak_stop == pytest.approx(whole.peak_stop)
    assert (parts.x, parts.v) == (pytest.approx(whole.x), pytest.approx(whole.v))


def test_a_stream_of_nothing_or_of_nan_measures_nothing() -> None:
    gate = Gate("quality", "metric", "paired", 1.0, promote_margin=0.05)
    assert Stream().measured(gate) is None
    assert Stream(n=5, w=5.0, x=float("nan")).measured(gate) is None


def test_the_sample_ratio_notices_half_the_units_missing_and_not_a_fair_draw() -> None:
    share = np.full(3_000, 0.5)
    fair = np.arange(3_000) % 2 == 0
    assert Ratio().add(fair, share).e() < 2.0
    unfair = np.arange(3_000) % 4 == 0
    assert Ratio().add(unfair, share).e() > 2_000.0


def test_the_horizon_is_the_delay_of_all_but_a_few_labels_and_never_longer_than_declared() -> None:
    assert horizon_us(np.full(199, HOUR), 36 * HOUR) == 36 * HOUR
    assert horizon_us(np.concatenate([np.full(999, HOUR), [20 * HOUR]]), 36 * HOUR) == HOUR
    assert horizon_us(np.full(500, 50 * HOUR), 36 * HOUR) == 36 * HOUR


def test_the_forecast_needs_some_5_300_paired_rows_where_a_drawn_canary_needs_thirty_times_as_many() -> None:
    assert 4_500 < units_needed(0.01, 0.11**2, 4.595, 0.05) < 6_500
    assert 130_000 < units_needed(0.01, 0.25 * 0.25, 4.595, 0.05, weight=0.25) < 200_000
