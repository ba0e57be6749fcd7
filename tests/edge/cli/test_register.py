"""A file becomes a version, is released, and scores a file, all from the command line."""

import json
import pickle
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.cli.commands import run
from mainspring.testing.models import linear_onnx


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return create_home(tmp_path / "home").root


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "late.onnx"
    path.write_bytes(linear_onnx({"distance": 0.002}, bias=-1.0, texts={"carrier": {"UA": 0.5}}))
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run([*words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_graph_is_registered_released_and_scores_a_file(
    home: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", str(home))
    version = said(capsys, "register", "late", str(graph), "--new", *at)
    assert (version["number"], version["runtime"], version["plain_graph"]) == (1, "onnx", True)
    assert {column["name"]: column["kind"] for column in version["signature"]["inputs"]} == {
        "distance": "float",
        "carrier": "str",
    }
    said(capsys, "check", "late", "1", *at)
    assert said(capsys, "release", "start", "late", "1", "--reason", "the first", *at)["champion"] == 1
    pl.DataFrame({"distance": [500.0, 500.0], "carrier": ["UA", "??"]}).write_csv(tmp_path / "rows.csv")
    scored = said(capsys, "score", "late", str(tmp_path / "rows.csv"), str(tmp_path / "out.parquet"), *at)
    assert (scored["rows"], scored["version"]) == (2, 1)
    answers = pl.read_parquet(tmp_path / "out.parquet")
    assert answers["value"].to_list() == pytest.approx([0.6224593, 0.5], abs=1e-6)
    replayed = said(capsys, "replay", answers["prediction_id"][0], *at)
    assert replayed["equal"] is True
    assert said(capsys, "status", *at)["log"]["batch"] == 2


def test_a_model_is_not_made_by_a_misspelling(home: Path, graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["register", "late", str(graph), "--new", "--home", str(home)]) == 0
    capsys.readouterr()
    assert run(["register", "lat", str(graph), "--home", str(home)]) == 1
    assert capsys.readouterr().err.startswith("error: model: there is no such model (got 'lat'); did you mean ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps([1]), "error: file: is not an ONNX file; a pickled estimator or an archive would run code"),
        (b"PK\x03\x04zip", "error: file: is not an ONNX file; a pickled estimator or an archive would run code"),
        (b"just text", "error: file: cannot be loaded"),
    ],
)
def test_what_is_not_a_graph_is_refused_and_changes_nothing(
    home: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    assert run(["register", "late", str(graph), "--new", "--home", str(home)]) == 0
    (tmp_path / "other.onnx").write_bytes(content)
    capsys.readouterr()
    before = said(capsys, "ledger", "head", "--home", str(home))
    assert run(["register", "late", str(tmp_path / "other.onnx"), "--home", str(home)]) == 1
    assert capsys.readouterr().err.startswith(sentence)
    assert said(capsys, "ledger", "head", "--home", str(home)) == before


def test_a_home_is_backed_up_and_restored(
    home: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["register", "late", str(graph), "--new", "--home", str(home)]) == 0
    capsys.readouterr()
    heads = tmp_path / "heads"
    (home / "settings.toml").write_text(f'ledger_heads = "{heads}"\n')
    said(capsys, "backup", str(tmp_path / "copy"), "--home", str(home))
    assert run(["restore", str(tmp_path / "copy"), "--home", str(tmp_path / "again")]) == 0
    assert f"ledger_heads = {heads} is where the home of the backup writes, too" in capsys.readouterr().out
    for words in (("ledger", "verify"), ("versions", "late")):
        assert said(capsys, *words, "--home", str(tmp_path / "again")) == said(capsys, *words, "--home", str(home))
    assert run(["restore", str(tmp_path / "copy"), "--home", str(home)]) == 1
    assert "error: home: " in capsys.readouterr().err


def test_a_home_without_a_champion_cannot_be_served(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--home", str(home)]) == 1
    assert "has no champion to serve" in capsys.readouterr().err
