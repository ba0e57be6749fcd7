"""A home on PostgreSQL and S3: control killed within its changes and uploads, and its database away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mainspring.adapters.home import Home
from mainspring.adapters.moving import move_files, move_store


@pytest.fixture
def moved(place: Path, new_site: Callable[..., Any], postgres_url: str, s3_server: Any, monkeypatch: Any) -> Any:
    """The prepared home, moved to servers, up under ``durable``."""
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAINSPRING_S3_ENDPOINT", s3_server.endpoint)
    home, bucket = Home(place / "home"), s3_server.fresh()
    move_files(home, blobs=bucket, tables=bucket)
    move_store(home, postgres_url, by="ann")
    settings = (home.root / "settings.toml").read_text()
    return new_site(settings + 'acknowledgement = "durable"\n')


def test_control_killed_on_postgresql_and_s3_loses_and_doubles_nothing(moved: Any, check: Callable[..., None]) -> None:
    moved.client(pause_s=0.01)
    for point in ("ingest.before_commit:3", "bucket.after_put:4", "tables.after_upload:3", "ingest.after_commit:3"):
        before = len(moved.told.answers)
        moved.crash_control_at(point)
        assert len(moved.told.answers) > before
    moved.wait(moved.control_answers)
    moved.stop()
    assert not moved.told.refused
    check(moved.home, moved.told)


def test_predictions_go_on_while_the_database_is_away_and_all_are_there_after(
    moved: Any, check: Callable[..., None], postgres_server: Any, postgres_url: str
) -> None:
    moved.client(pause_s=0.01)
    moved.answers_more()
    name = postgres_url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(f"alter database {name} allow_connections false")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        time.sleep(1.0)
        moved.answers_more(20)
        assert "the metadata store does not answer" in moved.logs()
        admin.execute(f"alter database {name} allow_connections true")
    moved.wait(lambda: moved.verb("status")["log"]["predictions"] > 0)
    assert moved.up.control.restarts == 0
    moved.stop()
    assert not moved.told.refused
    check(moved.home, moved.told)


def test_gateways_load_from_the_bucket_and_start_again_while_it_is_away(
    moved: Any, kill_process: Callable[[Any], None]
) -> None:
    (gateway,) = moved.up.gateways
    for path in moved.home.blobs.glob("*/*"):
        path.unlink()
    for endpoint in (gateway._environment["MAINSPRING_S3_ENDPOINT"], "http://127.0.0.1:1"):
        gateway._environment["MAINSPRING_S3_ENDPOINT"] = endpoint
        kill_process(gateway)
        moved.supervised_until(moved.ready)
    moved.client(pause_s=0.01)
    moved.answers_more()
    assert any(moved.home.blobs.glob("*/*"))
