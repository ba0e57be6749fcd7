"""Listening beyond this machine: only with keys, and only encrypted or behind a proxy that says so."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from mainspring.adapters.settings import Settings
from mainspring.kernel.errors import InvalidInput, Refused

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def closed(settings: Settings, host: str) -> bool:
    """Tell whether a listener on ``host`` asks for keys; refuse one that would send them in the clear."""
    if host in LOOPBACK:
        return settings.require_keys
    if not settings.tls_cert and not settings.behind_proxy:
        raise Refused(
            "would be asked without encryption from beyond this machine", field="host", value=host,
            remedy="use 127.0.0.1, or set tls_cert and tls_key, or behind_proxy = true where a proxy ends TLS",
        )  # fmt: skip
    return True


def tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what a gateway encrypts with, if TLS is set."""
    files = encryption(settings)
    if not files:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files["ssl_cert"], files["ssl_key"])
    except (ssl.SSLError, OSError) as error:
        remedy = "name a certificate and its key in PEM form"
        raise InvalidInput(
            f"cannot be read: {error}", field="tls_cert", value=str(files["ssl_cert"]), remedy=remedy
        ) from None
    return context


def encryption(settings: Settings) -> dict[str, Any]:
    """Return the options for TLS of control's server, if it is set; a key that others could read is refused."""
    if not settings.tls_cert:
        return {}
    files = {"tls_cert": Path(settings.tls_cert), "tls_key": Path(settings.tls_key)}
    for name, path in files.items():
        if not path.is_file():
            raise InvalidInput("is no file", field=name, value=str(path), remedy="name a file in PEM form")
    if files["tls_key"].stat().st_mode & 0o077:
        remedy = f"chmod 600 {files['tls_key']}"
        raise Refused("can be read by others", field="tls_key", value=str(files["tls_key"]), remedy=remedy)
    return {"ssl_cert": files["tls_cert"].absolute(), "ssl_key": files["tls_key"].absolute()}


def reachable(host: str) -> str:
    """Return where a listener on ``host`` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is looked up, not listened on)
