"""The same verbs and results, whether control answers or the command opens the home itself."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import Home, HomeLock
from mainspring.edges.api.server import ControlServer
from mainspring.edges.cli.commands import run
from mainspring.edges.person import local_user
from mainspring.platform import open_platform


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


READS = [
    ("status",),
    ("models",),
    ("versions", "late"),
    ("version", "flights/late", "2"),
    ("alias", "history", "late"),
    ("alarms",),
    ("monitors", "late"),
    ("release", "list"),
    ("ledger", "list", "--kind", "version", "--limit", "1"),
    ("ledger", "verify"),
    ("config",),
]


OF_THE_MOMENT = ("look_at", "control", "disk", "now_us")  # status says whether control runs


def test_reads_are_the_same_over_http_and_in_process(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [said(capsys, *words, "--home", str(home)) for words in READS]
    with closing(open_platform(Home(home))) as platform, ControlServer(platform):
        over_http = [said(capsys, *words, "--home", str(home)) for words in READS]
    stopped, running = ([one.pop(name) for name in OF_THE_MOMENT] for one in (alone[0], over_http[0]))
    assert over_http == alone
    assert (stopped[0], running[0]) == (["control does not run"], ["nothing: all is well"])


@pytest.mark.parametrize("control", [True, False])
def test_a_change_names_the_actor_either_way(home: Path, capsys: pytest.CaptureFixture[str], control: bool) -> None:
    words = ["alias", "set", "late", "spare", "2", "--reason", "for später", "--by", "Änne", "--home", str(home)]
    if control:
        with closing(open_platform(Home(home))) as platform, ControlServer(platform):
            assert run(words) == 0
    else:
        assert run(words) == 0
    capsys.readouterr()
    newest = said(capsys, "ledger", "list", "--limit", "1", "--home", str(home))[0]
    assert (newest["actor"], newest["reason"]) == (f"Änne, said by {local_user()} (user)", "for später")


@pytest.mark.parametrize("control", [True, False])
def test_an_error_is_the_same_sentence_either_way(
    home: Path, capsys: pytest.CaptureFixture[str], control: bool
) -> None:
    words = ["version", "late", "9", "--home", str(home)]
    if control:
        with closing(open_platform(Home(home))) as platform, ControlServer(platform):
            assert run(words) == 1
    else:
        assert run(words) == 1
    assert capsys.readouterr().err == "error: version: late has no such version (got '9'); it has 1, 2\n"


def test_the_actor_is_taken_from_the_environment(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSPRING_ACTOR", "nightly")
    monkeypatch.setenv("MAINSPRING_HOME", str(home))
    assert run(["alias", "set", "late", "spare", "2", "--reason", "r"]) == 0
    capsys.readouterr()
    assert said(capsys, "ledger", "list", "--limit", "1")[0]["actor"] == f"nightly, said by {local_user()} (user)"


def test_a_home_that_another_process_holds_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HomeLock(home, "backup"):
        assert run(["status", "--home", str(home)]) == 1
    assert "the home is in use by backup" in capsys.readouterr().err


def test_a_control_that_died_does_not_keep_the_home_from_being_opened(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "run" / "control.json").write_text('{"host":"127.0.0.1","port":9,"token":"t","process":4194305}')
    assert said(capsys, "ledger", "verify", "--home", str(home))["verified"] is True


def test_the_command_is_installed_and_tells_its_version(home: Path) -> None:
    command = str(Path(sys.executable).with_name("mainspring"))
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("mainspring ")
    refused = subprocess.run([command, "statsu", "--home", str(home)], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: there is no command 'statsu'; did you mean 'status'?\n"


@pytest.mark.parametrize("control", [True, False])
def test_a_policy_is_set_from_a_file_and_shown_either_way(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], control: bool
) -> None:
    written = tmp_path / "policy.toml"
    written.write_text(f'type = "bandit"\nfloor = {0.1 if control else 0.2}\nupdate = "2h"\n')
    words = ["policy", "set", "late", str(written), "--reason", "offers change daily", "--home", str(home)]
    if control:
        with closing(open_platform(Home(home))) as platform, ControlServer(platform):
            set_ = said(capsys, *words)
    else:
        set_ = said(capsys, *words)
    shown = {one["field"]: one for one in said(capsys, "policy", "show", "late", "--home", str(home))}
    assert list(shown.values()) == set_
    assert (shown["type"]["value"], shown["floor"]["default"], shown["update"]["value"]) == ("bandit", 0.05, "2h")
    entry = said(capsys, "ledger", "list", "--limit", "1", "--home", str(home))[0]
    assert (entry["kind"], entry["numbers"]["policy"]["type"]) == ("policy.set", "bandit")
