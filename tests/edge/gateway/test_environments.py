"""Versions in environments of their own: approved, built without a network, and used by a real model process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import polars as pl
import pytest

from mainspring.adapters.environments.record import RecordOrder
from mainspring.adapters.environments.record import run as record
from mainspring.adapters.home import create_home
from mainspring.adapters.jobs.understudy import WorkerUnderstudy
from mainspring.adapters.runtimes.once import running
from mainspring.edges.cli.commands import run as command
from mainspring.kernel.errors import Conflict, Refused, Unavailable
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import Platform, open_platform
from mainspring.registry.version import Environment, Version
from mainspring.serving.routing import version_route
from mainspring.testing.models import linear_onnx

MINI = {
    "mini_model/__init__.py": (
        "class Half:\n    def predict(self, frame):\n        import importlib.util, mini_model\n"
        "        alone = importlib.util.find_spec('sklearn') is None\n"
        "        return [mini_model.SCALE * x if alone else -1.0 for x in frame['distance']]\n"
    ),
}


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> str:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    body = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in body.items():
            archive.writestr(inside, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{inside},,\n" for inside in (*body, f"{info}/RECORD")))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a folder with wheels of the NumPy and pandas that are installed here, and the lines that pin them."""
    folder = tmp_path_factory.mktemp("wheels")
    made = record(msgspec.to_builtins(RecordOrder(("numpy", "pandas"))), folder)
    return folder, made["lock"].splitlines()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, libraries: tuple[Path, list[str]]) -> Path:
    """Return a home where an environment with ``mini_model`` 2.0, NumPy and pandas, and nothing else, is approved."""
    folder, pins = libraries
    home = create_home(tmp_path_factory.mktemp("site") / "home").root
    digest = wheel(
        folder,
        "mini_model",
        "2.0",
        {**MINI, "mini_model/__init__.py": "SCALE = 2.0\n" + MINI["mini_model/__init__.py"]},
    )
    lock = folder / "lock.txt"
    lock.write_text("\n".join([*pins, f"mini-model==2.0 --hash=sha256:{digest}"]))
    words = ["environment", "approve", str(lock), str(folder), "--reason", "for the tests", "--home", str(home)]
    assert command(words) == 0
    return home


@pytest.fixture
def platform(home: Path) -> Iterator[Platform]:
    with closing(open_platform(create_home(home))) as opened:
        yield opened


