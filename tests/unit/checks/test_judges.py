from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mainspring.checks.judges import champion, latency, leak, metric, schema, slices
from mainspring.checks.result import Candidate
from mainspring.checks.spec import (
    Check,
    Latency,
    Metric,
    NotWorseThanChampion,
    Schema,
    Slices,
    TooGoodToBeTrue,
    with_defaults,
)
from mainspring.checks.spec import metric as metric_of
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt
from mainspring.registry.version import Environment, Version

DAY_US = 86_400_000_000
ASKED = (Column("id", "str"), Column("shop", "str"), Column("amount", "float"))
SIGNATURE = Signature(task="binary", inputs=ASKED[1:], requested=ASKED)
SPEC = ModelSpec(
    "late", "binary", "id", "orders", PredictAt("placed"), OutcomeSpec("late", "orders", 0), (), columns=ASKED
)


def candidate(rows: pl.DataFrame | None = None, **changed: Any) -> Candidate:
    made = {"signature": SIGNATURE, "p999_ms": 0.2, **changed}
    version = Version("v", "m", 1, "onnx", {}, made["signature"], Environment("3", "x", {}), p999_ms=made["p999_ms"])
    return Candidate(version, SPEC, rows)


def held_out(count: int = 2_000, days: int = 20, worse_by: float = 0.0, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, count)
    return pl.DataFrame(
        {
            "entity": [f"e{n}" for n in range(count)],
            "at_us": [n * days * DAY_US // count for n in range(count)],
            "known_us": [n * days * DAY_US // count + DAY_US for n in range(count)],
            "label": (rng.random(count) < truth).astype(float),
            "score": truth * (1 - worse_by) + 0.5 * worse_by,
            "champion_score": truth,
            "champion_seen": [False] * count,
            "input.shop": rng.choice(["north", "south"], count).tolist(),
            "input.amount": truth + rng.normal(size=count),
        }
    )


def test_a_metric_within_its_limits_passes_and_outside_fails_with_both_numbers() -> None:
    rows = held_out()

    good = metric.judge(Metric(metric="roc_auc", at_least=0.7), candidate(rows))
    bad = metric.judge(Metric(metric="log_loss", at_most=0.1), candidate(rows))

    assert (good.status, bad.status) == ("passed", "failed")
    assert good.numbers["rows"] == 2_000
    assert bad.reason == f"log_loss is {bad.numbers['value']:.4g} where at most 0.1 is asked"


def test_a_metric_that_cannot_be_computed_has_failed() -> None:
    one_class = held_out().with_columns(pl.lit(1.0).alias("label"))

    found = metric.judge(Metric(metric="roc_auc", at_least=0.5), candidate(one_class))

    assert (found.status, found.reason) == ("failed", "roc_auc cannot be computed on 2000 rows")


def test_no_held_out_rows_is_never_a_success() -> None:
    for one, judge in (
        (Metric(metric="roc_auc", at_least=0.5), metric.judge),
        (NotWorseThanChampion(), champion.judge),
        (Slices(column="shop", at_least=0.5), slices.judge),
        (TooGoodToBeTrue(), leak.judge),
    ):
        assert judge(one, candidate(None)).status != "passed"  # type: ignore[arg-type]


def test_an_equal_candidate_is_not_worse_and_a_bad_one_is() -> None:
    equal = champion.judge(NotWorseThanChampion(margin=0.01), candidate(held_out()))
    bad = champion.judge(NotWorseThanChampion(margin=0.01), candidate(held_out(worse_by=0.8)))

    assert equal.status == "passed"
    assert equal.numbers["difference"] == 0.0
    assert equal.numbers["look"] == "one-shot"
    assert bad.status == "failed"
    assert bad.numbers["low"] > 0.01
    assert bad.numbers["days"] == 20


def test_too_few_days_to_tell_is_inconclusive() -> None:
    found = champion.judge(NotWorseThanChampion(margin=0.01), candidate(held_out(400, days=3, worse_by=0.2)))

    assert found.status == "inconclusive"
    assert found.reason.endswith("which may lie on either side of 0.01")


def test_rows_that_the_champion_was_fitted_on_are_left_out_if_others_remain() -> None:
    rows = held_out().with_columns((pl.int_range(pl.len()) < 1_000).alias("champion_seen"))
    only_seen = held_out().with_columns(pl.lit(value=True).alias("champion_seen"))

    assert champion.judge(NotWorseThanChampion(), candidate(rows)).numbers["rows"] == 1_000
    assert champion.judge(NotWorseThanChampion(), candidate(only_seen)).numbers["seen_by_champion"] == 2_000


def test_without_a_champion_there_is_nothing_to_be_told() -> None:
    rows = held_out().with_columns(pl.lit(None, dtype=pl.Float64).alias("champion_score"))

    assert champion.judge(NotWorseThanChampion(), candidate(rows)).status == "inconclusive"


def test_a_slice_below_its_limit_is_named_and_a_small_one_is_not_judged() -> None:
    rows = held_out().with_columns(
        pl.when(pl.col("input.shop") == "south").then(1 - pl.col("score")).otherwise(pl.col("score")).alias("score"),
        pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("tiny")).otherwise(pl.col("input.shop")).alias("input.shop"),
    )

    found = slices.judge(Slices(column="shop", at_least=0.5), candidate(rows))

    assert found.status == "failed"
    assert found.numbers["failed"] == ["south"]
    assert found.numbers["not_judged"] == ["tiny"]


def test_an_input_that_tells_the_outcome_is_suspected_by_name() -> None:
    rows = held_out().with_columns((pl.col("label") * 10 + pl.col("input.amount")).alias("input.amount"))

    found = leak.judge(TooGoodToBeTrue(), candidate(rows))

    assert found.status == "failed"
    assert found.numbers["strongest_input"] == "amount"
    assert found.reason.startswith("amount alone nearly tells the outcome")


def test_a_jump_over_the_champion_is_suspected() -> None:
    rows = held_out().with_columns(
        (pl.col("champion_score") * 0.2 + pl.int_range(pl.len()) % 7).alias("champion_score")
    )

    found = leak.judge(TooGoodToBeTrue(), candidate(rows))

    assert found.status == "failed"
    assert found.numbers["jump"] > 0.05


def test_an_ordinary_candidate_is_not_suspected() -> None:
    assert leak.judge(TooGoodToBeTrue(), candidate(held_out())).status == "passed"


def test_a_signature_that_differs_from_the_declaration_is_told_column_by_column() -> None:
    other = Signature(task="binary", inputs=(Column("amount", "int"),), requested=(ASKED[0], Column("amount", "int")))

    found = schema.judge(Schema(), candidate(signature=other))

    assert schema.judge(Schema(), candidate()).status == "passed"
    assert found.status == "failed"
    assert found.reason == "shop is declared and not taken; amount is int, declared is float"


@pytest.mark.parametrize(
    ("taken_ms", "status"), [(0.2, "passed"), (1_000.0, "passed"), (1_001.0, "failed"), (None, "inconclusive")]
)
def test_latency_is_judged_by_the_deadline(taken_ms: float | None, status: str) -> None:
    assert latency.judge(Latency(), candidate(p999_ms=taken_ms)).status == status


def test_schema_leak_suspicion_and_latency_run_without_being_declared() -> None:
    declared: list[Check] = [metric_of("roc_auc", at_least=0.6), Latency(at_most_ms=5.0)]

    assert [check.name for check in with_defaults(declared)] == [
        "metric:roc_auc",
        "latency",
        "schema",
        "too_good_to_be_true",
    ]


def test_a_misspelt_metric_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'roc_auc'"):
        metric_of("roc_acu", at_least=0.5)


def test_a_metric_without_a_limit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="give at_least or at_most"):
        metric_of("roc_auc")
