"""Applying, publishing, letting go, erasing, backing up, restoring and moving one home, each killed and asked again.

A run names the moments that it passes. Few of them are killed at in every run, on one home after another; all of
them, each on a copy of its own, in the long form of ``make crash``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.traces import traces_of
from mainspring.ledger.queries import verify_chain
from mainspring.log.parts import listed
from mainspring.log.records import Assignment, Outcomes, Request, Scored
from mainspring.log.spool import SpoolWriter

TRACED = """
import sys
import mainspring.kernel.crashpoints as crashpoints
crashpoints.reached = lambda name: print("reached", name, file=sys.stderr)
from mainspring.edges.cli.commands import run
sys.exit(run(sys.argv[1:]))
"""
SETTINGS = 'publish = "delta://"\nkeep_predictions = "30d"\n'
ANN = "ann-7731"
OLD, NEW = 10, 20  # requests of forty days ago, which are kept no longer, and of now
MOST_OFTEN = 3  # a moment that is passed many times is killed at so often


class Place:
    """A home that is down, its project, and where copies of it go."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.home = root / "home"
        self.environment = {**os.environ, **environment}
        self.bucket = ""
        self.database = ""

    def words(self, operation: str, turn: int) -> list[str]:
        """Return a command; a backup that was killed is none, so the next one needs another folder."""
        at = ["--home", str(self.home)]
        return {
            "apply": [*at, "apply", str(self.root / "crash")],
            "ingest": [*at, "loop", "ingest"],
            "publish": [*at, "log", "publish"],
            "retain": [*at, "log", "retain"],
            "erase": [*at, "erase", "--subject", ANN, "--reason", "asked for on paper"],
            "backup": [*at, "backup", str(self.root / f"backup{turn}")],
            "restore": ["restore", str(self.root / "backup2"), "--home", str(self.root / "restored")],
            "move files": ["move", *at, "--blobs", self.bucket, "--tables", self.bucket],
            "move store": ["move", *at, "--store", self.database],
        }[operation]

    def run(self, operation: str, turn: int = 2, point: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mainspring.edges.cli", *self.words(operation, turn)]
        environment = {**self.environment, "MAINSPRING_CRASH_AT": point}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)

    def moments(self, operation: str) -> list[str]:
        """Return the moments that an operation passes; a name that is passed again with its number."""
        command = [sys.executable, "-c", TRACED, *self.words(operation, 2)]
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=180)
        assert ran.returncode == 0, ran.stderr
        said = [line.split() for line in ran.stderr.splitlines()]
        passed = Counter(words[1] for words in said if len(words) == 2 and words[0] == "reached")
        return [f"{name}:{n}" for name, often in passed.items() for n in range(1, min(often, MOST_OFTEN) + 1)]

    def killed_and_asked_again(self, operation: str, point: str) -> None:
        ran = self.run(operation, 1, point)
        assert ran.returncode == -signal.SIGKILL, (operation, point, ran.stderr)
        ran = self.run(operation)
        done = "already" in ran.stderr and operation.startswith("move")
        assert ran.returncode == 0 or done, (operation, point, ran.stderr)


def trade(home: Home, project: str, model: str, version: str, now_us: int) -> None:
    """Leave in the spool what a gateway wrote that has ended: old requests and new ones, two of them by Ann."""
    spool = SpoolWriter(home.spool, "b_1", LocalDisk())
    for number in range(OLD + NEW):
        at_us = now_us - (40 * 86_400_000_000 if number < OLD else 60_000_000) + number
        id, entity = f"b_1-{number:x}", ANN if number >= OLD + NEW - 2 else f"e{number}"
        body = b'{"order_id":"%s","shop":"north","amount":1.0}' % entity.encode()
        spool.append(
            Request(id, project, model, at_us, at_us, body, (entity,), (entity,), (entity,)),
            Assignment(id, model, 1, "", 0, "", (0,), (0.0,), (version,), (1.0,), at_us),
        )
        spool.append(Scored(id, model, version, "served", "ok", 1, (0,), (number / 100,), b"[{}]", 9, at_us))
    spool.append(Outcomes(project, model, ("e12",), (1.0,), (now_us - 10,), (now_us - 5,)))
    spool.close()


