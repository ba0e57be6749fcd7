"""Control beyond this machine's loopback: keys made by the verbs, roles on every route, TLS, and the command line."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mainspring.adapters.home import Home, create_home
from mainspring.edges.api.server import ControlServer
from mainspring.edges.verbs import VERBS
from mainspring.edges.verbs import keys as key_verbs
from mainspring.edges.verbs.verb import Nothing
from mainspring.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from mainspring.ledger.queries import entries
from mainspring.platform import Platform, open_platform

NETWORK = "127.0.0.2"
CHANGE = {"X-Mainspring-Request": "1", "Content-Type": "application/json", "X-Mainspring-Actor": "mallory"}


class Site:
    """A control on a network address, with a key for each role."""

    def __init__(self, platform: Platform, server: ControlServer, certificate: Path, keys: dict[str, str]) -> None:
        self.platform, self.server, self.keys = platform, server, keys
        self.trusted = ssl.create_default_context(cafile=str(certificate))
        self.trusted.check_hostname = False

    def ask(self, method: str, path: str, key: str | None, **headers: str) -> tuple[int, Any]:
        sent = dict(headers) | (CHANGE if method == "POST" else {})
        if key is not None:
            sent["Authorization"] = key
        port = self.server.address.port
        with closing(http.client.HTTPSConnection(NETWORK, port, timeout=20, context=self.trusted)) as connection:
            connection.request(method, path, b"{}" if method == "POST" else None, sent)
            answer = connection.getresponse()
            body = answer.read()
        return answer.status, msgspec.json.decode(body) if answer.headers.get_content_subtype() == "json" else body


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Site]:
    home = create_home(tmp_path_factory.mktemp("network") / "home")
    cert, key = certificate
    (home.root / "settings.toml").write_text(f'tls_cert = "{cert}"\ntls_key = "{key}"\nhosts = ["ops.example"]\n')
    with closing(open_platform(home)) as platform:
        keys = {
            role: key_verbs.create(
                platform, key_verbs.Create(reason="tested", name=f"for {role.replace(':', ' ')}", role=role), "ana"
            ).key
            for role in ("predict", "outcome", "read", "operate", "approve", "approve:risk")
        }
        with ControlServer(platform, host=NETWORK) as server:
            yield Site(platform, server, cert, keys)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_is_done_for_keys_with_its_role_alone(site: Site, verb: Any) -> None:
    method = "POST" if verb.mutates else "GET"
    approving = {"operate", "approve", "approve:risk"}
    allowed = {"read": {"read", "operate"}, "operate": {"operate"}, "approve": approving, "owner": set()}[
        verb.permission
    ]
    assert site.ask(method, verb.path, None)[0] == 401
    assert site.ask(method, verb.path, "Bearer key_x.y")[0] == 401
    for role, key in site.keys.items():
        if role in allowed and verb.long_running:
            continue  # it would really be done
        status, said = site.ask(method, verb.path, f"Bearer {key}")
        assert (status == 403 and said["field"] == "role") is (role not in allowed), (role, status, said)


def test_pages_are_shown_to_who_holds_a_key_that_reads(site: Site) -> None:
    def as_password(key: str) -> str:
        return "Basic " + b64encode(f"ana:{key}".encode()).decode()

    for path in ("/", "/style.css"):
        assert site.ask("GET", path, None)[0] == 401
        assert site.ask("GET", path, as_password("key_x.y"))[0] == 401
        assert site.ask("GET", path, "Basic not base64")[0] == 401
        assert site.ask("GET", path, as_password(site.keys["predict"]))[0] == 401
        assert site.ask("GET", path, as_password(site.keys["read"]))[0] == 200
        assert site.ask("GET", path, f"Bearer {site.keys['operate']}")[0] == 200
    assert site.ask("GET", "/live", None)[0] == 200


def test_a_key_acts_in_its_own_name_whatever_the_caller_says(site: Site) -> None:
    status, _ = site.ask("POST", "/api/loop/ingest", f"Bearer {site.keys['operate']}")
    assert status == 200
    # A password that a browser keeps opens pages, and does nothing.
    basic = "Basic " + b64encode(f"ana:{site.keys['operate']}".encode()).decode()
    assert site.ask("POST", "/api/loop/ingest", basic)[0] == 401


def test_only_known_hosts_are_answered(site: Site) -> None:
    read = f"Bearer {site.keys['read']}"
    assert site.ask("GET", "/api/status", read, Host="ops.example")[0] == 200
    assert site.ask("GET", "/api/status", read, Host="evil.example")[0] == 421


def test_the_command_line_asks_over_tls_with_the_token(site: Site) -> None:
    command = [sys.executable, "-m", "mainspring.edges.cli", "key", "list", "--json", "--home"]
    done = subprocess.run(
        [*command, str(site.platform.home.root)], capture_output=True, check=False, timeout=120, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    names = {key["name"] for key in msgspec.json.decode(done.stdout)}
    assert {"for predict", "for outcome", "for read", "for operate"} <= names
    assert b"hash" not in done.stdout


def test_control_does_not_start_in_the_clear_on_a_network(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home")
    with closing(open_platform(home)) as platform, pytest.raises(Refused, match="without encryption"):
        ControlServer(platform, host=NETWORK)


def test_a_key_is_shown_once_kept_as_a_hash_and_published_to_gateways(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home")
    with closing(open_platform(home)) as platform:
        made = key_verbs.create(
            platform, key_verbs.Create(reason="tested", name="shop", role="outcome, predict", expires="1d"), "ana"
        )
        assert made.key not in repr(made)
        route = platform.routing.read().keys[0]
        assert (route.name, route.roles) == ("shop", ("predict", "outcome"))
        assert route.expires_us == pytest.approx(platform.clock.now_us() + 86_400_000_000, abs=60_000_000)
        with pytest.raises(Conflict, match="there is a key of that name"):
            key_verbs.create(platform, key_verbs.Create(reason="tested", name="shop", role="read"), "ana")
        ended = key_verbs.revoke(platform, key_verbs.Revoke(reason="tested", name="shop"), "bob")
        assert (ended.revoked_by, platform.routing.read().keys) == ("bob", ())
        again = key_verbs.create(
            platform, key_verbs.Create(reason="tested", name="shop", role="read", expires="never"), "ana"
        )
        assert again.key != made.key
        assert again.expires_us is None
        assert [key.name for key in key_verbs.list_keys(platform, Nothing(), "")] == ["shop", "shop"]
        with platform.store.read() as connection:
            told = [(one.kind, one.actor) for one in entries(connection) if one.kind.startswith("key.")]
        assert sorted(told) == [("key.created", "ana"), ("key.created", "ana"), ("key.revoked", "bob")]
        for wrong, error in (
            (key_verbs.Create(reason="tested", name="a", role="predcit"), InvalidInput),
            (key_verbs.Create(reason="tested", name="a", role=""), InvalidInput),
            (key_verbs.Create(reason="tested", name="a\nb", role="read"), InvalidInput),
        ):
            with pytest.raises(error):
                key_verbs.create(platform, wrong, "ana")
        with pytest.raises(NotFound):
            key_verbs.revoke(platform, key_verbs.Revoke(reason="tested", name="nobody"), "ana")
    secret = made.key.partition(".")[2].encode()
    assert [path for path in Home(home.root).root.rglob("*") if path.is_file() and secret in path.read_bytes()] == []
