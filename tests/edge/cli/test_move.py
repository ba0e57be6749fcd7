"""A home that outgrew its folder: moved to PostgreSQL and S3 by a command, backed up and restored from there."""

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from sqlalchemy import insert, select

from mainspring.adapters.backup import restore
from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.adapters.settings import read_settings
from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.edges.cli.commands import run
from mainspring.kernel.clock import SystemClock
from mainspring.ledger.queries import entries, verify_chain
from mainspring.platform import open_platform
from mainspring.project.tables import revisions
from mainspring.registry.tables import projects
from mainspring.testing.logs import LogBench, outcome, request

MODEL = "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c"
REVISION = {"digest": "0" * 64, "root": "/", "applied_by": "ann", "applied_us": 0, "ledger_seq": 1}


@pytest.fixture
def home(tmp_path):
    """A home with a ledger, numbered rows, a blob, parts, and one request that is still in the spool."""
    home = create_home(tmp_path / "home")
    with closing(open_platform(home)) as platform:
        platform.blobs.put(b"a model")
        with platform.store.begin("ann") as tx:
            tx.connection.execute(insert(projects).values(id="prj_1", name="shop", created_us=0))
            tx.connection.execute(insert(revisions), [{"project": "prj_1", **REVISION}] * 3)
            tx.record("project.made", "prj_1", "it is needed", {"share": 0.1})
    bench = LogBench(home.root)
    bench.write(request(1), outcome("e1", 1.0, 5))
    bench.ingest.run()
    bench.write(request(2))
    bench.close()
    return home


def moved(capsys, home, *words):
    code = run(["move", "--home", str(home.root), *words])
    told = capsys.readouterr()
    return code, told.out + told.err


def look(home):
    """Return what a fresh start finds: actors and kinds of the ledger, whether it is whole, and the entities asked."""
    with HomeLock(home.root, "a test"), closing(open_platform(home)) as platform:
        platform.loop.recover()
        with platform.store.read() as connection:
            said = [(entry.actor, entry.kind) for entry in entries(connection)]
            whole = verify_chain(connection, home.ledger_key()).verified
        asked = platform.log.requests("mod_1")["entity"].to_list()
        assert platform.blobs.get(MODEL) == b"a model"
    return said, whole, asked


def test_a_moved_home_has_every_row_and_goes_on_where_it_was(home, postgres_url, capsys):
    before = look(home)
    code, told = moved(capsys, home, "--store", postgres_url)
    assert code == 0, told
    assert "entries are verified" in told
    said, whole, asked = look(home)
    assert said[: len(before[0])] == before[0]
    assert said[-1][1] == "home.moved"
    assert (whole, asked) == (True, ["e1", "e2"])
    assert not home.database.exists()
    with closing(open_platform(home)) as platform, platform.store.begin("ann") as tx:
        tx.connection.execute(insert(revisions).values(project="prj_1", **REVISION))
        tx.record("a.change", "x", "numbers go on")
        assert list(tx.connection.scalars(select(revisions.c.id).order_by(revisions.c.id))) == [1, 2, 3, 4]


def test_blobs_and_parts_move_to_a_bucket_and_are_read_from_there(home, s3_server, monkeypatch, capsys, tmp_path):
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAINSPRING_S3_ENDPOINT", s3_server.endpoint)
    place = s3_server.fresh()
    code, told = moved(capsys, home, "--blobs", place, "--tables", place)
    assert code == 0, told
    assert "moved 1 blobs and 2 parts" in told
    for folder in (home.blobs, home.parts):
        for path in folder.glob("*/*"):
            path.unlink()
    assert look(home)[2] == ["e1", "e2"]