@pytest.fixture
def traded(place: Path, prepared: Path, open_home: Callable[..., Any]) -> Place:
    shutil.copytree(prepared / "crash", place / "crash")
    made = Place(place, {})
    with open_home(Home(made.home)) as platform:
        platform.projects.apply(place / "crash", by="ann")
        row = platform.registry.model(None, "late")
        champion = platform.registry.alias(row.id, "champion").id
        now_us = platform.clock.now_us()
    trade(Home(made.home), row.project, row.id, champion, now_us)
    (made.home / "settings.toml").write_text(SETTINGS)
    project = made.root / "crash" / "project.py"
    project.write_text(project.read_text().replace('deadline="2s"', 'deadline="3s"'))
    return made


def all_is_well(home: Home, open_home: Callable[..., Any], done: list[str]) -> None:
    """Look at a home as its next start finds it: what was done is done wholly, and nothing else is missing."""
    kept = NEW if "retain" in done else OLD + NEW
    with open_home(home) as platform:
        row = platform.registry.model(None, "late")
        platform.loop.publish_log()
        asked, scored = platform.log.requests(row.id), platform.log.scored(row.id)
        assert asked["prediction_id"].is_unique().all()
        assert sorted(asked["prediction_id"]) == sorted(scored["prediction_id"])
        assert asked.height == kept
        assert scored["output"].sum() == pytest.approx(sum(n / 100 for n in range(OLD + NEW - kept, OLD + NEW)))
        assert platform.log.counts(row.id)["predictions"] == kept
        assert row.spec is not None
        assert row.spec.deadline_ms == (3_000 if "apply" in done else 2_000)
        published = DeltaTable(str(platform.home.root / "delta" / "requests")).to_pyarrow_table()
        assert sorted(published["prediction_id"].to_pylist()) == sorted(asked["prediction_id"])
        assert asked["body"].to_list().count("") == (2 if "erase" in done else 0)
        with platform.store.read() as connection:
            assert verify_chain(connection, platform.home.ledger_key()).verified
            parts = listed(connection)
        assert all(path.exists() for path in platform.tables.paths(parts))
        assert platform.loop._erasure.pending() == []
    if "erase" in done:
        assert traces_of(home.root, ANN) == []


IN_TURN = [
    ("apply", "project.before_commit"),
    ("ingest", "ingest.before_commit"),
    ("publish", "delta.after_commit:2"),
    ("retain", "rewrite.before_commit"),
    ("erase", "erase.swapped"),
    ("backup", "backup.before_manifest"),
    ("restore", "restore.before_rename"),
]


def test_one_home_is_killed_in_the_middle_of_one_operation_after_the_other(
    traded: Place, open_home: Callable[..., Any]
) -> None:
    done: list[str] = []
    for operation, point in IN_TURN:
        traded.killed_and_asked_again(operation, point)
        done.append(operation)
    all_is_well(Home(traded.home), open_home, done)
    all_is_well(Home(traded.root / "restored"), open_home, done)


ALONE = ["apply", "ingest", "publish", "retain", "erase", "backup", "restore", "move files", "move store"]


@pytest.mark.skipif(os.environ.get("MAINSPRING_CRASH") != "long", reason="make crash runs it")
@pytest.mark.parametrize("operation", ALONE)
def test_an_operation_is_killed_at_each_moment_that_it_passes(
    traded: Place, open_home: Callable[..., Any], request: pytest.FixtureRequest, operation: str
) -> None:
    before = ["ingest"] if operation != "ingest" else []
    if operation == "restore":
        before.append("backup")
    for earlier in before:
        assert traded.run(earlier).returncode == 0
    if operation == "move files":
        server = request.getfixturevalue("s3_server")
        traded.environment |= server.keys | {"MAINSPRING_S3_ENDPOINT": server.endpoint}
    shutil.copytree(traded.home, traded.root / "kept")
    moments = [""]
    while moments:
        shutil.rmtree(traded.home)
        shutil.copytree(traded.root / "kept", traded.home)
        for name in ("backup1", "backup2", "restored") if operation != "restore" else ("restored",):
            shutil.rmtree(traded.root / name, ignore_errors=True)
        if operation == "move files":
            traded.bucket = request.getfixturevalue("s3_server").fresh()
        if operation == "move store":
            traded.database = request.getfixturevalue("postgres_server").fresh()
        point = moments.pop()
        if not point:
            moments = traded.moments(operation)
            print(operation, len(moments), moments)
            continue
        traded.killed_and_asked_again(operation, point)
        made = traded.root / "restored" if operation == "restore" else traded.home
        with pytest.MonkeyPatch.context() as patch:
            for name, value in traded.environment.items():
                patch.setenv(name, value)
            all_is_well(Home(made), open_home, [*before, operation])
