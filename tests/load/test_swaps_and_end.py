"""Swapping routings and ending under steady load: nobody is failed, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import msgspec
import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Scored
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

DISTANCE = (Column("distance", "float"),)
SWAPS = 30  # bench/overload.py does a hundred


def test_no_request_fails_while_versions_are_swapped_under_load(site: Any, metric: Any, body: bytes) -> None:
    versions = [
        onnx_version(site.blobs, f"ver_{number}", number, linear_onnx({"distance": 0.01 * number}), DISTANCE)
        for number in range(1, SWAPS + 2)
    ]
    site.publish(routing(1, model_route(versions[0]), versions[:1]))
    site.gateway()
    site.ready()
    answered_by: set[int] = set()
    over = False

    def note(index: int, status: int, said: bytes) -> None:
        answered_by.add(msgspec.json.decode(said)["version"] if status == 200 else 0)

    async def load(traffic: Traffic) -> None:
        while not over:
            await traffic.post("/predict/late", [body] * 50, on_answer=note)

    async def swap() -> None:
        nonlocal over
        for number in range(2, SWAPS + 2):
            one = versions[number - 1]
            await asyncio.to_thread(site.publish, routing(number, model_route(one), [one]))
            await asyncio.to_thread(site.ready, number)
        over = True

    async def run() -> Traffic:
        async with Traffic("127.0.0.1", site.port, connections=4) as traffic:
            await asyncio.gather(load(traffic), swap())
            return traffic

    traffic = asyncio.run(run())
    assert traffic.failed == 0
    assert traffic.answered == traffic.sent > 100
    assert len(answered_by) > SWAPS // 2
    assert metric(site, "mainspring_swaps_total") == SWAPS + 1


@pytest.mark.parametrize("acknowledgement", ["durable", "batched"])
def test_an_end_under_load_breaks_no_request_off_and_loses_no_answer(
    site: Any, body: bytes, acknowledgement: str
) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    site.publish(routing(1, model_route(champion), [champion], acknowledgement=acknowledgement))
    process = site.gateway(MAINSPRING_LIMITS_DRAIN_NOTICE_S="2")
    site.ready()
    answered: list[str] = []
    broken: list[float] = []
    told_s = 0.0

    async def caller() -> None:
        """Ask one request a connection after another, keeping it for as long as the gateway wants to keep it."""
        request = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            except OSError:
                return  # it accepts no more: a caller knows that nothing was asked
            keep = True
            while keep:
                began_s = time.monotonic()
                try:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                    answered.append(msgspec.json.decode(await reader.readexactly(length))["id"])
                    keep = b"connection: close" not in head.lower()
                except (OSError, asyncio.IncompleteReadError):
                    broken.append(began_s)
                    keep = False
            writer.close()

    async def run() -> None:
        nonlocal told_s
        callers = [asyncio.create_task(caller()) for _ in range(8)]
        await asyncio.sleep(1.0)
        told_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*callers), 60)

    asyncio.run(run())
    assert process.wait(30) == 0
    assert len(answered) > 50
    assert [began_s - told_s for began_s in broken if began_s < told_s + 1.0] == []
    assert len(broken) <= 8  # at most the connection that each caller opened at the very end, and nobody had accepted
    logged = {one.prediction_id for one in site.records(Scored)}
    assert set(answered) <= logged
