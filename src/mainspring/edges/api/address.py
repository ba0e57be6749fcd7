"""Where a running control is, and the token that it takes: ``run/control.json``, readable by the owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec


class ControlAddress(msgspec.Struct, frozen=True):
    """What ``run/control.json`` says. Both tokens are new at each start of control.

    Whoever reads ``token`` can read the home; ``page_token`` is given to a browser, and opens what a page orders.
    """

    host: str
    port: int
    token: str
    process: int
    certificate: str = ""
    page_token: str = ""

    def __repr__(self) -> str:
        return f"ControlAddress(host={self.host!r}, port={self.port}, process={self.process})"


def new_address(host: str, port: int, certificate: str = "") -> ControlAddress:
    """Return an address with fresh random tokens for this process; where it speaks TLS, with its certificate."""
    return ControlAddress(host, port, secrets.token_urlsafe(32), os.getpid(), certificate, secrets.token_urlsafe(32))


def write_address(home: Path, address: ControlAddress) -> None:
    """Publish the address, whole or not at all."""
    target = home / "run" / "control.json"
    staged = target.with_name(f"control.json.{address.process}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(address))
    staged.rename(target)


def read_address(home: Path) -> ControlAddress | None:
    """Return the address that was published, if its process is still alive."""
    try:
        found = msgspec.json.decode((home / "run" / "control.json").read_bytes(), type=ControlAddress)
        os.kill(found.process, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return found


def withdraw_address(home: Path, address: ControlAddress) -> None:
    """Take the address back, unless another control has published its own since."""
    published = read_address(home)
    if published == address:
        (home / "run" / "control.json").unlink(missing_ok=True)
