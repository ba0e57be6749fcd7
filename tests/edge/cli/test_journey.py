"""A project of one's own from ``init`` to a release that is held, resumed and aborted, by the commands alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.edges.cli.commands import run
from mainspring.edges.person import local_user

Say = Callable[..., Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journey")


@pytest.fixture
def say(place: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command that must succeed and return its JSON."""

    def saying(*words: str) -> Any:
        code = run([*words, "--json", "--home", str(place / "home")])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return saying


@pytest.fixture
def fail(place: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command that must fail and return what it says."""

    def failing(*words: str) -> str:
        assert run([*words, "--home", str(place / "home")]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    return failing


def test_a_project_is_made_applied_and_read_in(place: Path, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "empty").mkdir()
    assert run(["apply", str(place / "empty"), "--home", str(place / "home")]) == 1
    assert "there is no declaring file here" in capsys.readouterr().err
    assert not (place / "home").exists()
    assert run(["init", str(place / "parcels")]) == 0
    assert "next: mainspring apply" in capsys.readouterr().out
    tried = say("apply", str(place / "parcels"), "--dry-run")
    assert (tried["changed"], tried["dry_run"]) == (True, True)
    assert say("models") == []
    applied = say("apply", str(place / "parcels"))
    assert applied["revision"] == tried["revision"]
    assert say("apply", str(place / "parcels"))["changed"] is False
    assert [one["digest"] for one in say("revisions")] == [applied["revision"]]
    assert [one["source"] for one in say("sources")] == ["parcels"]
    (read,) = say("ingest")
    assert read["rows"] > 1_000
    assert say("ingest")[0]["rows"] == 0
    assert len(say("source", "rows", "parcels", "--limit", "3")) == 3
    assert {one["column"] for one in say("source", "quality", "parcels")} >= {"parcel_id", "depot", "hours"}


def test_a_broken_project_is_told_every_fault_and_changes_nothing(place: Path, say: Say, fail: Say) -> None:
    before = say("ledger", "head")
    broken = place / "broken"
    broken.mkdir()
    (broken / "project.py").write_text("import mainspring as ms\nms.Source('a', 'nothing.csv', tiem='x', key='k')\n")
    assert "did you mean 'time'" in fail("apply", str(broken))
    assert fail("apply", str(place / "nowhere")).startswith("error: ")
    assert say("ledger", "head") == before


def test_a_version_is_trained_checked_and_becomes_the_first_champion(
    place: Path, say: Say, fail: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "has no champion" in fail("champion", "parcels")
    made = say("train", "parcels", "--by", "ana", "--reason", "a first one")
    assert made["number"] == 1
    assert run(["run", made["id"], "--home", str(place / "home")]) == 0
    names = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names[:3] == ["model name", "number", "recipe"]
    assert names.index("id") > names.index("reason")
    assert say("runs", "parcels")[0]["id"] == say("run", made["id"])["id"] == made["id"]
    unchecked = fail("release", "start", "parcels", "1", "--reason", "early")
    assert "has not passed its checks" in unchecked
    assert "run them with: mainspring check parcels 1" in unchecked
    assert all(one["status"] != "failed" for one in say("check", "parcels", "1"))
    assert "did not fail" in fail("override", "parcels", "1", "schema", "--reason", "no need")
    assert say("release", "start", "parcels", "1", "--reason", "the first")["champion"] == 1
    assert say("champion", "parcels")["number"] == 1
    assert "had no champion" in fail("champion", "parcels", "--at", "2013-05-03T12:00Z")
    assert say("versions", "parcels")[0]["lineage"]["run"] == made["id"]
    assert "reason" in say("release", "forecast", "parcels")
    assert say("ledger", "list", "--kind", "version")[0]["actor"] == f"ana, said by {local_user()} (user)"


def test_a_release_is_held_resumed_and_aborted_with_reasons(place: Path, say: Say, fail: Say) -> None:
    files = say("version", "parcels", "1")["files"]
    blob = files["model.onnx"]
    graph = place / "home" / "blobs" / blob[:2] / blob
    assert say("register", "parcels", str(graph))["number"] == 2
    for one in say("check", "parcels", "2"):
        if one["status"] == "failed" and one["severity"] == "block":
            say("override", "parcels", "2", one["name"], "--reason", "it is the same graph")
    started = say("release", "start", "parcels", "2", "--reason", "try it")
    assert (started["stage"], started["status"]) == ("shadow", "running")
    assert say("release", "hold", "parcels", "--reason", "wait for Monday")["status"] == "held"
    assert say("release", "resume", started["id"], "--reason", "it is Monday")["status"] == "running"
    assert say("release", "abort", "parcels", "--reason", "not now")["status"] == "aborted"
    assert "has no running release" in fail("release", "hold", "parcels", "--reason", "again")
    assert [one["status"] for one in say("release", "list", "parcels")] == ["aborted"]
    kinds = [one["kind"] for one in say("ledger", "list", "--subject", started["id"])]
    assert kinds == ["release.aborted", "release.resumed", "release.held", "release.started"]


def test_the_loop_turns_and_monitors_say_that_they_cannot_tell_yet(say: Say, fail: Say) -> None:
    assert say("loop", "step")["records"] == 0
    found = {one["subject"]: one["state"] for one in say("monitors", "parcels")}
    assert found.pop("ingestion") == "ok"  # no traffic is needed to tell that nothing waits
    assert set(found.values()) == {"insufficient"}
    assert say("alarms", "--all") == []
    assert "no such alarm" in fail("acknowledge", "alm_none", "--reason", "seen")
    assert "no such prediction" in fail("prediction", "b_none-1")
    assert "no such prediction" in fail("replay", "b_none-1")
    status = say("status")
    assert (status["models"][0]["champion"], status["alarms"]) == (1, 0)
    assert say("ledger", "verify")["verified"] is True
