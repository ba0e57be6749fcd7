"""MLflow's own client resolves our aliases, and loads what they point at, over control's API."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import mainspring as ms
from mainspring.adapters.home import Home
from mainspring.edges.api.server import ControlServer
from mainspring.edges.cli.commands import run as command
from mainspring.kernel.errors import InvalidInput
from mainspring.platform import Platform, open_platform
from mainspring.testing.models import linear_onnx

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow brings it")

CODE = """
import json, sys, mlflow, pandas as pd
rows = pd.DataFrame(json.loads(sys.argv[1]))
found = {}
for uri in sys.argv[2:]:
    try:
        found[uri] = mlflow.pyfunc.load_model(uri).predict(rows).tolist()
    except mlflow.exceptions.MlflowException as error:
        found[uri] = error.error_code
client = mlflow.MlflowClient()
found["aliases"] = client.get_registered_model("late").aliases
found["listed"] = [one.name for one in client.search_registered_models()]
print(json.dumps(found))
"""
PINS = [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "pandas", "scikit-learn")]  # else it looks for long
ROWS = {"distance": [10.0, 70.0], "hour": [3.0, 20.0]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LogisticRegression]:
    """Return a home with a champion, and the estimator that it was made of."""
    home = tmp_path_factory.mktemp("site") / "home"
    sample = pd.DataFrame({"distance": [float(n) for n in range(100)], "hour": [float(n % 24) for n in range(100)]})
    estimator = LogisticRegression(max_iter=1_000).fit(sample, sample["distance"] > 50)
    ms.register(estimator, sample, name="late", home=home, by="ada")
    return home, estimator


@pytest.fixture(scope="module")
def platform(made: tuple[Path, LogisticRegression]) -> Iterator[Platform]:
    opened = open_platform(Home(made[0]))
    yield opened
    opened.close()


def test_mlflow_s_client_loads_what_our_aliases_point_at(
    made: tuple[Path, LogisticRegression], platform: Platform, tmp_path: Path
) -> None:
    with ControlServer(platform) as control:
        environ = {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{control.address.port}",
            "MLFLOW_TRACKING_TOKEN": control.address.token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
        }
        asked = ["models:/late@champion", "models:/late/1", "models:/late@nobody", "models:/later@champion"]
        words = [sys.executable, "-W", "ignore", "-c", CODE, json.dumps(ROWS), *asked]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = made[1].predict_proba(pd.DataFrame(ROWS))[:, 1]
    assert found["models:/late@champion"] == pytest.approx(expected, abs=1e-6)
    assert found["models:/late/1"] == found["models:/late@champion"]
    assert found["models:/late@nobody"] == found["models:/later@champion"] == "RESOURCE_DOES_NOT_EXIST"
    assert (found["aliases"], found["listed"]) == ({"champion": "1", "anchor": "1"}, ["late"])


def saved(flavor: Any, model: Any, folder: Path, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flavor.save_model(model, folder, pip_requirements=PINS, **options)
    return folder


def test_a_version_of_several_classes_is_a_frame_with_a_column_a_class_to_mlflow(tmp_path: Path) -> None:
    import msgspec

    from mainspring.edges.mlflow import VERSION_FILE, Loaded
    from mainspring.kernel.schema import Column, Signature
    from mainspring.serving.routing import Package, VersionRoute
    from mainspring.training.package import pack_estimator

    rows = pd.DataFrame({"distance": np.linspace(0, 90, 30)})
    fitted = LogisticRegression().fit(rows, np.digitize(rows["distance"], [30, 60]))
    signature = Signature("multiclass", (Column("distance", "float"),), classes=(0, 1, 2))
    packed = pack_estimator(fitted, signature, pl.from_pandas(rows), tmp_path)
    files = {name: Path(path).name for name, path in packed.files.items()}
    version = VersionRoute("ver_1", 1, Package({name: name for name in files}, "onnx"), signature)
    (tmp_path / VERSION_FILE).write_bytes(msgspec.json.encode(version))
    said = Loaded(version, tmp_path).predict(rows.head(2))
    assert list(said.columns) == ["0", "1", "2"]
    np.testing.assert_allclose(said.to_numpy(), fitted.predict_proba(rows.head(2)), atol=1e-6)


def test_a_folder_with_the_onnx_flavour_is_registered_without_mlflow(
    tmp_path: Path,
) -> None:
    import onnx

    graph = onnx.load_model_from_string(linear_onnx({"distance": 0.002}, bias=-1.0))
    folder = saved(__import__("mlflow.onnx").onnx, graph, tmp_path / "saved")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "mlflow.py").write_text("raise SystemExit('MLflow was imported')\n")
    (blocked / "yaml.py").write_text("raise SystemExit('a YAML library was imported')\n")
    home = tmp_path / "home"
    from mainspring.adapters.home import create_home

    create_home(home)
    words = ["mlflow", "register", "late", str(folder), "--new", "--json", "--home", str(home)]
    program = [sys.executable, "-m", "mainspring.edges.cli", *words]
    done = subprocess.run(program, env={"PYTHONPATH": str(blocked)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["runtime"], shown["plain_graph"]) == ("onnx", True)
    assert [column["name"] for column in shown["signature"]["inputs"]] == ["distance"]


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory, made: tuple[Path, LogisticRegression]) -> Path:
    from mlflow.models import infer_signature

    rows = pd.DataFrame(ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows, made[1].predict_proba(rows))
    options = {"signature": signature, "pyfunc_predict_fn": "predict_proba"}
    return saved(__import__("mlflow.sklearn").sklearn, made[1], tmp_path_factory.mktemp("fn") / "saved", **options)


def test_any_other_folder_runs_in_a_model_process_with_mlflow_s_own_loader(
    function: Path, made: tuple[Path, LogisticRegression], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mainspring.adapters.home import create_home
    from mainspring.adapters.runtimes.once import running
    from mainspring.serving.routing import version_route

    home = create_home(tmp_path / "home").root
    assert command(["mlflow", "register", "late", str(function), "--new", "--json", "--home", str(home)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["runtime"] == "mlflow"
    assert {column["name"]: column["kind"] for column in shown["signature"]["inputs"]} == {
        "distance": "float",
        "hour": "float",
    }
    assert "scikit-learn" in shown["environment"]["packages"]
    opened = open_platform(Home(home))
    try:
        stored = opened.registry.version(shown["id"])
        route = version_route(stored, opened.registry.environments.lock_of(stored) or "")
        with running(route, opened.home.blobs, opened.home.environments) as run:
            answers = run([(10.0, 3.0), (70.0, 20.0)])
    finally:
        opened.close()
    assert answers == pytest.approx(made[1].predict_proba(pd.DataFrame(ROWS))[:, 1])


def test_a_function_of_several_columns_answers_the_classes_that_were_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.models import infer_signature

    from mainspring.adapters.home import create_home
    from mainspring.adapters.runtimes.once import running
    from mainspring.serving.routing import version_route

    rows = pd.DataFrame({"distance": np.linspace(0, 90, 30), "hour": np.tile([3.0, 20.0, 9.0], 10)})
    fitted = LogisticRegression().fit(rows, np.digitize(rows["distance"], [30, 60]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows, fitted.predict_proba(rows))
    options = {"signature": signature, "pyfunc_predict_fn": "predict_proba"}
    folder = saved(__import__("mlflow.sklearn").sklearn, fitted, tmp_path / "saved", **options)
    home = create_home(tmp_path / "home").root
    words = ["mlflow", "register", "far", str(folder), "--new", "--json", "--home", str(home), "--task", "multiclass"]
    assert command(words) == 1
    assert "must be said, for no file says them" in capsys.readouterr().err
    assert command([*words, "--classes", "near,some,far"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["runtime"], shown["signature"]["classes"]) == ("mlflow", ["near", "some", "far"])
    opened = open_platform(Home(home))
    try:
        stored = opened.registry.version(shown["id"])
        route = version_route(stored, opened.registry.environments.lock_of(stored) or "")
        with running(route, opened.home.blobs, opened.home.environments) as run:
            (answer,) = run([(10.0, 3.0)])
    finally:
        opened.close()
    expected = fitted.predict_proba(pd.DataFrame({"distance": [10.0], "hour": [3.0]}))[0]
    assert answer.numbers == pytest.approx(tuple(expected))


def test_a_function_that_answers_more_numbers_than_are_served_is_refused_before_it_is_a_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.models import infer_signature

    from mainspring.adapters.home import create_home

    rows = pd.DataFrame({"distance": [float(n) for n in range(60)]})
    estimator = LogisticRegression(max_iter=1_000).fit(rows, rows["distance"] // 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"signature": infer_signature(rows), "pyfunc_predict_fn": "predict_proba"}
        folder = saved(__import__("mlflow.sklearn").sklearn, estimator, tmp_path / "saved", **options)
    home = create_home(tmp_path / "home").root
    assert command(["mlflow", "register", "late", str(folder), "--new", "--home", str(home)]) == 1
    assert "version: answers 3 numbers a row, and one is served" in capsys.readouterr().err
    assert command(["versions", "late", "--home", str(home)]) == 1
    assert "late" in capsys.readouterr().err


def test_a_folder_with_a_link_out_of_it_is_refused(function: Path, tmp_path: Path) -> None:
    import shutil

    from mainspring.adapters.mlflow_folder import read_folder

    copied = tmp_path / "copied"
    shutil.copytree(function, copied)
    assert read_folder(copied).names == read_folder(function).names
    (copied / "secret").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="is of a kind that is not taken"):
        read_folder(copied)
