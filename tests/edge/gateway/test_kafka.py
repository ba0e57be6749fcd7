"""A real gateway that logs to a Kafka topic: a broker never holds up its loop, and nothing is claimed falsely."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.settings import Settings
from mainspring.adapters.spools import spool_reader
from mainspring.kernel.schema import Column
from mainspring.log.records import Request, Scored, Stopped
from mainspring.log.segments import Position
from mainspring.testing.broker import binary, broker
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

DISTANCE = (Column("distance", "float"),)


def serve(site: Any, url: str, acknowledgement: str) -> Any:
    (site.home.root / "settings.toml").write_text(f'spool = "{url}"\n')
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    site.publish(routing(1, model_route(champion), [champion], acknowledgement=acknowledgement))
    return champion


def row(entity: str) -> dict[str, Any]:
    return {"id": entity, "distance": 100.0, "carrier": "UA"}


@pytest.mark.skipif(binary() is None, reason="the package noida-db is not installed")
def test_another_policy_while_the_broker_is_away_holds_up_no_request(site: Any, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with broker(tmp_path / "broker") as address:
        url = f"kafka://{address}/predictions"
        spool_reader(Settings(spool=url), tmp_path / "spool", site.disk).read({}, 1)
        champion = serve(site, url, "batched")
        site.gateway()
        site.ready()
        assert site.predict(row("f1"))[0] == 200
        site.wait(lambda: site.ask("/ready")[0] == 200)
    site.publish(routing(2, model_route(champion), [champion], acknowledgement="durable"))
    began_s, longest_s = time.monotonic(), 0.0
    while site.file.acknowledgements()["gateway-0"][0] != 2:
        asked_s = time.monotonic()
        assert asked_s < began_s + 60
        assert site.ask("/live")[0] == 200
        longest_s = max(longest_s, time.monotonic() - asked_s)
    took_s = time.monotonic() - began_s
    assert longest_s < took_s / 3, "the loop stood still while the spool was opened"


def test_a_durable_caller_whose_records_the_topic_does_not_take_is_told_so_and_nobody_else(
    site: Any, new_topic: str, tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    settings = Settings(spool=new_topic)
    reader = spool_reader(settings, tmp_path / "spool", site.disk)
    reader.read({}, 1)
    servers, _, name = new_topic.removeprefix("kafka://").partition("/")
    entry = ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": servers})
    (done,) = admin.incremental_alter_configs([resource]).values()
    done.result(30)
    serve(site, new_topic, "durable")
    site.gateway()
    site.ready()
    long = "x" * 60_000  # the body fits, and then entity and unit are in the log, too
    status, said, headers = site.ask("/predict/late", row(long))
    assert (status, said["code"]) == (400, "invalid_input")
    assert "more than the log takes in one piece" in said["message"]
    assert "x-mainspring-acknowledgement" not in headers
    status, said, headers = site.ask("/predict/late", row("f1"))
    assert (status, headers["x-mainspring-acknowledgement"]) == (200, "durable")
    found: list[Any] = []
    at: dict[str, Position] = {}

    def read() -> bool:
        for reading in reader.read(at, 100):
            at[reading.boot] = reading.position
            found.extend(reading.records)
        return said["id"] in [one.prediction_id for one in found if isinstance(one, Scored)]

    site.wait(read)
    reader.close()
    assert [one.entities for one in found if isinstance(one, Request)] == [("f1",)]
    assert [one.refused for one in found if isinstance(one, Stopped)] == [1]
