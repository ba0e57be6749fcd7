from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.kernel.errors import WorkerFailed
from mainspring.ledger.queries import verify_chain
from mainspring.platform import open_platform

START = datetime(2024, 1, 1, tzinfo=UTC)
PROJECT = """
import mainspring as ms

orders = ms.Source("orders", "orders.parquet", time="placed", known_at="paid_at", key="order_id")
slow = ms.Model(
    "slow", entity="order_id", predict_at="placed", inputs=["amount"], task="binary", release=ms.Immediate(),
    outcome=ms.Outcome("late", source=orders, matures_after="2d", affected_by_answer=False),
)

@slow.rule
def by_amount(frame, params):
    return frame["amount"] / 100
"""
TRAIN = """
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from mainspring.adapters.home import Home, HomeLock
from mainspring.platform import open_platform

home = Home(Path(sys.argv[1]))
with HomeLock(home.root, "a test"), closing(open_platform(home)) as platform:
    model = platform.registry.model(None, "slow")
    platform.features.ingest(model.project, platform.clock.now_us())
    platform.training.train(model.id, by="ann")
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    project = tmp_path / "project"
    project.mkdir()
    (project / "project.py").write_text(PROJECT)
    placed = [START + timedelta(hours=n) for n in range(200)]
    columns = {
        "order_id": [f"o{n}" for n in range(200)],
        "amount": [float(n * 37 % 100) for n in range(200)],
        "late": [n * 37 % 100 > 50 for n in range(200)],
        "placed": placed,
        "paid_at": [moment + timedelta(hours=2) for moment in placed],
    }
    times = {"placed": pl.Datetime("us", "UTC"), "paid_at": pl.Datetime("us", "UTC")}
    pl.DataFrame(columns, schema_overrides=times).write_parquet(project / "orders.parquet")
    made = create_home(tmp_path / "home", simulated_from=START + timedelta(days=30))
    with closing(open_platform(made)) as platform:
        platform.projects.apply(project, by="ann")
    return made


def train(home: Home, crash_at: str = "") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "MAINSPRING_CRASH_AT": crash_at}
    command = [sys.executable, "-c", TRAIN, str(home.root)]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("moment", ["training.after_blobs", "training.before_commit", "store.after_commit"])
def test_control_killed_while_taking_a_version_leaves_one_or_none_and_can_go_on(home: Home, moment: str) -> None:
    assert train(home, moment).returncode == -signal.SIGKILL
    with closing(open_platform(home)) as platform:
        model = platform.registry.model(None, "slow")
        left = platform.registry.versions(model.id)
        assert len(left) == (1 if moment == "store.after_commit" else 0)
        assert len(platform.training.runs(model.id)) == len(left)

    done = train(home)

    assert done.returncode == 0, done.stderr.decode()
    with HomeLock(home.root, "a test"), closing(open_platform(home)) as platform:
        assert [version.number for version in platform.registry.versions(model.id)] == [1]
        assert [run.status for run in platform.training.runs(model.id)] == ["done"]
        with platform.store.read() as connection:
            assert verify_chain(connection, home.ledger_key()).verified
    if moment != "store.after_commit":  # then the second run needed no worker, and the next one sweeps
        assert not any(home.staging.iterdir())


@pytest.mark.parametrize("moment", ["worker.before_result", "worker.after_result"])
def test_a_killed_worker_harms_nothing(home: Home, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_platform(home)) as platform:
        model = platform.registry.model(None, "slow")
        platform.features.ingest(model.project, platform.clock.now_us())
        monkeypatch.setenv("MAINSPRING_CRASH_AT", moment)
        if moment == "worker.before_result":
            with pytest.raises(WorkerFailed, match="was ended by SIGKILL"):
                platform.training.train(model.id, by="ann")
            assert platform.registry.versions(model.id) == []
        else:
            assert platform.training.train(model.id, by="ann").number == 1
        monkeypatch.delenv("MAINSPRING_CRASH_AT")

        assert platform.training.train(model.id, by="ann").number == 1
        assert len(platform.registry.versions(model.id)) == 1


def test_a_worker_ends_when_control_is_killed(tmp_path: Path, home: Home) -> None:
    pid = tmp_path / "pid"
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "project.py").write_text(
        f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    script = (
        "import sys; from pathlib import Path; from mainspring.adapters.jobs.local import LocalJobs;"
        "from mainspring.training.ports import Job;"
        f"LocalJobs(Path({str(tmp_path / 'staging')!r})).run("
        f"Job('apply', {{'root': {str(slow)!r}, 'file': 'project.py', 'project': 'x'}}))"
    )
    control = subprocess.Popen([sys.executable, "-c", script])
    try:
        _wait(lambda: pid.exists() and pid.read_text() != "")
    finally:
        control.kill()
        control.wait()

    _wait(lambda: not _lives(int(pid.read_text())))


def _wait(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
