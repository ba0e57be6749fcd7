"""The command line as a clumsy user types it: one sentence, an exit code, never a traceback, and nothing changes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import create_home
from mainspring.testing.models import linear_onnx

from .conftest import Answer, command, commands

SAID: dict[str, tuple[int, str]] = {
    "misspelt command": (2, "there is no command 'aply'; did you mean 'apply'?"),
    "misspelt second word": (2, "there is no command 'strat'; did you mean 'start'?"),
    "missing argument": (2, "model: is missing; give it a value; see: mainspring champion --help"),
    "missing option": (2, "reason: is missing; give it with --reason; see: mainspring release start --help"),
    "blank reason": (2, "reason: is empty; say why in a few words; the ledger keeps it"),
    "unknown option": (2, "no such option '--aat'. Did you mean '--at'?"),
    "one word too many": (2, "got unexpected extra argument (extra); see: mainspring apply --help"),
    "not a number": (2, "invalid value for '--limit': 'x' is not a valid integer; see: mainspring ledger list --help"),
    "too small": (2, "limit: must be a whole number >= 1 (got 0); see: mainspring ledger list --help"),
    "port out of range": (2, "invalid value for '--port': 99999 is not in the range 0<=x<=65535"),
    "port is a word": (2, "invalid value for '--port': 'x' is not a valid whole number"),
    "unknown choice": (2, "invalid value for '--kind': 'tree' is not one of 'binary', 'regression'"),
    "unknown model": (1, "model: there is no such model (got 'slaw'); did you mean 'slow'?"),
    "unknown version": (1, "version: slow has no such version (got '9'); it has 1, 2"),
    "time without a zone": (1, "at: a time needs a zone (got '2026-01-01T00:00'); append Z for UTC"),
    "no time": (1, "at: is not an ISO 8601 time (got 'yesterday'); write it like 2013-05-03T12:00Z"),
    "unknown recipe": (1, "recipe: there is no such recipe (got 'raisez'); did you mean 'raises'?"),
    "unknown prediction": (1, "prediction: no such prediction is in the log (got 'nope')"),
    "alias that stands there": (1, "alias: stands at version 1 already (got 'champion')"),
    "a policy that cannot decide in time": (1, "release: the policy cannot decide by its deadline: "),
    "scoring no file": (1, "file: cannot be read: No such file or directory"),
    "scoring what is no Parquet": (1, "file: cannot be read: parquet: "),
    "scoring no rows": (1, "file: holds no rows (got '"),
    "scoring a wrong column": (1, "price: is not in the file; did you mean 'prize'?"),
    "scoring a wrong value": (1, "[0].price: must be a number or null (got 'dear')"),
    "scoring into nowhere": (1, "out: cannot be written (got '"),
    "scoring the future": (1, "at: lies in the future (got '2113-01-01T00:00:00Z'); state a time that has come"),
    "a graph that is none": (1, "file: cannot be loaded: "),
    "a graph of other inputs": (1, "file: asks for colour, which the model does not have; the model has: place, price"),
    "a new model of a file that is no graph": (1, "file: cannot be loaded: "),
    "a pickle": (1, "file: is not an ONNX file; a pickled estimator or an archive would run code when it is loaded"),
    "backup into itself": (1, "to: lies in the home itself (got '"),
    "backup below a file": (1, "to: cannot be made: Not a directory (got '"),
    "restore of nothing": (1, "backup: is no whole backup: its manifest is missing (got '"),
    "init over other things": (1, "path: is not an empty folder (got '"),
    "init below a file": (1, "path: cannot be made: Not a directory (got '"),
    "missing home": (1, "home: there is no home here (got '"),
    "home is a file": (1, "home: there is no home here (got '"),
    "home of a newer version": (1, "home: the home was made by a newer version (format 99, this one knows 1) (got '"),
    "up on a newer version": (1, "home: the home was made by a newer version (format 99, this one knows 1) (got '"),
    "damaged home": (1, "home: home.json cannot be read (got '"),
    "home without its store": (1, "home: the metadata store is gone (got '"),
    "up on a file": (1, "home: is not a folder (got '"),
    "port taken": (1, "port: is taken by another program (got "),
    "gateway's port taken": (1, "port: the port cannot be used (got "),
    "settings that are no TOML": (
        1,
        "settings.toml: is not TOML in UTF-8: Invalid value (at line 1, column 19) (got '",
    ),
    "settings that are no text": (1, "settings.toml: is not TOML in UTF-8: 'utf-8' codec can't decode byte 0xff"),
    "settings that are a folder": (1, "settings.toml: cannot be opened: Is a directory (got '"),
    "misspelt setting": (1, "settings.toml: is not a setting (got 'acknowledgment'); did you mean 'acknowledgement'?"),
    "mistyped setting": (1, "read_sources_every: must be text (got 5); change it in "),
    "unknown word in a setting": (
        1,
        "acknowledgement: is not one of the known words (got 'durabel'); did you mean 'du",
    ),
    "wrong setting of the environment": (
        1,
        "webhook_allow_plain: must be true or false (got 'perhaps'); change it in ",
    ),
    "up with wrong settings": (1, "settings.toml: is not TOML in UTF-8"),
    "what nobody foresaw": (1, "mainspring failed: "),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands below are wrong about."""
    root = tmp_path_factory.mktemp("commands")
    (root / "file").write_text("x")
    (root / "full").mkdir()
    (root / "full" / "letter.txt").write_text("dear all")
    for name, text in {
        "rows.csv": "trip,place,price\nt1,a,1.5\n", "none.csv": "trip,place,price\n", "no.parquet": "PAR",
        "column.csv": "trip,place,prize\nt1,a,1\n", "value.csv": "trip,place,price\nt1,a,dear\n",
    }.items():  # fmt: skip
        (root / name).write_text(text)
    (root / "other.onnx").write_bytes(linear_onnx({"colour": 1.0}))
    (root / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    for name, body in {"newer": b'{"id":"h","format":99,"clock":"system","created_us":1}', "damaged": b"{"}.items():
        (root / name).mkdir()
        (root / name / "home.json").write_bytes(body)
    create_home(root / "lost")
    (root / "lost" / "blobs" / "ab").mkdir()
    for name, settings in {
        "no_toml": b"acknowledgement = \n", "no_text": b"\xff\xfe", "misspelt": b'acknowledgment = "durable"\n',
        "mistyped": b"read_sources_every = 5\n", "word": b'acknowledgement = "durabel"\n', "fine": b"",
    }.items():  # fmt: skip
        (create_home(root / name).root / "settings.toml").write_bytes(settings)
    (create_home(root / "folder").root / "settings.toml").mkdir()
    unforeseen = create_home(root / "unforeseen").root
    (unforeseen / "latest").rmdir()
    (unforeseen / "latest").write_text("not a folder")
    return root


def calls(up: Any, at: Path) -> dict[str, Callable[[], Answer]]:
    def here(*words: str, **environment: str) -> Callable[[], Answer]:
        return lambda: up.command(*words, **environment)

    def of(home: str, *words: str, **environment: str) -> Callable[[], Answer]:
        return lambda: command(*words, home=at / home, **environment)

    def score(file: str, out: str = "out.parquet", *more: str) -> Callable[[], Answer]:
        return here("score", "slow", str(at / file), str(at / out), *more)

    return {
        "misspelt command": here("aply"),
        "misspelt second word": here("release", "strat"),
        "missing argument": here("champion"),
        "missing option": here("release", "start", "slow", "1"),
        "blank reason": here("release", "start", "slow", "2", "--reason", " "),
        "unknown option": here("champion", "slow", "--aat", "x"),
        "one word too many": here("apply", ".", "extra"),
        "not a number": here("ledger", "list", "--limit", "x"),
        "too small": here("ledger", "list", "--limit", "0"),
        "port out of range": here("up", "--port", "99999"),
        "port is a word": here("up", "--port", "x"),
        "unknown choice": here("init", str(at / "new"), "--kind", "tree"),
        "unknown model": here("champion", "slaw"),
        "unknown version": here("version", "slow", "9"),
        "time without a zone": here("champion", "slow", "--at", "2026-01-01T00:00"),
        "no time": here("champion", "slow", "--at", "yesterday"),
        "unknown recipe": here("train", "slow", "--recipe", "raisez"),
        "unknown prediction": here("replay", "nope"),
        "alias that stands there": here("alias", "set", "slow", "champion", "1", "--reason", "again"),
        "a policy that cannot decide in time": here("release", "start", "slow", "2", "--reason", "try it"),
        "scoring no file": score("nowhere.csv"),
        "scoring what is no Parquet": score("no.parquet"),
        "scoring no rows": score("none.csv"),
        "scoring a wrong column": score("column.csv"),
        "scoring a wrong value": score("value.csv"),
        "scoring into nowhere": score("rows.csv", "nowhere/out.parquet"),
        "scoring the future": score("rows.csv", "out.parquet", "--at", "2113-01-01T00:00Z"),
        "a graph that is none": here("register", "slow", str(at / "file")),
        "a graph of other inputs": here("register", "slow", str(at / "other.onnx")),
        "a new model of a file that is no graph": here("register", "fresh", str(at / "file"), "--new"),
        "a pickle": here("register", "slow", str(at / "model.pkl")),
        "backup into itself": here("backup", str(up.home / "copy")),
        "backup below a file": here("backup", str(at / "file" / "copy")),
        "restore of nothing": of("restored", "restore", str(at / "full")),
        "init over other things": here("init", str(at / "full")),
        "init below a file": here("init", str(at / "file" / "new")),
        "missing home": of("nowhere", "status"),
        "home is a file": of("file", "status"),
        "home of a newer version": of("newer", "status"),
        "up on a newer version": of("newer", "up"),
        "damaged home": of("damaged", "status"),
        "home without its store": of("lost", "status"),
        "up on a file": of("file", "up"),
        "port taken": of("fine", "up", "--port", str(up.port), "--control-port", "0"),
        "gateway's port taken": of("fine", "gateway", "--port", str(up.port)),
        "settings that are no TOML": of("no_toml", "config"),
        "settings that are no text": of("no_text", "config"),
        "settings that are a folder": of("folder", "config"),
        "misspelt setting": of("misspelt", "config"),
        "mistyped setting": of("mistyped", "config"),
        "unknown word in a setting": of("word", "config"),
        "wrong setting of the environment": of("fine", "config", MAINSPRING_WEBHOOK_ALLOW_PLAIN="perhaps"),
        "up with wrong settings": of("no_toml", "up", "--port", "0", "--control-port", "0"),
        "what nobody foresaw": of("unforeseen", "status"),
    }


@pytest.fixture(scope="module")
def said(running: Any, places: Path) -> dict[str, Answer]:
    """Type all of them side by side."""
    before, files = running.state(), sorted(os.listdir(places))
    answers = commands(calls(running, places))
    answers["what changed"] = Answer(running.state() != before or sorted(os.listdir(places)) != files, "")
    return answers


@pytest.mark.parametrize("case", SAID)
def test_a_wrong_command_is_one_sentence_and_changes_nothing(said: dict[str, Answer], case: str) -> None:
    code, sentence = SAID[case]
    answer = said[case]
    assert answer.said.startswith(f"error: {sentence}")
    assert (answer.code, answer.said.count("\n")) == (code, 1)


def test_no_wrong_command_changes_the_home_or_leaves_a_file(said: dict[str, Answer]) -> None:
    assert said["what changed"].code is False


def test_what_nobody_foresaw_is_kept_in_a_log_that_is_named(said: dict[str, Answer], places: Path) -> None:
    found = re.search(r"the whole is in (\S+), and --debug shows it", said["what nobody foresaw"].said)
    assert found is not None
    assert Path(found[1]) == places / "unforeseen" / "run" / "cli.log"
    assert "Traceback (most recent call last)" in Path(found[1]).read_text()


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_traceback_shows_when_it_is_asked_for(places: Path, way: str) -> None:
    home = places / "unforeseen"
    if way == "option":
        code, text = command("status", "--debug", home=home)
    else:
        code, text = command("status", home=home, MAINSPRING_DEBUG="1")
    assert (code, text.startswith("Traceback (most recent call last)")) == (1, True)


def test_a_wrong_command_is_told_as_json_when_that_is_asked_for(running: Any) -> None:
    code, text = running.command("champion", "slaw", "--json")
    assert code == 1
    assert text.startswith('{"code":"not_found","message":"model: there is no such model (got \'slaw\'); did you mean ')
