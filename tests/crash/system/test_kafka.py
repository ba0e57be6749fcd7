"""The whole system with a Kafka topic in the spool's place: it runs, and its processes may be killed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def broad(new_site: Callable[..., Any], new_topic: str) -> Any:
    """The home, up, with a topic in the spool's place."""
    return new_site(f'acknowledgement = "durable"\nspool = "{new_topic}"\n')


def test_the_system_runs_on_a_topic_and_nothing_is_lost_or_doubled(
    broad: Any, check: Callable[..., None], kill_process: Callable[..., None]
) -> None:
    client = broad.client()
    broad.answers_more(60)
    kill_process(broad.up.gateways[0])
    broad.supervised_until(broad.ready)
    broad.answers_more(40)
    for point in ("ingest.after_parts", "ingest.before_commit", "ingest.after_commit"):
        broad.crash_control_at(point)
        broad.answers_more(20)
    client.stop()
    broad.verb("loop ingest")
    broad.stop()
    assert not list(broad.home.spool.glob("*/*.seg"))
    check(broad.home, broad.told)
