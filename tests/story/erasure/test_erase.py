"""A customer asks to be forgotten, and is: killed anywhere on the way, the erasure goes on and ends gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from mainspring.adapters.traces import traces_of
from mainspring.edges.verbs.verb import plain
from mainspring.features.keys import encode_key
from mainspring.kernel.errors import InvalidInput
from mainspring.ledger.queries import entries, verify_chain

ANN, BEN = "ann-7731", "ben-2209"
WHY = "asked for on paper"


def looked_up(shop: Any, customer: str) -> Any:
    version = shop.platform.registry.alias(shop.model, "champion")
    (row,) = shop.platform.latest.get(version.views[0], [encode_key([customer])], shop.platform.clock.now_us())
    return row.values


def is_gone(shop: Any) -> None:
    platform = shop.platform
    assert traces_of(platform.home.root, ANN) == []
    assert platform.loop._erasure.pending() == []
    requests = shop.requests()
    assert [row["body"] == "" for row in requests] == [False, True, False, True, False, True, False, True]
    assert platform.log.counts(shop.model)["predictions"] == 8
    published = DeltaTable(str(shop.home.root / "delta" / "requests")).to_pyarrow_table()
    assert published["body"].to_pylist().count("") == 4
    assert looked_up(shop, ANN) == looked_up(shop, "nobody")
    assert looked_up(shop, BEN) == (13.0,)
    with platform.store.read() as connection:
        told = entries(connection, kind="subject")
        assert [entry.kind for entry in told][-1] == "subject.erased"
        assert verify_chain(connection, platform.home.ledger_key()).verified
    assert ANN not in json.dumps(plain(told))


def test_before_an_erasure_personal_fields_are_sealed_in_the_parts_and_open_to_who_asks(
    new_shop: Callable[[], Any],
) -> None:
    shop = new_shop()
    parts = shop.home.parts
    body = pl.read_parquet(next(parts.glob("requests/*.parquet")))["body"][1]
    assert json.loads(body)["street"].startswith("pii:1:")
    assert json.loads(body)["amount"] == 11.0
    assert json.loads(shop.requests()[1]["body"])["street"] == f"{ANN} lane 1"
    stored = pl.concat(pl.read_parquet(path) for path in parts.glob("source-*/*.parquet"))
    assert all(email.startswith("pii:1:") for email in stored["email"])
    assert f"{ANN}@mail.example" in shop.platform.log.source(shop.source())["email"].to_list()


def test_an_erased_customer_is_in_no_file_of_the_home_and_nobody_else_is_touched(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    platform = shop.platform
    before = platform.log.labelled(shop.model).drop("entity", "unit")
    assert looked_up(shop, ANN) == (14.0,)
    assert platform.replay.replay("b_shop-2").equal
    erased = platform.loop.erase(ANN, by="cleo", reason=WHY)
    assert (erased.gone, erased.places, erased.waiting) == (True, (), False)
    assert erased.rows == {"requests": 4, "scored": 4, "outcomes": 3, "source:orders": 4}
    is_gone(shop)
    after = platform.log.labelled(shop.model)
    assert after.drop("entity", "unit").equals(before), "scores, outcomes and evidence are as they were"
    assert after["entity"].to_list()[6:] == ["o6", "o6"], "an order that another asked about keeps its name"
    assert {name[:7] for name in after["entity"].to_list()[1:6:2]} == {"erased-"}
    said = platform.replay.replay("b_shop-2")
    assert (said.erased, said.difference) == (True, "erased")
    assert platform.replay.replay("b_shop-1").equal
    assert BEN in platform.log.source(shop.source())["customer"].to_list()


MOMENTS = ["erase.noted", "erase.written", "erase.swapped", "features.before_take", "erase.told"]
MORE = ["rewrite.after_write", "rewrite.after_write:3", "rewrite.before_commit", "latest.before_commit",
        "features.before_mark", "erase.rebuilt", "erase.blanked", "delta.after_commit", "erase.published",
        "store.before_commit:2"]  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS + (MORE if os.environ.get("MAINSPRING_CRASH") == "long" else []))
def test_killed_at_a_named_moment_the_next_start_ends_it(
    new_shop: Callable[[], Any], tmp_path: Path, moment: str
) -> None:
    command = [sys.executable, "-m", "mainspring.edges.cli", "--home", str(tmp_path / "home"), "erase"]
    armed = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    asked = [*command, "--subject", ANN, "--reason", WHY]
    ended = subprocess.run(asked, env=armed, capture_output=True, check=False, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    shop = new_shop()
    shop.platform.loop.recover()
    is_gone(shop)


def test_a_job_that_still_reads_is_waited_for(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    with shop.platform.log.reading():
        erased = shop.platform.loop.erase(ANN, by="cleo", reason=WHY)
        assert (erased.gone, erased.waiting) == (False, True)
        assert len(shop.platform.loop._erasure.pending()) == 1
    shop.platform.loop.step()
    is_gone(shop)


def test_a_copy_that_was_left_somewhere_in_the_home_is_told(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    (shop.home.root / "notes.txt").write_text(f"call {ANN} back")
    erased = shop.platform.loop.erase(ANN, by="cleo", reason=WHY)
    assert (erased.gone, erased.places) == (False, ("notes.txt",))
    with shop.platform.store.read() as connection:
        assert entries(connection, kind="subject")[-1].kind == "subject.left"


@pytest.mark.parametrize(("subject", "reason"), [(" ", WHY), (ANN, f"{ANN} asked")])
def test_an_erasure_that_names_nobody_or_writes_the_name_down_is_refused(
    new_shop: Callable[[], Any], subject: str, reason: str
) -> None:
    shop = new_shop()
    with pytest.raises(InvalidInput):
        shop.platform.loop.erase(subject, by="cleo", reason=reason)
    assert shop.platform.loop._erasure.pending() == []
