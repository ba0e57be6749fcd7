"""A customer asks to be forgotten, and is: killed anywhere on the way, the erasure goes on and ends gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from sqlalchemy import insert, select

from mainspring.adapters.backup import backup
from mainspring.adapters.home import Home, HomeLock
from mainspring.adapters.streams.kafka.place import place_of
from mainspring.adapters.streams.kafka.topic import make_topic
from mainspring.adapters.streams.kafka.writer import KafkaSpool
from mainspring.adapters.traces import traces_of
from mainspring.edges.verbs.verb import plain
from mainspring.features.keys import encode_key
from mainspring.kernel.errors import InvalidInput
from mainspring.ledger.queries import entries, verify_chain
from mainspring.log.records import Request
from mainspring.platform import open_platform
from mainspring.release.evidence.frames import UNITS_SCHEMA, unit_hashes
from mainspring.release.gather import units_bytes, units_from
from mainspring.release.tables import release_books, releases

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
    assert (erased.known, erased.gone, erased.places, erased.waiting) == (True, True, (), False)
    assert erased.said == "gone from everything in this home"
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


def test_an_order_that_a_kill_left_half_written_is_none_and_names_nobody(
    new_shop: Callable[[], Any], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "mainspring.edges.cli", "--home", str(tmp_path / "home"), "erase"]
    armed = {**os.environ, "MAINSPRING_CRASH_AT": "disk.before_rename"}
    ended = subprocess.run([*command, "--subject", ANN, "--reason", WHY], env=armed, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert traces_of(tmp_path / "home" / "erasing", ANN)
    shop = new_shop()
    shop.platform.loop.recover()
    assert traces_of(tmp_path / "home" / "erasing", ANN) == []
    assert ANN in [row["subject"] for row in shop.requests()]


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


def test_a_name_that_nobody_has_is_said_to_be_unknown_and_what_was_looked_at(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    before = shop.requests()
    erased = shop.platform.loop.erase("ann-7713", by="cleo", reason=WHY)
    assert (erased.known, erased.gone, erased.rows, erased.notes) == (False, True, {}, ())
    assert erased.said.startswith("no such subject is known: nobody of that name, letter by letter")
    assert erased.looked_at == (
        "subject, entity and unit of 8 requested rows",
        "customer of 168 rows of source orders",
        "every file of the home",
    )
    assert shop.requests() == before


def test_a_release_s_books_know_the_units_of_an_erased_customer_by_other_hashes(new_shop: Callable[[], Any]) -> None:
    shop = new_shop()
    platform = shop.platform
    ours = unit_hashes(pl.Series(["o1", "o2", "o3"]))
    units = pl.DataFrame({"unit_hash": ours, "first_us": [1, 2, 3]}, schema=UNITS_SCHEMA)
    with platform.store.bookkeeping() as connection:
        whose = {"model": shop.model, "project": "prj_1", "status": "aborted", "started_us": 1, "body": "{}"}
        connection.execute(insert(releases).values(id="rel_1", **whose))
        connection.execute(insert(release_books).values(release="rel_1", body="{}", units=units_bytes(units)))
    platform.loop.erase(ANN, by="cleo", reason=WHY)
    with platform.store.read() as connection:
        kept = units_from(connection.scalar(select(release_books.c.units).where(release_books.c.release == "rel_1")))
    renamed = {row["entity"]: row["unit"] for row in shop.requests()}
    assert "o1" not in renamed
    assert kept["unit_hash"][1] == ours[1], "an order of somebody else"
    assert set(kept["unit_hash"]) & {ours[0], ours[2]} == set()
    now = unit_hashes(pl.Series([unit for unit in renamed.values() if unit.startswith("erased-")]))
    assert {kept["unit_hash"][0], kept["unit_hash"][2]} <= set(now)


def test_who_was_erased_after_a_backup_is_erased_again_before_the_restored_home_is_used(
    new_shop: Callable[[], Any], tmp_path: Path
) -> None:
    listed = tmp_path / "erased"
    (tmp_path / "home" / "settings.toml").write_text(f'publish = "delta://"\nerased_subjects = "{listed}"\n')
    shop = new_shop()
    platform = shop.platform
    backup(platform.home.root, tmp_path / "backup", platform.store)
    platform.loop.erase(ANN, by="cleo", reason=WHY)
    assert ANN not in listed.read_text()
    command = [sys.executable, "-m", "mainspring.edges.cli"]
    restored = tmp_path / "restored"
    armed = {**os.environ, "MAINSPRING_CRASH_AT": "erase.again"}
    asked = [*command, "restore", str(tmp_path / "backup"), "--home", str(restored)]
    ended = subprocess.run(asked, env=armed, capture_output=True, check=False, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (restored / "erasing" / "again").exists()
    looked = subprocess.run([*command, "--home", str(restored), "log", "counts"], capture_output=True, check=False)
    assert looked.returncode == 0, looked.stderr
    assert traces_of(restored, ANN) == []
    assert not list((restored / "erasing").iterdir())
    with HomeLock(restored, "a test"), closing(open_platform(Home(restored))) as again:
        requests = again.log.requests(shop.model).to_dicts()
        assert [row["body"] == "" for row in requests] == [False, True, False, True, False, True, False, True]
        with again.store.read() as connection:
            kinds = [entry.kind for entry in entries(connection, kind="subject")]
    assert kinds == ["subject.again", "subject.erasing", "subject.erased"]


def test_a_backup_that_is_restored_where_no_list_is_kept_says_so(new_shop: Callable[[], Any], tmp_path: Path) -> None:
    shop = new_shop()
    backup(shop.platform.home.root, tmp_path / "backup", shop.platform.store)
    shop.platform.loop.erase(ANN, by="cleo", reason=WHY)
    ended = restoring(tmp_path, "restored")
    assert ended.returncode == 0, ended.stderr
    assert "there was no list of them" in ended.stdout


def test_a_restore_whose_list_is_missing_is_refused_unless_that_is_known(
    new_shop: Callable[[], Any], tmp_path: Path
) -> None:
    listed = tmp_path / "erased"
    (tmp_path / "home" / "settings.toml").write_text(f'publish = "delta://"\nerased_subjects = "{listed}"\n')
    shop = new_shop()
    backup(shop.platform.home.root, tmp_path / "backup", shop.platform.store)
    assert listed.read_text() == "", "begun with the first backup: from then on its absence is a loss"
    ended = restoring(tmp_path, "nobody-was-erased")
    assert ended.returncode == 0, ended.stderr
    listed.unlink()
    for missing in ([], ["--erased", str(tmp_path / "nothing")]):
        ended = restoring(tmp_path, "other", *missing)
        assert ended.returncode != 0
        assert "they would be in the home again" in ended.stderr
        assert "--without-erased-list" in ended.stderr
        assert not (tmp_path / "other").exists()
        assert not (tmp_path / ".other.restoring").exists()
    ended = restoring(tmp_path, "other", "--without-erased-list")
    assert ended.returncode == 0, ended.stderr
    assert "there was no list of them" in ended.stdout


def restoring(folder: Path, home: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mainspring.edges.cli", "restore", str(folder / "backup")]
    asked = [*command, "--home", str(folder / home), *options]
    return subprocess.run(asked, capture_output=True, check=False, text=True)


def test_what_a_topic_holds_of_an_erased_customer_is_removed_there(
    new_shop: Callable[[], Any], new_topic: str, tmp_path: Path
) -> None:
    (tmp_path / "home" / "settings.toml").write_text(f'publish = "delta://"\nspool = "{new_topic}"\n')
    place = place_of(new_topic)
    make_topic(place)
    shop = new_shop()
    writer = KafkaSpool(place, "b_far", "durable")
    body = json.dumps({"order_id": "o9", "customer": ANN, "street": "Elm", "amount": 1.0}).encode()
    now_us = shop.platform.clock.now_us()
    writer.append(Request("b_far-1", "prj", shop.model, now_us, now_us, body, ("o9",), ("o9",), (ANN,)))
    writer.close()
    shop.platform.loop.ingest()
    assert ANN.encode() in b"".join(messages(new_topic))
    shop.close()
    command = [sys.executable, "-m", "mainspring.edges.cli", "--home", str(tmp_path / "home"), "erase"]
    armed = {**os.environ, "MAINSPRING_CRASH_AT": "kafka.dropped"}
    ended = subprocess.run([*command, "--subject", ANN, "--reason", WHY], env=armed, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert messages(new_topic) == []
    platform = new_shop().platform
    platform.loop.recover()
    with platform.store.read() as connection:
        first, last = entries(connection, kind="subject")[0], entries(connection, kind="subject")[-1]
    assert (first.numbers["rows"]["requests"], last.kind) == (5, "subject.erased")


def messages(url: str) -> list[bytes]:
    """Return what a topic holds, read from its beginning by a client of its own."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    place = place_of(url)
    client = Consumer({"bootstrap.servers": place.servers, "group.id": "look", "auto.offset.reset": "earliest"})
    partitions = client.list_topics(place.topic, timeout=10).topics[place.topic].partitions
    client.assign([TopicPartition(place.topic, number, OFFSET_BEGINNING) for number in partitions])
    held = sum(high - low for low, high in (client.get_watermark_offsets(one, 10) for one in client.assignment()))
    found: list[bytes] = []
    until_s = time.monotonic() + 30
    while len(found) < held and time.monotonic() < until_s:
        found += [message.value() for message in client.consume(100, 0.2) if message.error() is None]
    client.close()
    return found
