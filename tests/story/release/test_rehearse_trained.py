"""Rehearsals of versions that were trained on the very rows that are played: what they learnt does not flatter them."""

from __future__ import annotations

from datetime import timedelta
from math import exp
from typing import Any

import msgspec
import polars as pl
import pytest

from mainspring.kernel.clock import to_us
from mainspring.kernel.errors import Refused
from mainspring.kernel.ids import new_id
from mainspring.registry.version import HELD_OUT, Lineage

from .conftest import DAYS, ROWS, START, Shop

UNTIL = START + timedelta(days=7)
HELD = START + timedelta(days=3)


@pytest.fixture(scope="module")
def trained(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a way to keep a version that was trained on the first week, with what it said of rows held out."""
    shop.version("2", 4.0)  # as good as can be

    def keep(held_out: pl.DataFrame | None = None) -> str:
        platform = shop.platform
        snapshots = {}
        if held_out is not None:
            path = tmp_path_factory.mktemp("held") / "held_out.parquet"
            held_out.write_parquet(path)
            snapshots[HELD_OUT] = platform.blobs.put_file(path)
        good = platform.registry.by_number(shop.ask("models")[0]["id"], 2)
        lineage = Lineage(snapshots=snapshots, trained_from_us=to_us(START), trained_until_us=to_us(UNTIL))
        with platform.store.begin("ann") as tx:
            made = platform.registry.register(tx, msgspec.structs.replace(good, id=new_id("ver"), lineage=lineage))
        for result in shop.ask("check", model="late", version=str(made.number)):
            if result["status"] == "failed" and result["severity"] == "block":
                shop.ask("override", model="late", version=str(made.number), check=result["name"], reason="a story")
        return str(made.number)

    return keep


def held_out(shop: Shop, weight: float) -> pl.DataFrame:
    """Return what a version of that weight said of the rows from the third day to the seventh."""
    model = shop.ask("models")[0]["id"]
    rows = shop.platform.log.requests(model, to_us(HELD), to_us(UNTIL))
    asked = [msgspec.json.decode(body)["x"] for body in rows["body"]]
    came = shop.platform.log.outcomes(model)
    return (
        rows.join(came.select("entity", "known_us", label="value"), on="entity", maintain_order="left")
        .with_columns(score=pl.Series([1 / (1 + exp(-weight * x)) for x in asked]), **{"input.x": pl.Series(asked)})
        .select("entity", "known_us", "label", "score", "input.x", at_us=pl.col("decision_us") + 60_000_000)
        .with_columns(champion_score=pl.lit(0.5), champion_seen=pl.lit(value=False))
    )


def rehearse(shop: Shop, number: str, **arguments: Any) -> Any:
    return shop.ask("rehearse", model="late", challenger=number, plays=10, **arguments)


def test_rows_that_it_was_trained_on_are_left_out_and_the_play_begins_after_them(shop, trained) -> None:
    found = rehearse(shop, trained())
    assert (found["rows"], found["learnt_rows"], found["unfitted_rows"]) == (ROWS * 7, ROWS * 7, 0)
    assert to_us(UNTIL) <= found["from_us"] < to_us(UNTIL + timedelta(minutes=10))
    assert found["sentence"].startswith(
        f"given these {ROWS * 7} rows ({ROWS * 7} more were left out: a version was trained"
    )


def test_what_its_recipe_said_without_them_stands_for_it_on_rows_held_out(shop, trained) -> None:
    number = trained(
        held_out(shop, weight=-3.0)
    )  # today it answers well; without these rows it had learnt the opposite
    found = rehearse(shop, number)
    late = 70  # outcomes of the last seven hours came after the training, so it was not fitted on those rows
    assert (found["learnt_rows"], found["rows"]) == (ROWS * 3, ROWS * (DAYS - 3))
    assert 0 < ROWS * 4 - found["unfitted_rows"] < late
    assert found["reasons"] == {"quality_worse": 10}
    assert any(one.endswith("fitted without those rows") for one in found["assumed"])


def test_where_nothing_else_is_left_it_is_refused_with_the_moment_from_which_rows_will_do(shop, trained) -> None:
    with pytest.raises(Refused, match=r"holds only rows that a version was trained on.*after 2026-03-08T00:00:00Z"):
        rehearse(shop, trained(), to="2026-03-05T00:00Z")
