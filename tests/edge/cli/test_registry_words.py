"""The verbs of environments and of MLflow folders, given what is wrong: one sentence each, and nothing changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.cli.commands import run as command
from mainspring.testing.models import linear_onnx

HASH = "--hash=sha256:" + "a" * 64
ELSEWHERE = "https://example.org"  # a lock that names an address is refused
LOCKS = {
    "loose": f"numpy>=2 {HASH}",
    "an address": f"numpy @ {ELSEWHERE}/numpy.whl {HASH}",
    "an option": f"-i {ELSEWHERE}",
    "another file": "-r other.txt",
    "no hash": "numpy==2.0",
    "a short hash": "numpy==2.0 --hash=sha256:abc",
    "nothing": "# nothing\n",
    "ours": f"mainspring==0.1.0 {HASH}",
    "twice": f"numpy==2.0 {HASH}\nNumPy==2.1 {HASH}",
    "fine": f"numpy==2.0 {HASH}",
}
MLMODELS = {
    "no flavours": "signature: null\n",
    "no yaml": "flavors: {a: [\n",
    "neither": "flavors:\n  spark:\n    data: x\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose champion of ``late`` is a graph, beside locks and MLflow folders of all kinds."""
    folder = tmp_path_factory.mktemp("words")
    home = create_home(folder / "home").root
    (folder / "late.onnx").write_bytes(linear_onnx({"distance": 0.002}, bias=-1.0))
    assert command(["register", "late", str(folder / "late.onnx"), "--new", "--home", str(home)]) == 0
    assert command(["alias", "set", "late", "champion", "1", "--reason", "first", "--home", str(home)]) == 0
    (folder / "wheels").mkdir()
    for name, text in LOCKS.items():
        (folder / f"{name}.lock").write_text(text)
    (folder / "bytes.lock").write_bytes(b"\xff\xfe\x00")
    for name, text in MLMODELS.items():
        (folder / name).mkdir()
        (folder / name / "MLmodel").write_text(text)
    return home


WRONG: list[tuple[Sequence[str], int, str]] = [
    (("approve", "no.lock", "wheels"), 1, "lock: cannot be read: No such file or directory (got '"),
    (("approve", "wheels", "wheels"), 1, "lock: cannot be read: Is a directory (got '"),
    (("approve", "bytes.lock", "wheels"), 1, "lock: cannot be read: it is not text in UTF-8 (got '"),
    (("approve", "loose.lock", "wheels"), 1, "lock: is not a pinned requirement (got 'numpy>=2 "),
    (("approve", "an address.lock", "wheels"), 1, "lock: is not a pinned requirement (got 'numpy @ https"),
    (("approve", "an option.lock", "wheels"), 1, "lock: is not a pinned requirement (got '-i http"),
    (("approve", "another file.lock", "wheels"), 1, "lock: is not a pinned requirement (got '-r other.txt')"),
    (("approve", "no hash.lock", "wheels"), 1, "lock: has no --hash=sha256: (got 'numpy==2.0')"),
    (("approve", "a short hash.lock", "wheels"), 1, "lock: is not a pinned requirement"),
    (("approve", "nothing.lock", "wheels"), 1, "lock: pins nothing; name a file of hashed requirements"),
    (("approve", "ours.lock", "wheels"), 1, "lock: is lent by the one who serves (got 'mainspring'); take it out"),
    (("approve", "twice.lock", "wheels"), 1, "lock: is pinned twice (got 'numpy'); keep one of them"),
    (("approve", "fine.lock", "nowhere"), 1, "wheels: cannot be read: No such file or directory (got '"),
    (("approve", "fine.lock", "fine.lock"), 1, "wheels: cannot be read: Not a directory (got '"),
    (("approve", "fine.lock", "wheels"), 1, "wheels: has no wheel that the lock allows (got 'numpy')"),
    (("record", "later"), 1, "model: there is no such model (got 'later'); did you mean 'late'?"),
    (("record", "late", "7"), 1, "version: late has no such version (got '7'); it has 1"),
    (("record", "late"), 1, "version: is a graph, which needs no libraries (got 1); keep nothing: it runs wherever"),
    (("build", "ffff"), 1, "environment: there is no such environment (got 'ffff'); see: mainspring environment list"),
    (("build", ""), 1, "environment: there is no such environment (got ''); see: mainspring environment list"),
    (("build",), 2, "lock: is missing; give it a value; see: mainspring environment build --help"),
]


@pytest.mark.parametrize(
    ("words", "code", "said"), WRONG, ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_a_wrong_environment_is_told_in_one_sentence_and_nothing_is_approved(
    home: Path, words: Sequence[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *given = words
    places = [str(home.parent / one) for one in given] if verb == "approve" else given
    reason = ["--reason", "a test"] if verb != "build" else []
    assert command(["environment", verb, *places, *reason, "--home", str(home)]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") <= 1
    assert command(["environment", "list", "--json", "--home", str(home)]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("verb", [("approve", "fine.lock", "wheels"), ("record", "late")])
def test_an_environment_needs_a_reason(home: Path, verb: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["environment", *verb, "--home", str(home)]) == 2
    assert "reason: is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "words", "said"),
    [
        ("nowhere", (), "folder: is not an MLflow model folder (got '"),
        ("wheels", (), "folder: is not an MLflow model folder (got '"),
        ("no flavours", (), "MLmodel: names no flavours; give a folder that mlflow"),
        ("no yaml", (), "MLmodel, line 1: holds YAML that MLflow does not write"),
        ("neither", (), "folder: has neither the flavour onnx nor python_function (got 'spark')"),
        (
            "neither",
            ("--environment", "ffff"),
            "folder: has neither the flavour onnx nor python_function (got 'spark')",
        ),
    ],
)
def test_a_wrong_mlflow_folder_is_told_in_one_sentence_and_makes_no_model(
    home: Path, folder: str, words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["mlflow", "register", "other", str(home.parent / folder), "--new", *words, "--home", str(home)]
    assert command(given) == 1
    assert said in capsys.readouterr().err
    assert command(["versions", "other", "--home", str(home)]) == 1
