"""Refusals of a real gateway whose one thread is at work: they wait for one turn of it and not for all that waits."""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Request
from mainspring.testing.models import model_route, onnx_version, routing

SIDE = 600
ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
BODY = json.dumps([ROW, ROW]).encode()  # two rows, as requests of one row are scored together
ASK = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
WAITING = 60
REFUSED = 30
_STAMPS, _RECEIVED = 37, (1 << 3) | (1 << 4)  # SO_TIMESTAMPING: when the kernel had the answer, whoever read it late


def heavy_onnx() -> bytes:
    """Return a graph of plain operators that takes the gateway's thread for a while: the product of two squares."""
    from onnx import TensorProto, helper

    square = helper.make_tensor("square", TensorProto.INT64, [2], [SIDE, SIDE])
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=square),
        helper.make_node("ReduceMean", ["distance"], ["one"], keepdims=0),
        helper.make_node("Expand", ["one", "shape"], ["wide"]),
        helper.make_node("MatMul", ["wide", "wide"], ["product"]),
        helper.make_node("ReduceMean", ["product"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
        helper.make_node("Add", ["distance", "zero"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["output"]),
    ]
    inputs = [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "heavy", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    body: bytes = model.SerializeToString()
    return body


@pytest.fixture(scope="module")
def busy(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("busy") / "home")
    champion = onnx_version(site.blobs, "ver_1", 1, heavy_onnx(), (Column("distance", "float"),))
    site.publish(routing(1, model_route(champion, deadline_ms=60_000), [champion]))
    site.gateway(MAINSPRING_LIMITS_REQUESTS=str(WAITING))
    site.ready()
    yield site
    site.stop()


def _stamped_s(notes: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel had it; of some packets it does not say, and then it is now."""
    if not notes:
        return time.time()
    seconds, nanoseconds = struct.unpack("qq", notes[0][2][:16])
    return float(seconds + nanoseconds / 1e9)


class Crowd:
    """Many connections that ask, and when the kernel had each answer."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.lines = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
        for number, line in enumerate(self.lines):
            line.setsockopt(socket.SOL_SOCKET, _STAMPS, _RECEIVED)
            self._selector.register(line, selectors.EVENT_READ, number)
        self.sent_s: dict[int, float] = {}
        self.came: list[tuple[float, int, int]] = []  # when, which line, status

    def ask(self, numbers: range, asked: bytes = ASK) -> None:
        for number in numbers:
            self.sent_s[number] = time.time()
            self.lines[number].sendall(asked)

    def hear(self, count: int) -> None:
        """Wait until so many answers have come in all."""
        while len(self.came) < count:
            ready = self._selector.select(60)
            assert ready
            for key, _ in ready:
                data, notes, _, _ = self.lines[key.data].recvmsg(65_536, 256)
                assert data
                self.came.append((_stamped_s(notes), key.data, int(data[9:12])))

    def close(self) -> None:
        for line in self.lines:
            line.close()
        self._selector.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when an answer came")
def test_a_refusal_waits_for_a_turn_of_the_worker_and_not_for_all_that_waits(busy: Any) -> None:
    crowd = Crowd(busy.port, WAITING + REFUSED)
    try:
        crowd.ask(range(WAITING))
        crowd.hear(3)  # it is at work, and the others wait
        crowd.ask(range(WAITING, WAITING + REFUSED))
        crowd.hear(WAITING + REFUSED)
    finally:
        crowd.close()
    answered = sorted(at_s for at_s, _, status in crowd.came if status == 200)
    refused = [(at_s, crowd.sent_s[number]) for at_s, number, status in crowd.came if status == 429]
    assert len(answered) + len(refused) == WAITING + REFUSED
    assert len(refused) >= REFUSED / 2  # as many as were answered meanwhile may have come in
    waited_for = sorted(sum(sent_s < other_s < at_s for other_s in answered) for at_s, sent_s in refused)
    assert waited_for[len(waited_for) // 2] <= 4
    assert waited_for[-1] <= WAITING / 4


def test_who_waits_for_the_worker_is_told_by_number_and_by_time(busy: Any, metric: Any) -> None:
    waiting: list[tuple[float, float]] = []
    while not any(count > 1 and wait_s > 0 for count, wait_s in waiting):
        assert len(waiting) < 40
        crowd = Crowd(busy.port, WAITING)
        try:
            crowd.ask(range(WAITING))
            crowd.hear(3)  # it is at work, and the others wait
            waiting.append((metric(busy, "mainspring_queue"), metric(busy, "mainspring_queue_seconds")))
            crowd.hear(WAITING)
        finally:
            crowd.close()
    assert all(count <= WAITING for count, _ in waiting)
    busy.wait(lambda: metric(busy, "mainspring_queue") == metric(busy, "mainspring_queue_seconds") == 0)


@pytest.mark.parametrize("said_by", ["model", "caller"])
def test_nobody_waits_for_an_answer_that_would_come_too_late(site: Any, said_by: str) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, heavy_onnx(), (Column("distance", "float"),))
    deadline_ms = 1_500 if said_by == "model" else 60_000
    site.publish(routing(1, model_route(champion, deadline_ms=deadline_ms), [champion]))
    site.gateway(MAINSPRING_LIMITS_QUEUE_S="60")
    site.ready()
    for _ in range(20):  # so that it knows what one costs
        assert site.predict(ROW)[0] == 200
    asked = ASK if said_by == "model" else ASK.replace(b"host: a", b"host: a\r\nx-mainspring-deadline-ms: 1500")
    for _ in range(2):  # a crowd costs more each than one that comes alone; it learns that, too
        crowd = Crowd(site.port, 400)
        try:
            crowd.ask(range(400), asked)
            crowd.hear(400)
        finally:
            crowd.close()
    statuses = Counter(status for _, _, status in crowd.came)
    assert set(statuses) <= {200, 429, 504}
    assert statuses[429] > 100, statuses
    assert statuses[504] < 200  # where they queue for as long as they like, it is three of four


def test_what_follows_a_refused_body_on_its_connection_is_read_as_a_request_of_its_own(busy: Any, raw: Any) -> None:
    hidden = b"POST /outcomes/late HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    head = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
    statuses: list[bytes] = []
    while statuses[:1] != [b"429"]:
        crowd = Crowd(busy.port, 2 * WAITING)
        try:
            crowd.ask(range(2 * WAITING))
            last = b"GET /live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            said = raw(busy.port, head % len(hidden) + hidden + last, wait_s=60.0)
            crowd.hear(2 * WAITING)
        finally:
            crowd.close()
        statuses = [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]]
        assert statuses in ([b"429", b"200"], [b"400", b"200"])  # what came as a body is never taken for a request


def test_callers_that_hang_up_before_they_are_refused_harm_nobody(busy: Any, metric: Any) -> None:
    crowd = Crowd(busy.port, 2 * WAITING)
    crowd.ask(range(2 * WAITING))
    crowd.close()
    busy.wait(lambda: metric(busy, "mainspring_in_flight") == 1)  # the scrape itself
    assert busy.predict(ROW)[0] == 200
    assert "Traceback" not in busy.logs()


def test_what_is_refused_is_counted_and_leaves_nothing_in_the_log(busy: Any, metric: Any) -> None:
    before = len(busy.records(Request)), metric(busy, "mainspring_problems_total")
    crowd = Crowd(busy.port, 4 * WAITING)
    try:
        crowd.ask(range(4 * WAITING))
        crowd.hear(4 * WAITING)
    finally:
        crowd.close()
    refused = sum(status == 429 for _, _, status in crowd.came)
    assert refused > 50  # more than are told one by one
    assert metric(busy, "mainspring_problems_total") - before[1] == refused
    answered = 4 * WAITING - refused
    busy.wait(lambda: len(busy.records(Request)) == before[0] + answered)
    assert answered < 4 * WAITING