@pytest.mark.parametrize("point", ["move.before_commit", "move.after_commit", "move.after_switch"])
def test_a_move_that_is_killed_is_ended_by_the_same_command(home, postgres_url, capsys, point):
    words = ["-m", "mainspring.edges.cli", "move", "--home", str(home.root), "--store", postgres_url]
    killed = subprocess.run([sys.executable, *words], env={**os.environ, "MAINSPRING_CRASH_AT": point}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert look(home)[1:] == (True, ["e1", "e2"])
    if not read_settings(home.root)[0].store:
        code, told = moved(capsys, home, "--store", postgres_url)
        assert code == 0, told
    said, whole, asked = look(home)
    assert (whole, asked) == (True, ["e1", "e2"])
    assert [kind for _, kind in said].count("home.moved") == 1


@pytest.mark.parametrize("point", ["bucket.after_put:2", "move.before_switch", "move.after_switch"])
def test_a_move_to_a_bucket_that_is_killed_is_ended_by_the_same_command(home, s3_server, monkeypatch, capsys, point):
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAINSPRING_S3_ENDPOINT", s3_server.endpoint)
    place = s3_server.fresh()
    words = ["-m", "mainspring.edges.cli", "move", "--home", str(home.root), "--blobs", place, "--tables", place]
    killed = subprocess.run([sys.executable, *words], env={**os.environ, "MAINSPRING_CRASH_AT": point}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert look(home)[1:] == (True, ["e1", "e2"])
    code, told = moved(capsys, home, "--blobs", place, "--tables", place)
    assert code == 0, told
    for folder in (home.blobs, home.parts):
        for path in folder.glob("*/*"):
            path.unlink()
    assert look(home)[1:] == (True, ["e1", "e2"])
    assert moved(capsys, home, "--blobs", place, "--tables", place)[0] != 0


def test_a_database_that_knows_more_is_not_written_over(home, postgres_url, tmp_path, capsys):
    with closing(open_platform(home)) as platform:
        platform_backup(platform, tmp_path / "backup")
    assert moved(capsys, home, "--store", postgres_url)[0] == 0
    with closing(open_platform(home)) as platform, platform.store.begin("ann") as tx:
        tx.record("a.change", "x", "the home went on")
    restore(tmp_path / "backup", tmp_path / "old")
    code, told = moved(capsys, Home(tmp_path / "old"), "--store", postgres_url)
    assert code != 0
    assert "holds what this home does not know" in told


def test_a_backup_of_a_moved_home_needs_no_server(home, postgres_url, s3_server, monkeypatch, capsys, tmp_path):
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAINSPRING_S3_ENDPOINT", s3_server.endpoint)
    place = s3_server.fresh()
    assert moved(capsys, home, "--store", postgres_url, "--blobs", place, "--tables", place)[0] == 0
    settings = home.root / "settings.toml"
    settings.write_text(settings.read_text() + 'acknowledgement = "durable"\n')
    with closing(open_platform(home)) as platform:
        platform_backup(platform, tmp_path / "backup")
    assert sorted(path.name for path in (tmp_path / "backup").glob("meta*")) == ["meta.db"]
    restore(tmp_path / "backup", tmp_path / "other")
    other = Home(tmp_path / "other")
    found = read_settings(other.root)[0]
    assert (found.store, found.blobs, found.tables, found.acknowledgement) == ("", "", "", "durable")
    assert look(other) == look(home)


def test_an_empty_database_in_the_settings_does_not_hide_a_home(home, postgres_url, monkeypatch, capsys):
    monkeypatch.setenv("MAINSPRING_STORE", postgres_url)
    assert run(["status", "--home", str(home.root)]) != 0
    assert "mainspring move --store" in capsys.readouterr().err


def test_config_shows_the_database_without_its_password(tmp_path, monkeypatch, postgres_url, capsys):
    home = create_home(tmp_path / "home")
    monkeypatch.setenv("MAINSPRING_STORE", postgres_url.replace("postgres:@", "postgres:hush-hush@"))
    assert run(["config", "--home", str(home.root), "--json"]) == 0
    told = capsys.readouterr().out
    assert "postgres:***@" in told
    assert "hush" not in told


def test_a_password_is_refused_in_the_settings_file(tmp_path, capsys):
    home = create_home(tmp_path / "home")
    (home.root / "settings.toml").write_text('store = "postgresql://ann:hush-hush@db/shop"\n')
    assert run(["config", "--home", str(home.root)]) != 0
    told = capsys.readouterr().err
    assert "does not belong into a file" in told
    assert "hush" not in told


def test_up_keeps_the_store_in_the_settings_but_not_its_password(tmp_path, postgres_url, monkeypatch):
    from mainspring.adapters.stores.opening import make_home

    monkeypatch.setenv("MAINSPRING_STORE", "")
    url = postgres_url.replace("postgres:@", "postgres:hush-hush@")
    first = make_home(tmp_path / "first", url)
    assert "hush" not in (first.root / "settings.toml").read_text()
    assert os.environ["MAINSPRING_STORE"] == url
    open_platform(first).close()
    second = make_home(tmp_path / "second", url)
    assert second.file.id == first.file.id
    with closing(PostgresStore(url, SystemClock())) as store, store.read() as connection:
        assert verify_chain(connection).entries == 0


def platform_backup(platform, to):
    from mainspring.adapters.backup import backup

    return backup(platform.home.root, to, platform.store, blobs=platform.blobs, tables=platform.tables)
