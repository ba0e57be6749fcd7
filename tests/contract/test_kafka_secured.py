"""A broker behind TLS and SASL: whoever is named with the right password writes and reads, nobody else does.

The broker of the tests knows neither: a front stands before it that ends TLS and takes names, as the protocol says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.settings import Settings, read_settings, shown
from mainspring.adapters.spools import spool_opener, spool_reader
from mainspring.adapters.streams.kafka.place import Access, place_of
from mainspring.adapters.streams.kafka.writer import Messages
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.log.records import Outcomes
from mainspring.log.segments import Position
from mainspring.log.spool import Policy

USER, PASSWORD = "shop", "hush, 'hush'=1"
HANDSHAKE, AUTHENTICATE, API_VERSIONS = 17, 36, 18
REFUSED = 58
LIMIT_S = 60.0


def text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


class Scram:
    """The server's side of RFC 5802."""

    def __init__(self, algorithm: str) -> None:
        self._hash = algorithm
        self._salt, self._nonce, self._began = secrets.token_bytes(16), secrets.token_hex(8), ""
        self.accepted: bool | None = None

    def answer(self, said: bytes) -> bytes:
        return self._first(said.decode()) if not self._began else self._final(said.decode())

    def _first(self, said: str) -> bytes:
        bare = said.removeprefix("n,,")
        fields = dict(part.split("=", 1) for part in bare.split(","))
        self._named = fields["n"] == USER
        self._server = f"r={fields['r']}{self._nonce},s={base64.b64encode(self._salt).decode()},i=4096"
        self._began = bare
        return self._server.encode()

    def _final(self, said: str) -> bytes:
        without, _, proof = said.rpartition(",p=")
        signed = f"{self._began},{self._server},{without}".encode()
        salted = hashlib.pbkdf2_hmac(self._hash, PASSWORD.encode(), self._salt, 4096)
        key = hmac.digest(salted, b"Client Key", self._hash)
        signature = hmac.digest(hashlib.new(self._hash, key).digest(), signed, self._hash)
        wanted = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        self.accepted = self._named and hmac.compare_digest(base64.b64decode(proof), wanted)
        verifier = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), signed, self._hash)
        return b"v=" + base64.b64encode(verifier)


class Plain:
    accepted: bool | None = None

    def answer(self, said: bytes) -> bytes:
        self.accepted = said.split(b"\0")[1:] == [USER.encode(), PASSWORD.encode()]
        return b""


MECHANISMS: dict[str, Callable[[], Any]] = {
    "PLAIN": Plain,
    "SCRAM-SHA-256": lambda: Scram("sha256"),
    "SCRAM-SHA-512": lambda: Scram("sha512"),
}


class Front:
    """Ends TLS, asks who it is, and hands on the rest; the broker's own address is replaced in what it says."""

    def __init__(self, broker: str, cert: Path, key: Path, *, sasl: bool) -> None:
        host, port = broker.split(":")
        self._broker, self._sasl = (host, int(port)), sasl
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(cert, key)
        if not sasl:  # then the caller's certificate says who it is
            self._tls.verify_mode = ssl.CERT_REQUIRED
            self._tls.load_verify_locations(cert)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._from, self._to = (b"127.0.0.1" + struct.pack(">i", one) for one in (int(port), self.port))
        self._open: list[socket.socket] = []
        self._closing = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):  # whoever serves it closes it
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT_S)

    def _accept(self) -> None:
        serving = []
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                plain.settimeout(LIMIT_S)
                serving.append(threading.Thread(target=self._serve, args=(plain,)))
                serving[-1].start()
        for one in serving:
            one.join(LIMIT_S)

    def _serve(self, plain: socket.socket) -> None:
        with (
            suppress(OSError, EOFError),
            self._tls.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(self._broker) as broker,
        ):
            self._open += [client, broker]
            held, known = None, not self._sasl
            while not self._closing:
                request = _frame(client)
                kind, version, number = struct.unpack_from(">hhi", request)
                if kind == HANDSHAKE and self._sasl:
                    name, _ = text(request, text(request, 8)[1])
                    held = MECHANISMS[name]()
                    _send(client, struct.pack(">ihi", number, 0, 0))
                elif kind == AUTHENTICATE and held is not None:
                    at = text(request, 8)[1]
                    said = held.answer(request[at + 4 :])
                    known = bool(held.accepted)
                    error, lasts = REFUSED if held.accepted is False else 0, bytes(8) * version
                    _send(client, struct.pack(">ihhi", number, error, -1, len(said)) + said + lasts)
                elif known or kind == API_VERSIONS:
                    _send(broker, request)
                    _send(client, _frame(broker).replace(self._from, self._to))
                else:
                    raise EOFError


def _frame(line: socket.socket) -> bytes:
    (length,) = struct.unpack(">i", _exactly(line, 4))
    return _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _send(line: socket.socket, data: bytes) -> None:
    line.sendall(struct.pack(">i", len(data)) + data)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for this machine, which is its own authority, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, secret, now = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker.test")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, secret.public_key(), 1, now - timedelta(1), now + timedelta(1))
    signed = made.add_extension(here, critical=False).sign(secret, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    unlocked = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, unlocked))
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def standing(broker: str, pair: tuple[Path, Path], *, sasl: bool) -> Iterator[str]:
    front = Front(broker, *pair, sasl=sasl)
    try:
        yield f"kafka://127.0.0.1:{front.port}/secured-{secrets.token_hex(4)}"
    finally:
        front.close()


