"""Ask a verb of the control that runs, or of the home itself when none does: the same call, the same result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from mainspring.edges.api.address import ControlAddress, read_address
from mainspring.edges.network import reachable
from mainspring.edges.person import local_actor, said_name
from mainspring.edges.verbs.standing import why_silent
from mainspring.edges.verbs.verb import Verb, encode
from mainspring.kernel.errors import MainspringError, Unavailable

if TYPE_CHECKING:
    import http.client

_SHORT_S, _LONG_S = 60.0, 24 * 3_600.0


class Told(MainspringError):
    """An error as control told it, kept word for word."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("message", "control refused")))
        self.body = body

    def as_dict(self) -> dict[str, Any]:
        return self.body


def home_folder(given: str | None) -> Path:
    """Return the home: what was given, else MAINSPRING_HOME, else ./mainspring-home."""
    return Path(given or os.environ.get("MAINSPRING_HOME") or "mainspring-home").absolute()


def ask(verb: Verb, values: dict[str, Any], *, home: Path, by: str | None) -> Any:
    """Return the verb's result as JSON values. ``by`` is what the caller says of itself.

    Who it really is follows from the operating system's user, or from the key in MAINSPRING_KEY.
    """
    asked = verb.read(values)
    address, key = read_address(home), os.environ.get("MAINSPRING_KEY", "")
    if address is not None:
        return _ask_control(home, address, verb, values, said_name(by), key or address.token)
    if key:
        remedy = "start one with: mainspring up; or take MAINSPRING_KEY out of the environment"
        raise Unavailable("a key is checked by control, and none runs", field="MAINSPRING_KEY", remedy=remedy)
    from mainspring.edges.cli.opening import opened

    with opened(home, verb, asked) as platform:
        return msgspec.json.decode(encode(verb.call(platform, asked, local_actor(by))))


def _ask_control(home: Path, address: ControlAddress, verb: Verb, values: dict[str, Any], by: str, token: str) -> Any:
    import http.client

    hangs = why_silent(home / "run", "control")
    if hangs is not None:
        raise Unavailable(f"does not answer: {hangs}", field="control")
    wait_s = _LONG_S if verb.long_running else _SHORT_S
    connection = _connection(address, wait_s)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        if verb.mutates:
            headers |= {
                "Content-Type": "application/json",
                "X-Mainspring-Request": "1",
                "X-Mainspring-Actor": quote(by),
            }
            connection.request("POST", verb.path, msgspec.json.encode(values), headers)
        else:
            connection.request("GET", f"{verb.path}?{urlencode(_query(values))}", headers=headers)
        answer = connection.getresponse()
        body = msgspec.json.decode(answer.read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise Unavailable(
            "control does not answer",
            field="control",
            value=f"{address.host}:{address.port}",
            remedy="see run/ in the home, or stop it and ask again",
        ) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Told(body)
    return body


def _connection(address: ControlAddress, wait_s: float) -> http.client.HTTPConnection:
    """Return a connection to control; where it speaks TLS, it must hold the certificate that its address names."""
    import http.client

    host = reachable(address.host)
    if not address.certificate:
        return http.client.HTTPConnection(host, address.port, timeout=wait_s)
    import ssl

    trusted = ssl.create_default_context(cafile=address.certificate)
    trusted.check_hostname = False  # it is the very certificate, whatever name it was made for
    return http.client.HTTPSConnection(host, address.port, timeout=wait_s, context=trusted)


def _query(values: dict[str, Any]) -> dict[str, str]:
    shown = {True: "true", False: "false"}
    return {
        name: shown.get(value, str(value)) if isinstance(value, bool) else str(value) for name, value in values.items()
    }
