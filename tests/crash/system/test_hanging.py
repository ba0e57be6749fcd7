"""Processes that live and do not turn, that end over and over, or that cannot work by their settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.upfile import UpFile, read_up, write_up
from mainspring.edges.processes import CANNOT_WORK, Process, free_port
from mainspring.edges.verbs.standing import troubles
from mainspring.kernel.errors import Unavailable

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a thread does")
QUICK = 'acknowledgement = "durable"\nreplace_hanging_after = "5s"\n'
KEPT_FROM_GATEWAYS = ("AWS_SECRET_ACCESS_KEY", "MAINSPRING_WEBHOOK_SECRET", "MAINSPRING_KEY", "SHOP_PASSWORD")
TURNS = """
import sys, time
from pathlib import Path
from mainspring.adapters.pulse import Pulse

Pulse(Path(sys.argv[1]), sys.argv[2]).begin()
while sys.argv[2] == "spins":
    pass
time.sleep(3600)
"""


def in_environment(pid: int) -> set[str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {word.partition("=")[0] for word in words}


@linux
def test_a_gateway_that_was_stopped_is_named_by_status_and_replaced(
    new_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEPT_FROM_GATEWAYS:
        monkeypatch.setenv(name, "hush")
    monkeypatch.delenv("MAINSPRING_KEY")  # the test asks as the one whose home it is
    site = new_site(QUICK)
    gateway = site.up.gateways[0]
    assert in_environment(gateway.pid).isdisjoint(KEPT_FROM_GATEWAYS)
    assert in_environment(site.up.models.pid).isdisjoint(KEPT_FROM_GATEWAYS)
    stopped, pulse = gateway.pid, site.home.run / "gateway-1.pulse"
    site.wait(pulse.exists)
    os.kill(stopped, signal.SIGSTOP)
    os.utime(pulse, (time.time() - 11, time.time() - 11))  # as it is after so many seconds of this
    said = site.verb("status")["look_at"]
    assert any(line.startswith("gateway-1 has not turned for ") and "it is stopped" in line for line in said), said
    site.supervised_until(lambda: gateway.pid not in (None, stopped) and site.ready())
    assert gateway.restarts == 1
    assert gateway.why == "it did not turn for 5 s, it was stopped, and was ended to be started anew"
    site.supervised_until(lambda: "gateway-1 was started again once" in site.verb("status")["processes"])
    assert not any("has not turned" in line for line in site.verb("status")["look_at"])
    site.client()
    site.answers_more()


def test_one_that_is_busy_is_left_alone_and_one_that_waits_for_ever_is_not(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    (tmp_path / "turns.py").write_text(TURNS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    spins, sleeps = (
        Process(name, "turns", [str(tmp_path), name], tmp_path, environment, 3.0) for name in ("spins", "sleeps")
    )
    try:
        for one in (spins, sleeps):
            one.start()
        first = spins.pid
        wait(lambda: [one.watch() for one in (spins, sleeps)] and sleeps.restarts >= 1)
        assert sleeps.why == "it did not turn for 3 s, and was ended to be started anew"
        until_s = time.monotonic() + 4
        wait(lambda: spins.watch() or time.monotonic() > until_s)
        assert (spins.pid, spins.restarts) == (first, 0)
    finally:
        for one in (spins, sleeps):
            one.stop(1.0)


def wait(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.05)


def test_one_that_ends_over_and_over_waits_longer_each_time_and_is_named_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("raise SystemExit('there is no room')\n")
    ends = Process("gateway-1", "ends", [], tmp_path, {**os.environ, "PYTHONPATH": str(tmp_path)})
    ends.start()
    try:
        wait(lambda: ends.watch() or ends.failures >= 3)
        began_s = time.monotonic()
        wait(lambda: ends.watch() or ends.failures >= 4)
        assert time.monotonic() - began_s > 0.8  # 0.2 s, doubled with each end
        write_up(tmp_path, UpFile(os.getpid(), (ends.state,), 30.0))
        (said,) = troubles(tmp_path)
        assert said.startswith("gateway-1 ended 4 times in a row: it ended with code 1: there is no room; its log is ")
    finally:
        ends.stop(1.0)


def test_one_whose_settings_name_what_is_away_is_tried_again_though_they_do_not_change(tmp_path: Path) -> None:
    certificate = tmp_path / "certificate"
    (tmp_path / "needs.py").write_text(
        f"import sys, time, pathlib\n"
        f"if not pathlib.Path({str(certificate)!r}).exists():\n    sys.exit({CANNOT_WORK})\ntime.sleep(3600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    needs = Process("gateway-1", "needs", [], tmp_path, environment, refused_wait_s=1.0)
    needs.start()
    try:
        wait(lambda: needs.watch("settings") or (needs.refuses and needs.failures == 1))
        certificate.touch()
        began_s = time.monotonic()
        wait(lambda: needs.watch("settings") or needs.pid is not None)
        assert time.monotonic() - began_s > 0.5  # not over and over
        assert needs.restarts == 1
    finally:
        needs.stop(1.0)


Start = Callable[..., "subprocess.Popen[str]"]


def test_up_with_settings_that_cannot_work_ends_at_once_with_the_reason(
    place: Path, mainspring: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSPRING_WEBHOOK_URL", "https://elsewhere.example/hook")
    monkeypatch.setenv("MAINSPRING_WEBHOOK_SECRET", "a secret that is long enough")
    ports = ("--port", str(free_port()), "--control-port", str(free_port()))
    up = mainspring("up", "--home", str(place / "home"), *ports)
    said, complained = up.communicate(timeout=60)
    assert (up.returncode, said) == (78, "")
    assert complained.startswith(
        "error: the control process cannot work: url: is not an allowed host (got 'elsewhere.example'); "
        "add it to the allowed hosts: none yet; "
    )


@pytest.fixture
def misled(new_site: Callable[..., Any]) -> Any:
    """A home that is up, and whose settings were changed to what cannot work since."""
    site = new_site()
    (site.home.root / "settings.toml").write_text('model_memory_mb = 1\nacknowledgement = "durable"\n')
    return site


def test_a_control_that_refuses_changed_settings_is_left_alone_until_they_are_mended(
    misled: Any, kill_process: Callable[[Process], None]
) -> None:
    site, control = misled, misled.up.control
    site.client()
    kill_process(control)
    site.supervised_until(lambda: control.exit_code == CANNOT_WORK)
    tries = control.restarts
    until_s = time.monotonic() + 2
    site.supervised_until(lambda: time.monotonic() > until_s)
    assert control.restarts == tries
    site.answers_more()  # gateways go on by what they hold
    said = read_up(site.home.run)
    assert said is not None
    state = next(one for one in said.processes if one.name == "control")
    assert (state.state, state.pid) == ("refuses", None)
    assert "model_memory_mb: is too little (got 1)" in state.why
    assert any(line.startswith("control cannot work by its settings: ") for line in troubles(site.home.run))
    (site.home.root / "settings.toml").write_text('acknowledgement = "durable"\n')
    site.supervised_until(site.control_answers)
    assert control.restarts == tries + 1


@linux
def test_whoever_asks_a_control_that_hangs_is_told_at_once_and_it_is_replaced(new_site: Callable[..., Any]) -> None:
    site = new_site(QUICK)
    control = site.up.control
    control._patience.most_s = 5.0  # as `mainspring up` has it: this one was made by the test
    pid, pulse = control.pid, site.home.run / "control.pulse"
    site.wait(pulse.exists)
    os.kill(pid, signal.SIGSTOP)
    os.utime(pulse, (time.time() - 11, time.time() - 11))  # as it is after so many seconds of this
    with pytest.raises(Unavailable, match=rf"control: does not answer: control has not turned .* kill -9 {pid}"):
        site.verb("status")
    site.supervised_until(lambda: control.pid not in (None, pid) and site.control_answers())
    assert "it was stopped" in control.why
    assert site.verb("status")["control"] == f"runs as process {control.pid}"
