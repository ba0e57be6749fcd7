"""Permits, deadlines and bodies: what is refused early, and who holds what for how long."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Request
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
DISTANCE = (Column("distance", "float"),)
WAITS = """
import time

def answer(frame, params):
    time.sleep(params['wait_s'] * len(frame))
    return [0.5] * len(frame)
"""


def serve_slow(site: Any, wait_s: float, deadline_ms: int, **limits: str) -> None:
    champion = rule_version(site.blobs, "ver_1", 1, WAITS, DISTANCE, params={"wait_s": wait_s})
    site.publish(routing(1, model_route(champion, deadline_ms=deadline_ms), [champion]))
    site.models()
    site.gateway(**limits)
    site.ready()


def serve_quick(site: Any, **limits: str) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    site.publish(routing(1, model_route(champion), [champion]))
    site.gateway(**limits)
    site.ready()


def hang_up_after_asking(port: int, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        time.sleep(0.2)


def test_who_hangs_up_frees_no_permit_before_the_work_has_ended(site: Any, metric: Any, body: bytes) -> None:
    serve_slow(site, 2.0, 10_000, MAINSPRING_LIMITS_MODEL_REQUESTS="2")
    for _ in range(2):
        hang_up_after_asking(site.port, body)
    assert metric(site, "mainspring_model_requests") == 2
    began_s = time.monotonic()
    status, said, headers = site.ask("/predict/late", ROW)
    assert (status, said["code"]) == (429, "too_many")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert metric(site, "mainspring_model_requests") >= 1  # it was refused while the work went on
    assert time.monotonic() - began_s < 10
    site.wait(lambda: metric(site, "mainspring_model_requests") == 0)
    assert site.predict(ROW)[0] == 200


def test_a_late_answer_holds_its_permit_until_it_comes(site: Any, metric: Any) -> None:
    serve_slow(site, 1.5, 300, MAINSPRING_LIMITS_MODEL_REQUESTS="1")
    assert site.predict(ROW)[1]["code"] == "deadline_exceeded"
    assert site.predict(ROW)[1]["code"] == "too_many"
    site.wait(lambda: metric(site, "mainspring_model_requests") == 0)
    assert site.predict(ROW)[1]["code"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("deadline", "status", "code"),
    [
        ("100", 504, "deadline_exceeded"),
        ("999999", 504, "deadline_exceeded"),
        ("0", 400, "wrong_deadline"),
        ("-5", 400, "wrong_deadline"),
        ("1.5", 400, "wrong_deadline"),
        ("soon", 400, "wrong_deadline"),
    ],
)
def test_a_caller_may_shorten_the_deadline_and_never_lengthen_it(
    slow: Any, deadline: str, status: int, code: str
) -> None:
    answered, said = slow.predict(ROW, x_mainspring_deadline_ms=deadline)
    assert (answered, said["code"]) == (status, code)


@pytest.fixture(scope="module")
def slow(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = new_site(tmp_path_factory.mktemp("slow") / "home")
    serve_slow(made, 1.0, 500)
    yield made
    made.stop()


def test_a_deadline_that_passed_while_the_body_came_starts_no_work(site: Any, body: bytes) -> None:
    serve_quick(site)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        head = b"POST /predict/late HTTP/1.1\r\nhost: a\r\nx-mainspring-deadline-ms: 50\r\ncontent-length: %d\r\n\r\n"
        connection.sendall(head % len(body))
        time.sleep(0.5)
        connection.sendall(body)
        said = connection.recv(65_536)
    assert said.startswith(b"HTTP/1.1 504 ")
    assert site.predict(ROW)[0] == 200
    site.wait(lambda: len(site.records(Request)) == 1)  # nothing was drawn for the first


def test_bodies_that_are_being_received_may_hold_so_much_together(site: Any, metric: Any) -> None:
    serve_quick(site, MAINSPRING_LIMITS_BODIES_BYTES=str(4 * 1024 * 1024), MAINSPRING_LIMITS_BODY_S="30")
    held = []
    head = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n"
    for _ in range(4):
        connection = socket.create_connection(("127.0.0.1", site.port), timeout=20)
        connection.sendall(head)
        held.append(connection)
    site.wait(lambda: metric(site, "mainspring_bodies_bytes") == 4 * 1024 * 1024)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(head)
        said = connection.recv(65_536)
    assert said.startswith(b"HTTP/1.1 429 ")
    assert site.predict(ROW)[0] == 200  # small bodies do not matter
    for connection in held:
        connection.close()
    site.wait(lambda: metric(site, "mainspring_bodies_bytes") == 0)


def test_slow_and_half_open_connections_hold_up_nobody(site: Any, metric: Any) -> None:
    serve_quick(
        site,
        MAINSPRING_LIMITS_HEADER_S="2",
        MAINSPRING_LIMITS_BODY_S="2",
        MAINSPRING_LIMITS_REQUESTS="8",
    )
    said = (
        b"",
        b"POST /predict/late HTTP/1.1\r\nhost: a\r\nx-slow: ",
        b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: 60\r\n\r\n{",
        b"POST /predict/late HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{",
    )
    held = []
    for number in range(120):
        connection = socket.create_connection(("127.0.0.1", site.port), timeout=30)
        connection.sendall(said[number % len(said)])
        held.append(connection)
    assert [site.predict(ROW)[0] for _ in range(30)] == [200] * 30
    answers = [_until_closed(connection) for connection in held]
    assert {answer[:12] for answer in answers[2::4]} == {b"HTTP/1.1 408"}
    assert {answer[:12] for answer in answers[3::4]} == {b"HTTP/1.1 408"}
    assert {answer[:12] for answer in answers[0::4] + answers[1::4]} == {b""}  # closed without a word
    assert metric(site, "mainspring_in_flight") == 1  # the scrape itself


def _until_closed(connection: socket.socket) -> bytes:
    said = b""
    try:
        while piece := connection.recv(65_536):
            said += piece
    except ConnectionError:
        pass
    finally:
        connection.close()
    return said


def test_a_body_that_breaks_off_is_no_fault_of_ours(site: Any, metric: Any) -> None:
    serve_quick(site)
    for data in (b"content-length: 500\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n5\r\n{"):
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            connection.sendall(b"POST /predict/late HTTP/1.1\r\nhost: a\r\n" + data)
            time.sleep(0.1)
    site.wait(lambda: metric(site, "mainspring_in_flight") == 1)
    assert "Traceback" not in site.logs()
    assert site.predict(ROW)[0] == 200


def test_requests_at_work_are_limited_and_health_is_spared(site: Any) -> None:
    serve_slow(site, 1.0, 20_000, MAINSPRING_LIMITS_REQUESTS="3")
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(site.predict(ROW)[0])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    site.wait(lambda: statuses.count(429) == 5)
    assert site.ask("/live")[0] == 200
    assert site.ask("/ready")[0] == 200
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 3


def test_what_is_refused_is_said_as_json(slow: Any) -> None:
    status, said, headers = slow.ask("/predict/late", [ROW] * 1_001)
    assert (status, said["code"], headers["content-type"]) == (413, "too_large", "application/json")
    assert json.dumps(said)
