"""Gateway workers and model processes killed under traffic: they are started again, and what was answered is there."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import Home
from mainspring.edges.processes import Process

WINDOW_S = 0.5  # a batch of 5 ms, and the fsync of the one before it on a busy machine


@pytest.mark.parametrize("policy", ["durable", "batched"])
def test_a_gateway_killed_under_traffic_is_started_again_and_loses_no_more_than_its_policy_allows(
    new_site: Callable[..., Any], kill_process: Callable[[Process], None], check: Callable[..., None], policy: str,
    moments: Callable[[int, int], int],
) -> None:  # fmt: skip
    site = new_site(f'acknowledgement = "{policy}"\n')
    site.client(), site.client()
    (gateway,) = site.up.gateways
    dice = random.Random(5)
    in_window: set[Any] = set()
    for number in range(moments(2, 200)):
        site.answers_more(20)
        time.sleep(dice.uniform(0.0, 0.2))
        killed_s = time.monotonic()
        kill_process(gateway)
        in_window |= site.told.since(killed_s - WINDOW_S)
        site.restarted(gateway, site.ready, at_once=number >= 2)
    assert gateway.restarts == 2
    site.answers_more(20)
    site.stop()
    refused = {(status, code) for _, status, code in site.told.refused}
    assert refused <= {(0, ""), (503, "unavailable")}  # no answer came, or no routing was loaded yet
    check(site.home, site.told, may_lose=set() if policy == "durable" else in_window)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares one port")
def test_one_of_two_gateways_killed_leaves_the_other_answering(
    new_site: Callable[..., Any], kill_process: Callable[[Process], None], check: Callable[..., None]
) -> None:
    site = new_site(workers=2)
    acknowledged = site.home.routing / "acks"
    site.wait(lambda: len(list(acknowledged.glob("*.json"))) == 2)
    for _ in range(4):  # the kernel chooses a worker for each connection
        site.client()
    site.answers_more(40)
    first, second = site.up.gateways
    kill_process(first)
    site.answers_more(40)
    said = site.home.routing / "acks" / "gateway-1.json"
    site.supervised_until(lambda: json.loads(said.read_bytes())["pid"] == first.pid)
    kill_process(second)
    site.supervised_until(site.ready)
    site.answers_more(40)
    site.stop()
    refused = {(status, code) for _, status, code in site.told.refused}
    assert refused <= {(0, ""), (503, "unavailable")}
    check(site.home, site.told)


@pytest.fixture
def with_a_rule(place: Path, open_home: Callable[..., Any]) -> None:
    """The home's champion is a rule of the project, which runs in a process of its own."""
    with open_home(Home(place / "home")) as platform:
        model = platform.registry.model(None, "late").id
        run = platform.training.train(model, by="ann")
        for result in platform.checks.run(run.version, by="ann"):
            if result.blocks:
                platform.checks.override(run.version, result.name, by="ann", reason="a test")
        platform.releases.start(model, run.version, by="ann", reason="a rule, in a process of its own")
        platform.publisher.publish()


def test_the_champions_process_killed_under_traffic_is_started_again(
    with_a_rule: None, new_site: Callable[..., Any], kill_process: Callable[[Process], None],
    check: Callable[..., None],
) -> None:  # fmt: skip
    site = new_site()
    site.client()
    site.answers_more()
    os.kill(the_model_process(site), signal.SIGKILL)
    site.answers_more()
    orphan = the_model_process(site)
    kill_process(site.up.models)
    site.wait(lambda: orphan not in model_processes(site), 5)
    site.supervised_until(lambda: model_processes(site))
    site.answers_more()
    site.stop()
    assert {(status, code) for _, status, code in site.told.refused} == {(503, "unavailable")}
    check(site.home, site.told)


@pytest.mark.parametrize("policy", ["durable", "batched"])
def test_the_champions_process_killed_at_random_moments_loses_and_doubles_nothing(
    with_a_rule: None, new_site: Callable[..., Any], kill_process: Callable[[Process], None],
    check: Callable[..., None], moments: Callable[[int, int], int], policy: str,
) -> None:  # fmt: skip
    site = new_site(f'acknowledgement = "{policy}"\n')
    site.client(), site.client()
    dice = random.Random(9)
    for number in range(1, moments(1, 200) + 1):
        site.answers_more()
        time.sleep(dice.uniform(0.0, 0.2))
        os.kill(the_model_process(site), signal.SIGKILL)
        if number % 3 == 0:  # it is started again ever later, until what starts it begins anew
            kill_process(site.up.models)
            site.wait(lambda: not model_processes(site))
            site.restarted(site.up.models, lambda: model_processes(site), at_once=True)
    site.answers_more()
    site.stop()
    assert {(status, code) for _, status, code in site.told.refused} == {(503, "unavailable")}
    check(site.home, site.told)


def the_model_process(site: Any) -> int:
    site.wait(lambda: len(model_processes(site)) == 1)
    return model_processes(site)[0]


def model_processes(site: Any) -> list[int]:
    """Return the model processes of this home that live."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "mainspring.edges.model_process" in words and any(word.startswith(str(site.home.root)) for word in words):
            found.append(int(file.parent.name))
    return found