def through(settings: Settings, folder: Path) -> list[int]:
    """Write two records and read them."""
    reader = spool_reader(settings, folder, LocalDisk())
    at: dict[str, Position] = {}
    try:
        reader.read(at, 10)
        writer = spool_opener(settings, folder, LocalDisk())("b_1", "durable")
        for number in (1, 2):
            writer.append(Outcomes("prj_1", "mod_1", (str(number),), (1.0,), (number,), (number,)))
        writer.close()
        found: list[int] = []
        until_s = time.monotonic() + LIMIT_S
        while len(found) < 2 and time.monotonic() < until_s:
            for reading in reader.read(at, 10):
                at[reading.boot] = reading.position
                found += [one.event_us[0] for one in reading.records if isinstance(one, Outcomes)]
        return found
    finally:
        reader.close()


@pytest.mark.parametrize("mechanism", list(MECHANISMS))
def test_a_broker_that_asks_for_a_name_takes_and_gives_records(
    kafka: str, pair: tuple[Path, Path], tmp_path: Path, mechanism: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with standing(kafka, pair, sasl=True) as url:
        lines = [f'spool = "{url}"', "kafka_tls = true", f'kafka_ca = "{pair[0]}"', f'kafka_user = "{USER}"']
        (home / "settings.toml").write_text("\n".join([*lines, f'kafka_mechanism = "{mechanism}"', ""]))
        settings, _ = read_settings(home, {"MAINSPRING_KAFKA_PASSWORD": PASSWORD})
        assert through(settings, tmp_path / "spool") == [1, 2]


def test_a_broker_that_asks_for_a_certificate_takes_and_gives_records(
    kafka: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = map(str, pair)
    with standing(kafka, pair, sasl=False) as url:
        settings = Settings(spool=url, kafka_tls=True, kafka_ca=cert, kafka_cert=cert, kafka_key=key)
        assert through(settings, tmp_path / "spool") == [1, 2]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_said_to_be_one_and_stands_nowhere(
    kafka: str, pair: tuple[Path, Path], mechanism: Any
) -> None:
    with standing(kafka, pair, sasl=True) as url:
        access = Access(tls=True, ca=str(pair[0]), user=USER, mechanism=mechanism, password="no-such-password")
        messages = Messages(place_of(url, access), "b_1", Policy("durable", 5))
        with pytest.raises(Unavailable, match="uthentication") as refused:
            messages.write(b"nothing")
        messages.close()
        assert "no-such-password" not in f"{refused.value}{access!r}"


def test_a_broker_whose_certificate_is_not_trusted_gets_neither_name_nor_records(
    kafka: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    with standing(kafka, pair, sasl=True) as url:
        settings = Settings(spool=url, kafka_tls=True, kafka_user=USER, kafka_password=PASSWORD)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            through(settings, tmp_path / "spool")


def test_what_cannot_be_or_would_be_sent_in_the_clear_is_refused_by_name(tmp_path: Path) -> None:
    def opened(**given: Any) -> None:
        settings = Settings(spool="kafka://127.0.0.1:9/t", **given)
        spool_opener(settings, tmp_path, LocalDisk())("b_1", "batched")

    for given, field, why in [
        (
            {"kafka_user": USER, "kafka_password": PASSWORD, "kafka_mechanism": "PLAIN"},
            "kafka_mechanism",
            "in the clear",
        ),
        ({"kafka_user": USER}, "kafka_password", "is needed"),
        ({"kafka_ca": "/ca.pem"}, "kafka_tls", "is off"),
        ({"kafka_tls": True, "kafka_cert": "/cert.pem"}, "kafka_cert, kafka_key", "other half"),
        ({"kafka_user": USER, "kafka_password_file": str(tmp_path / "none")}, "kafka_password_file", "cannot be read"),
        ({"kafka_password": "a", "kafka_password_file": "b"}, "kafka_password, kafka_password_file", "twice"),
        ({"kafka_tls": True, "kafka_ca": str(tmp_path / "none.pem")}, "kafka", "ssl.ca.location"),
    ]:
        with pytest.raises(InvalidInput, match=why) as refused:
            opened(**given)
        assert refused.value.field == field
        assert PASSWORD not in str(refused.value)


def test_a_password_comes_from_the_environment_or_a_file_of_its_own_and_is_never_shown(tmp_path: Path) -> None:
    settings, told = read_settings(tmp_path, {"MAINSPRING_KAFKA_PASSWORD": PASSWORD, "MAINSPRING_KAFKA_USER": USER})
    assert settings.kafka_password == PASSWORD
    assert shown(settings)["kafka_password"] == "set"
    assert PASSWORD not in f"{settings!r}{told!r}"
    (tmp_path / "settings.toml").write_text('kafka_password = "hush"\n')
    with pytest.raises(InvalidInput, match="does not belong into a file") as refused:
        read_settings(tmp_path, {})
    assert "hush" not in str(refused.value)
