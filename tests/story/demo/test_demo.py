"""The demo as a user plays it: once undisturbed, once killed in the middle and resumed. Both decide the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.docs.test_pages import ROOT, check_session

MAINSPRING = [sys.executable, "-m", "mainspring.edges.cli"]

LIMIT_S = 900


def command(home, report):
    return [*MAINSPRING, "demo", "--home", str(home), "--until", "march", "--report", str(report)]


def played_until(home):
    state = home / "play.json"
    return json.loads(state.read_text())["until"] if state.exists() else ""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(
        command(folder / "demo-home", folder / "report.json"),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "demo.log").write_text(done.stdout)
    return json.loads((folder / "report.json").read_text()), done.stdout, folder


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    home, report = folder / "home", folder / "report.json"
    with subprocess.Popen(command(home, report), stdout=subprocess.DEVNULL, start_new_session=True) as player:
        ends_s = time.monotonic() + LIMIT_S
        while played_until(home) < "2013-03-11" and time.monotonic() < ends_s and player.poll() is None:
            time.sleep(0.05)
        assert player.poll() is None, "the play ended before it could be killed"
        player.send_signal(signal.SIGKILL)
    wait_for_the_end_of_its_processes(home)
    done = subprocess.run(command(home, report), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(report.read_text())


def wait_for_the_end_of_its_processes(home):
    """They end with the player, as soon as they have written what they took."""
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s and any(str(home).encode() in line for line in command_lines()):
        time.sleep(0.1)


def command_lines():
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                yield (folder / "cmdline").read_bytes()
            except OSError:
                continue


def test_every_flight_is_answered_logged_and_labelled_once(undisturbed):
    report, _, _ = undisturbed
    sent = report["requests"]["sent"]
    assert report["requests"] == {"sent": sent, "answered": sent, "failed": 0}
    assert 28_000 < sent < 30_000
    assert report["logged"]["predictions"] == sent
    assert (report["logged"]["doubled"], report["logged"]["lost"]) == (0, 0)


def test_the_first_version_is_as_good_in_march_as_the_data_allow(undisturbed):
    report, _, _ = undisturbed
    (march,) = report["months"]
    assert (march["month"], march["champion"]) == (3, 1)
    assert 0.71 < march["served_auc"] < 0.76
    assert 0.45 < march["served_log_loss"] < 0.49
    assert march["static_auc"] == march["served_auc"]
    assert 0.22 < march["base_rate"] < 0.24


def test_the_challenger_trained_on_the_last_month_does_not_become_champion(undisturbed):
    report, _, _ = undisturbed
    (challenger,) = report["challengers"]
    assert challenger["name"] == "last_month"
    assert challenger["outcome"] != "promoted"
    assert challenger["reason"]


def test_the_ledger_verifies_and_a_prediction_is_replayed_to_the_byte(undisturbed):
    report, said, _ = undisturbed
    assert report["ledger"]["verified"]
    assert report["replay"]["equal"]
    assert "ledger" in said
    assert "the same bytes" in said


def test_memory_stays_below_two_gigabytes(undisturbed):
    report, _, _ = undisturbed
    assert 0 < report["peak_rss_mb"] < 2_000


def test_a_play_that_was_killed_and_resumed_loses_and_doubles_nothing(resumed):
    assert resumed["requests"]["failed"] == 0
    assert (resumed["logged"]["doubled"], resumed["logged"]["lost"]) == (0, 0)
    assert resumed["ledger"]["verified"]


def test_two_plays_give_the_same_decisions_even_if_one_was_killed(undisturbed, resumed):
    report, _, _ = undisturbed
    assert resumed["decisions"] == report["decisions"]
    assert resumed["months"] == report["months"]
    assert resumed["logged"] == report["logged"]


def test_the_walk_through_what_it_leaves_behind_is_as_the_manual_shows_it(undisturbed):
    _, _, folder = undisturbed
    check_session(ROOT / "docs" / "learn" / "look-into-a-release.md", folder, left_out=1)
