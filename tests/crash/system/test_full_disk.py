"""A disk that is full for a while: what cannot be kept is refused, nothing is half done, and it goes on by itself."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from mainspring.edges.processes import Process

ROW = {"order_id": "full", "shop": "north", "amount": 1.0}


@contextmanager
def full(process: Process, from_bytes: int = 0) -> Iterator[None]:
    """Let no file of a process grow beyond a size: writes fail there as on a full disk."""
    assert process.pid is not None
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (from_bytes, most))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))


def test_a_gateway_on_a_full_disk_refuses_and_answers_again_once_there_is_space(
    new_site: Callable[..., Any], new_client: Any, new_told: Any, check: Callable[..., None]
) -> None:
    site = new_site()
    client = site.client()
    site.answers_more(20)
    with closing(new_client(site.port, "", new_told())) as asking, full(site.up.gateways[0]):
        site.wait(lambda: ("predict", 503, "unavailable") in site.told.refused)
        before = len(site.told.answers)
        for path, body in (
            ("/predict/late", ROW),
            ("/outcomes/late", {"order_id": "full", "value": True}),
            ("/sources/orders", ROW | {"late": None, "placed": "2026-01-01T00:00:00Z"}),
        ):
            status, said, headers = asking.post(path, body)
            assert (status, said["code"], said["field"], headers["retry-after"]) == (503, "unavailable", "home", "1")
            assert "the disk is full" in said["message"]
        assert not site.ready()
        assert len(site.told.answers) == before
    site.wait(site.ready)
    site.answers_more(20)
    client.stop()
    site.stop()
    assert {(status, code) for _, status, code in site.told.refused} == {(503, "unavailable")}
    site.told.asked += 1  # the one above may have been spooled, though it was not answered
    check(site.home, site.told)


def test_control_on_a_full_disk_lets_gateways_answer_and_takes_everything_in_once_there_is_space(
    site: Any, check: Callable[..., None]
) -> None:
    site.client()
    site.answers_more(20)
    parts = site.home.parts
    for from_bytes in (0, 20_000):  # nothing fits; parts do, but not their listing
        with full(site.up.control, from_bytes):
            listed = {path.name for path in parts.glob("*/*.parquet")}
            site.answers_more(150)
            assert site.up.control.exit_code is None
            left = {path.name for path in parts.glob("*/*.parquet")} - listed
            assert len(left) < 12, "the same rows were written again and again"
        site.answers_more(20)
    site.verb("loop ingest")
    site.stop()
    assert site.up.control.restarts == 0
    assert not site.told.refused
    check(site.home, site.told)
