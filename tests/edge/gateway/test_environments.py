"""Versions in environments of their own: approved, built without a network, and used by a real model process."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from mainspring.adapters.environments.record import RecordOrder
from mainspring.adapters.environments.record import run as record
from mainspring.adapters.home import create_home
from mainspring.adapters.runtimes.once import running
from mainspring.edges.cli.commands import run as command
from mainspring.kernel.errors import Refused, Unavailable
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import Platform, open_platform
from mainspring.registry.version import Environment, Version
from mainspring.serving.routing import version_route

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


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert command([*words]) == 1
    return capsys.readouterr().err


def test_wheels_that_are_missing_or_other_than_the_lock_says_are_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = wheel(tmp_path, "other", "1.0", {"other.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"other==1.0 --hash=sha256:{'0' * 64}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    assert "has no wheel that the lock allows (got 'other')" in said(capsys, *words)
    lock.write_text(f"other==2.0 --hash=sha256:{digest}")
    assert "could not be built: " in said(capsys, *words)


def test_a_worker_killed_before_its_environment_is_in_place_leaves_none_and_another_builds_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = wheel(tmp_path, "small", "1.0", {"small.py": "x = 1\n"})
    lock = tmp_path / "lock.txt"
    lock.write_text(f"small==1.0 --hash=sha256:{digest}")
    words = ["environment", "approve", str(lock), str(tmp_path), "--reason", "test", "--home", str(home)]
    program = [sys.executable, "-m", "mainspring.edges.cli", *words]
    killed = subprocess.run(program, env={"MAINSPRING_CRASH_AT": "environment.before_rename"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    found = {one["packages"].get("small"): one for one in listed(home, capsys)}
    assert found["1.0"]["built"] is False
    assert command(["environment", "build", found["1.0"]["lock"][:12], "--home", str(home)]) == 0
    assert {one["built"] for one in listed(home, capsys) if "small" in one["packages"]} == {True}


def listed(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert command(["environment", "list", "--json", "--home", str(home)]) == 0
    return json.loads(capsys.readouterr().out)
