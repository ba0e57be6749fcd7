"""Control away for a while: gateways answer, and start again, by what they hold; then everything is taken in once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from mainspring.edges.processes import Process

AWAY_S = 60.0 if os.environ.get("MAINSPRING_CRASH") == "long" else 4.0


@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_answers_go_on_while_control_is_away_and_all_of_it_is_there_when_it_is_back(
    site: Any, check: Callable[..., None], kill_process: Callable[[Process], None], how: str
) -> None:
    control, gateway = site.up.control, site.up.gateways[0]
    client = site.client(pause_s=0.02)
    site.answers_more()
    pid = control.pid
    if how == "killed":
        kill_process(control)
    else:
        os.kill(pid, signal.SIGSTOP)
    before = len(site.told.answers)
    try:
        until_s = time.monotonic() + AWAY_S
        while time.monotonic() < until_s:
            site.answers_more()  # all the while, and each within the deadline
            assert site.ready()  # that control is away is no reason to take a gateway out
        assert not site.told.refused
        assert any(site.home.spool.glob("*/*.seg"))  # the log is kept meanwhile, where control takes it from
        client.stop()
        kill_process(gateway)
        gateway.start()  # and a gateway needs no control to start
        site.wait(site.ready)
        client = site.client(pause_s=0.02)
        site.answers_more()
    finally:
        if how == "hanging":
            os.kill(pid, signal.SIGCONT)
    if how == "killed":
        control.start()
    site.wait(site.control_answers)
    site.answers_more()
    client.stop()
    site.verb("loop ingest")
    site.stop()
    assert len(site.told.answers) > before
    assert not site.told.refused
    check(site.home, site.told)
