"""Rows of many callers are scored together, each by its own version alone; a champion that is away is said to be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mainspring.kernel.schema import Column
from mainspring.registry.model import Batching
from mainspring.serving.routing import ReleaseRoute, ShadowRoute
from mainspring.testing.models import model_route, routing, rule_version

DISTANCE = (Column("distance", "float"),)
# An answer tells its version by its first digit, the caller's row by the next ones, and the batch that it was in.
TELLS = """
import time
def answer(frame, params):
    time.sleep(0.01)
    batch = min(len(frame), 99) / 1e6
    return [{first} + row / 1e4 + batch for row in frame["distance"]]
"""


def test_a_batch_holds_rows_of_many_callers_and_of_one_version_alone(site: Any) -> None:
    versions = [
        rule_version(site.blobs, f"ver_{number}", number, TELLS.replace("{first}", str(number / 10)), DISTANCE)
        for number in (1, 2, 3)
    ]
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_2", share=0.5)
    model = model_route(
        versions[0], release=release, shadows=(ShadowRoute("ver_3", "rel_1"),), pinned=("ver_3",),
        batching=Batching(max_rows=16, max_wait_ms=5), deadline_ms=20_000,
    )  # fmt: skip
    site.publish(routing(1, model, versions))
    site.models()
    site.gateway()
    site.ready()

    def ask(number: int) -> tuple[int, float, int]:
        pin = {"x_mainspring_version": "3"} if number % 5 == 0 else {}
        row = {"id": f"f{number}", "distance": float(number), "carrier": "UA"}
        status, said = site.predict(row, **pin)
        assert status == 200, said
        return number, said["value"], said["version"]

    with ThreadPoolExecutor(16) as callers:
        answered = list(callers.map(ask, range(200)))
    batches = []
    for number, value, version in answered:
        told, batch = divmod(round(value * 1e6), 100)
        assert (told // 1_000, told % 1_000) == (version, number)
        batches.append(batch)
    assert {version for _, _, version in answered} == {1, 2, 3}
    assert 1 < max(batches) <= 16


def test_callers_of_a_champion_whose_process_cannot_stay_up_are_told_to_come_again(site: Any) -> None:
    code = """
import os
def answer(frame, params):
    if frame["distance"][0] > 0:
        os._exit(9)
    return [0.25] * len(frame)
"""
    champion = rule_version(site.blobs, "ver_1", 1, code, DISTANCE)
    site.publish(routing(1, model_route(champion, deadline_ms=5_000), [champion]))
    site.models()
    site.gateway()
    site.ready()
    for _ in range(3):
        status, said, headers = site.ask("/predict/late", {"id": "f1", "distance": 1.0, "carrier": "UA"})
        assert (status, said["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) >= 1
    good = {"id": "f1", "distance": 0.0, "carrier": "UA"}
    site.wait(lambda: site.predict(good)[0] == 200, 60.0)
    assert site.predict(good)[1]["value"] == 0.25