def test_an_approved_environment_is_built_and_holds_what_its_lock_says(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert command(["environment", "list", "--json", "--home", str(home)]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["built"] is True
    assert shown["packages"]["mini-model"] == "2.0"
    python = home / "environments" / shown["lock"] / "bin" / "python"
    code = "import mini_model, numpy, pandas, importlib.util as u; print(mini_model.SCALE, u.find_spec('polars'))"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout == "2.0 None\n"


def registered(platform: Platform, environment: Environment, pickled: bytes) -> Version:
    columns = (Column("distance", "float"),)
    version = Version(
        id="", model="", number=0, runtime="python", files={"model.pkl": platform.blobs.put(pickled)},
        signature=Signature("regression", columns, columns), environment=environment,
    )  # fmt: skip
    with platform.store.begin("tests") as tx:
        model = platform.projects.undeclared(tx, "late")
        return platform.registry.register(tx, msgspec.structs.replace(version, model=model))


def mini(version: str) -> Environment:
    return Environment(f"3.{sys.version_info.minor}.0", "linux-x86_64", {"mini_model": version})


def pickled_half() -> bytes:
    """Return the pickle of an object whose class is only in the environment."""
    return b"\x80\x04\x8c\nmini_model\x8c\x04Half\x93)\x81."


def test_a_version_runs_in_the_environment_that_has_its_libraries_and_sees_none_of_ours(platform: Platform) -> None:
    version = registered(platform, mini("2.0"), pickled_half())
    lock = platform.registry.environments.lock_of(version)
    assert lock == platform.registry.environments.all()[0].lock
    route = version_route(version, lock or "")
    with running(route, platform.home.blobs, platform.home.environments) as run:
        assert run([(4.0,), (0.5,)]) == [8.0, 1.0]
    assert platform.replay._recompute(route, [(3.0,)]) == [6.0]


def test_a_version_whose_libraries_nobody_approved_is_refused(platform: Platform) -> None:
    with pytest.raises(Refused, match=r"mini_model 3\.0 is not installed; approve a lock that holds it"):
        registered(platform, mini("3.0"), pickled_half())


def test_a_version_that_has_the_libraries_here_runs_here(platform: Platform) -> None:
    from importlib.metadata import version

    here = Environment(f"3.{sys.version_info.minor}.0", "", {"numpy": version("numpy")})
    assert platform.registry.environments.lock_of(registered(platform, here, cloudpickle.dumps(1))) == ""


def test_an_environment_that_is_away_is_named_with_what_brings_it_back(platform: Platform) -> None:
    version = registered(platform, mini("2.0"), pickled_half())
    route = version_route(version, "f" * 64)
    with (
        pytest.raises(Unavailable, match="build it with: mainspring environment build fff"),
        running(route, platform.home.blobs, platform.home.environments),
    ):
        pass


PROJECT = """
import mainspring as ms

trips = ms.Source("trips", "trips.csv", time="start", known_at="end", key="trip")
slow = ms.Model(
    "slow", entity="trip", inputs=["distance"], predict_at="start", task="regression",
    outcome=ms.Outcome("minutes", source=trips, matures_after="1h", affected_by_answer=False),
    checks=[ms.checks.not_worse_than_champion("squared_error", margin=1.0)], release=ms.Immediate(),
)

@slow.trainer
def train(frame, params):
    from sklearn.dummy import DummyRegressor

    return DummyRegressor().fit(frame[["distance"]], frame["label"])
"""


def test_a_champion_in_an_environment_of_its_own_is_compared_with_by_its_own_process(
    platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    now = datetime.now(UTC)
    lines = ["trip,distance,minutes,start,end"]
    for trip in range(400):
        start = now - timedelta(hours=2 * (401 - trip))
        lines.append(f"t{trip},{trip % 9}.5,{2 * (trip % 9) + 1},{start.isoformat()},{start.isoformat()}")
    (tmp_path / "trips.csv").write_text("\n".join(lines) + "\n")
    platform.projects.apply(tmp_path, by="ann")
    model = platform.registry.model(None, "slow")
    platform.features.ingest(model.project, platform.clock.now_us())
    assert model.spec is not None
    version = Version(
        id="", model=model.id, number=0, runtime="python", files={"model.pkl": platform.blobs.put(pickled_half())},
        signature=Signature("regression", (Column("distance", "float"),), model.spec.columns), environment=mini("2.0"),
    )  # fmt: skip
    with platform.store.begin("ann") as tx:
        champion = platform.registry.register(tx, version, "made in the lab")
        platform.registry.point(tx, model.id, "champion", champion.id, "the first one")

    run = platform.training.train(model.id, by="ann")
    assert run.numbers["champion"] == {"number": champion.number}
    held_out = platform.registry.version(str(run.version)).lineage.snapshots["held_out"]
    rows = pl.read_parquet(platform.blobs.get(held_out))
    assert rows["champion_score"].to_list() == [2 * one for one in rows["input.distance"]]
    said = {one.name: one for one in platform.checks.run(str(run.version), by="ann")}
    assert said["not_worse_than_champion:squared_error"].status == "failed"
    assert said["not_worse_than_champion:squared_error"].numbers["champion"] == 0.0

    (origin,) = platform.backtests.run(model.id, origins=1, by="ann").origins
    assert (origin.champion_loss, origin.reason) == (0.0, "")
    route = version_route(champion, platform.registry.environments.lock_of(champion) or "")
    understudy = WorkerUnderstudy(platform.jobs, platform.folders)
    assert understudy.answer(route, [(1.0,), (2.5,)]) == [2.0, 5.0]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert command([*words]) == 1
    return capsys.readouterr().err


def test_wheels_that_are_missing_or_other_than_the_lock_says_are_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(tmp_path, "other", "1.0", {"other.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"other==1.0 --hash=sha256:{'0' * 64}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    assert "has no wheel that the lock allows (got 'other')" in said(capsys, *words)


@pytest.mark.parametrize(
    "moment", ["worker.environment.before_install", "environment.before_rename", "environment.before_commit"]
)
def test_whoever_is_killed_while_it_is_built_leaves_nothing_approved_and_may_be_asked_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    name = moment.rpartition("_")[2]
    digest = wheel(tmp_path, name, "1.0", {f"{name}.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"{name}==1.0 --hash=sha256:{digest}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    program = [sys.executable, "-m", "mainspring.edges.cli", *words]
    armed = {"MAINSPRING_CRASH_AT": moment, "MAINSPRING_CRASH_RECORD": os.environ["MAINSPRING_CRASH_RECORD"]}
    killed = subprocess.run(program, env=armed, capture_output=True, text=True, check=False)
    if moment.startswith("worker."):  # its worker was killed, and it says so
        assert killed.returncode == 1
        assert "was ended by SIGKILL" in killed.stderr
    else:
        assert killed.returncode == -signal.SIGKILL
    assert not [one for one in listed(home, capsys) if name in one["packages"]]
    assert command(words) == 0
    assert [one["built"] for one in listed(home, capsys) if name in one["packages"]] == [True]
    assert "is approved already" in said(capsys, *words)


def test_an_approved_environment_that_is_away_is_built_again_when_it_is_approved_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = wheel(tmp_path, "away", "1.0", {"away.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"away==1.0 --hash=sha256:{digest}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    assert command(words) == 0
    (built,) = [one for one in listed(home, capsys) if "away" in one["packages"]]
    shutil.rmtree(home / "environments" / built["lock"])
    assert command(words) == 0
    assert [one for one in listed(home, capsys) if "away" in one["packages"]] == [built]


def test_an_environment_that_cannot_be_built_is_not_approved(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = wheel(tmp_path, "misnamed", "1.0", {"misnamed.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"misnamed==2.0 --hash=sha256:{digest}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    assert "could not be built: " in said(capsys, *words)
    assert not [one for one in listed(home, capsys) if "misnamed" in one["packages"]]


RECORDED = """
import sys, cloudpickle, msgspec
from mainspring.adapters.home import Home
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import open_platform
from mainspring.registry.version import Environment, Version
from pathlib import Path
columns = (Column("distance", "float"),)
made_with = Environment(f"3.{sys.version_info.minor}.0", "", {"mini-model": "3.0"})
platform = open_platform(Home(Path(sys.argv[1])))
pickled = b"\\x80\\x04\\x8c\\nmini_model\\x8c\\x04Half\\x93)\\x81."
version = Version(id="", model="", number=0, runtime="python", files={"model.pkl": platform.blobs.put(pickled)},
                  signature=Signature("regression", columns, columns), environment=made_with)
with platform.store.begin("tests") as tx:
    model = platform.projects.undeclared(tx, "kept")
    made = platform.registry.register(tx, msgspec.structs.replace(version, model=model), "before the upgrade")
    platform.registry.point(tx, model, "champion", made.id, "the first one")
platform.close()
"""


def test_the_libraries_of_a_version_are_kept_before_an_upgrade_and_it_answers_the_same_after_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, scale in (("3.0", "3.0"), ("4.0", "-1.0")):
        code = {"mini_model/__init__.py": f"SCALE = {scale}\n" + MINI["mini_model/__init__.py"]}
        (tmp_path / number).mkdir()
        wheel(tmp_path / number, "mini_model", number, code)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target"]
        package = str(tmp_path / number / f"mini_model-{number}-py3-none-any.whl")
        subprocess.run([*pip, str(tmp_path / f"here-{number}"), package], check=True, capture_output=True)

    def here(number: str, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(tmp_path / f"here-{number}")}
        return subprocess.run([sys.executable, *words], env=environ, capture_output=True, text=True, check=False)

    cli = ["-m", "mainspring.edges.cli", "environment", "record", "kept", "--reason", "it stays", "--home", str(home)]
    done = here("3.0", "-c", RECORDED, str(home))
    assert done.returncode == 0, done.stderr
    refused = here("4.0", *cli)
    assert "was made with other libraries than are installed here: mini-model 3.0 was used, 4.0" in refused.stderr
    done = here("3.0", *cli)
    assert done.returncode == 0, done.stderr
    assert {"mini-model", "numpy", "pandas"} <= set(next(iter(listed(home, capsys)))["packages"])

    rows = tmp_path / "rows.csv"
    rows.write_text("distance\n4.0\n")
    out = str(tmp_path / "out.parquet")
    done = here("4.0", "-m", "mainspring.edges.cli", "score", "kept", str(rows), out, "--home", str(home))
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(out)["value"].to_list() == [12.0]


def test_a_graph_and_a_version_that_states_its_environment_have_nothing_to_record(
    home: Path, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = platform.blobs.put(linear_onnx({"distance": 0.002}, bias=-1.0))
    columns = (Column("distance", "float"),)
    version = Version(
        id="", model="", number=0, runtime="onnx", files={"model.onnx": graph},
        signature=Signature("binary", columns, columns), environment=mini("2.0"),
    )  # fmt: skip
    with pytest.raises(Refused, match="is a graph, which needs no libraries"):
        platform.environments.record(version)
    lock = platform.registry.environments.all()[0].lock
    stated = msgspec.structs.replace(mini("2.0"), lock=lock)
    with pytest.raises(Conflict, match="states its environment already"):
        platform.environments.record(msgspec.structs.replace(version, runtime="python", environment=stated))


def listed(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert command(["environment", "list", "--json", "--home", str(home)]) == 0
    return json.loads(capsys.readouterr().out)
