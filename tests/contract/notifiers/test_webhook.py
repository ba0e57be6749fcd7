"""The webhook against a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mainspring.adapters.notifiers.outbound import Outbound
from mainspring.adapters.notifiers.webhook import Webhook, sign, verify
from mainspring.kernel.errors import InvalidInput, Refused, Unavailable
from mainspring.monitoring.ports import Notice

SECRET = "a secret of enough length"
NOTICE = Notice(
    "ntc_1", "opened", "alm_1", "flights", "late", "quality", "version 1", "it fell", "2013-05-03T12:00:00Z"
)


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets and answers with ``status``, after ``wait_s``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.wait_s = 204, 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alarms?team=ml"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()} | {"path": self.path}, body))
        time.sleep(self.server.wait_s)
        self.send_response(self.server.status)
        self.send_header("location", self.server.url)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def outbound(**changes) -> Outbound:
    return Outbound(
        **{"hosts": ("127.0.0.1",), "allow_private": True, "allow_plain": True, "timeout_s": 1.0, **changes}
    )


def webhook(receiver: Receiver, **changes) -> Webhook:
    return Webhook(name="ops", url=receiver.url, secret=SECRET, outbound=outbound(**changes))


def test_a_notice_arrives_signed(receiver):
    webhook(receiver).notify(NOTICE)
    [(headers, body)] = receiver.got
    assert json.loads(body)["reason"] == "it fell"
    assert headers["path"] == "/alarms?team=ml"
    assert headers["x-mainspring-notice"] == "ntc_1"
    stamp, signature = headers["x-mainspring-timestamp"], headers["x-mainspring-signature"]
    assert verify(SECRET.encode(), stamp, body, signature, now_s=time.time())
    assert not verify(SECRET.encode(), stamp, body + b" ", signature, now_s=time.time())
    assert not verify(b"another", stamp, body, signature, now_s=time.time())
    assert not verify(SECRET.encode(), stamp, body, signature, now_s=time.time() + 301)


def test_a_signature_covers_the_time():
    assert sign(b"k", "1", b"23") != sign(b"k", "12", b"3")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_receiver_in_trouble_is_tried_again_later(receiver, status):
    receiver.status = status
    with pytest.raises(Unavailable, match=str(status)):
        webhook(receiver).notify(NOTICE)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404])
def test_a_redirect_or_refusal_is_not_followed_and_not_repeated(receiver, status):
    receiver.status = status
    with pytest.raises(Refused, match=str(status)):
        webhook(receiver).notify(NOTICE)
    assert len(receiver.got) == 1


def test_a_receiver_that_hangs_is_given_up_within_the_time(receiver):
    receiver.wait_s = 1.0
    start_s = time.monotonic()
    with pytest.raises(Unavailable):
        webhook(receiver, timeout_s=0.2).notify(NOTICE)
    assert time.monotonic() - start_s < 0.9


def test_nobody_listening_is_unavailable(receiver):
    gone = Webhook(name="ops", url="http://127.0.0.1:1/", secret=SECRET, outbound=outbound())
    with pytest.raises(Unavailable):
        gone.notify(NOTICE)


def test_a_name_that_leads_to_a_private_address_is_refused(receiver):
    hidden = Webhook(
        name="ops",
        url=receiver.url.replace("127.0.0.1", "localhost"),
        secret=SECRET,
        outbound=outbound(hosts=("localhost",), allow_private=False),
    )
    with pytest.raises(Refused, match="private address"):
        hidden.notify(NOTICE)
    assert receiver.got == []


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://elsewhere.example/", Refused),
        ("https://127.0.0.1.elsewhere.example/", Refused),
        ("http://user:pass@127.0.0.1/", InvalidInput),
        ("ftp://127.0.0.1/", InvalidInput),
        ("file:///etc/passwd", InvalidInput),
        ("127.0.0.1", InvalidInput),
        ("http://127.0.0.1:99999/", InvalidInput),
    ],
)
def test_only_allowed_hosts_are_named(url, error):
    with pytest.raises(error):
        Webhook(name="ops", url=url, secret=SECRET, outbound=outbound())


def test_plain_http_needs_a_word():
    with pytest.raises(Refused, match="not encrypted"):
        Webhook(name="ops", url="http://127.0.0.1/", secret=SECRET, outbound=outbound(allow_plain=False))


def test_a_short_secret_is_refused_and_no_secret_shows():
    with pytest.raises(InvalidInput):
        Webhook(name="ops", url="http://127.0.0.1/", secret="short", outbound=outbound())
    assert SECRET not in repr(Webhook(name="ops", url="http://127.0.0.1/", secret=SECRET, outbound=outbound()))


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example/{}",
        "ftp://127.0.0.1/{}",
        "http://127.0.0.1:x/{}",
        "http://127.0.0.1/ {}",
        "http://a:{}@127.0.0.1/",
    ],
)
def test_a_url_that_is_refused_does_not_show_its_token(url: str) -> None:
    with pytest.raises((InvalidInput, Refused)) as refused:
        outbound().post(url.format("s3cRetXY"), b"", {})
    assert "s3cRetXY" not in str(refused.value)
