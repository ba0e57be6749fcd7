"""API keys and TLS of a gateway: no route that is not listed as open answers without a key that has its role."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.gateway.routes import OPEN, Route, RouteTable
from mainspring.edges.gateway.table import ROUTES
from mainspring.kernel.errors import Refused
from mainspring.kernel.schema import Column
from mainspring.log.records import Request
from mainspring.serving.keyring import hash_of
from mainspring.serving.routing import KeyRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
NETWORK = "127.0.0.2"  # not this machine's usual loopback, so it counts as a network


def key(name: str, *roles: str, expires_us: int | None = None) -> tuple[str, KeyRoute]:
    token = f"key_{name}.{name * 5}"
    return token, KeyRoute(f"key_{name}", name, hash_of(token), roles, expires_us)


SHOP, SHOP_KEY = key("shop", "predict")
LABELS, LABELS_KEY = key("labels", "outcome")
SCRAPER, SCRAPER_KEY = key("scraper", "read")
ANA, ANA_KEY = key("ana", "predict", "operate")
OLD, OLD_KEY = key("old", "predict", expires_us=1)


@pytest.fixture(scope="module")
def guarded(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("keys") / "home")
    distance = (Column("distance", "float"),)
    versions = [
        onnx_version(site.blobs, f"ver_{number}", number, linear_onnx({"distance": 0.01 * number}), distance)
        for number in (1, 2)
    ]
    keys = (SHOP_KEY, LABELS_KEY, SCRAPER_KEY, ANA_KEY, OLD_KEY)
    site.publish(routing(1, model_route(versions[0], pinned=("ver_2",)), versions, keys=keys))
    site.gateway(MAINSPRING_REQUIRE_KEYS="true")
    site.ready()
    yield site
    site.stop()


def ask(site: Any, path: str, token: str | None, body: Any = ROW, **headers: str) -> tuple[int, Any, Any]:
    proof = {} if token is None else {"authorization": f"Bearer {token}"}
    answer: tuple[int, Any, Any] = site.ask(path, body, **proof, **headers)
    return answer


@pytest.mark.parametrize("route", ROUTES.routes, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer key_shop", "Bearer key_shop.", f"bearer {SHOP}", f"Basic {SHOP}", SHOP,
     f"Bearer {SHOP}x", f"Bearer {SHOP[:-1]}", f"Bearer key_labels.{'shop' * 5}", f"Bearer {OLD}"],
)  # fmt: skip
def test_no_route_but_the_open_ones_answers_without_a_key_that_counts(
    guarded: Any, route: Route, authorization: str | None
) -> None:
    path = route.path.replace("{name}", "late").replace("{version}", "1")
    body = b"{}" if route.method == "POST" else None
    given = {} if authorization is None else {"authorization": authorization}
    status, said, headers = guarded.ask(path, body, method=route.method, **given)
    if route.path in OPEN:
        assert status == 200
    else:
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert "generation" not in str(said)


@pytest.mark.parametrize(
    ("path", "token", "body", "status"),
    [
        ("/predict/late", SHOP, ROW, 200),
        ("/predict/late", ANA, ROW, 200),
        ("/predict/late", LABELS, ROW, 403),
        ("/predict/late", SCRAPER, ROW, 403),
        ("/predict/late?version=2", SHOP, ROW, 403),
        ("/predict/late?version=1", SHOP, ROW, 403),
        ("/predict/late?version=2", ANA, ROW, 200),
        ("/outcomes/late", LABELS, {"id": "f1", "value": True}, 202),
        ("/outcomes/late", SHOP, {"id": "f1", "value": True}, 403),
        ("/metrics", SCRAPER, None, 200),
        ("/metrics", ANA, None, 200),
        ("/metrics", SHOP, None, 403),
        ("/drained", SHOP, None, 403),
    ],
)
def test_a_key_does_what_its_roles_allow(guarded: Any, path: str, token: str, body: Any, status: int) -> None:
    answered, said, _ = ask(guarded, path, token, body)
    assert answered == status, said


def test_the_log_names_the_key_and_not_what_the_caller_says(guarded: Any) -> None:
    ask(guarded, "/predict/late", SHOP, {**ROW, "id": "named"}, x_mainspring_caller="somebody else")
    guarded.wait(lambda: [one for one in guarded.records(Request) if one.entities == ("named",)])
    assert {one.caller for one in guarded.records(Request) if one.entities == ("named",)} == {"shop"}


def test_no_key_stands_in_a_log_or_the_routing(guarded: Any) -> None:
    for path in (*guarded.home.run.rglob("*"), *guarded.home.routing.rglob("*"), *guarded.home.spool.rglob("*")):
        if path.is_file():
            assert not any(token.encode() in path.read_bytes() for token in (SHOP, LABELS, ANA, OLD)), path


def test_a_revoked_key_is_refused_as_soon_as_the_routing_says_so(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    site.publish(routing(1, model_route(champion), [champion], keys=(SHOP_KEY, ANA_KEY)))
    site.gateway(MAINSPRING_REQUIRE_KEYS="true")
    site.ready()
    assert ask(site, "/predict/late", SHOP)[0] == 200
    site.publish(routing(2, model_route(champion), [champion], keys=(ANA_KEY,)))
    site.ready(2)
    assert ask(site, "/predict/late", SHOP)[0] == 401
    assert ask(site, "/predict/late", ANA)[0] == 200


def refusal(home: Path, *arguments: str, **environ: str) -> str:
    import os

    command = [sys.executable, "-m", "mainspring.edges.gateway", "--home", str(home), "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env={**os.environ, **environ})
    assert done.returncode == 78  # by its settings it cannot work, however often it is started
    return done.stderr.decode()


def test_a_gateway_does_not_start_in_the_clear_on_a_network(tmp_path: Path) -> None:
    home = create_home(tmp_path / "home").root
    for host in ("0.0.0.0", "::", NETWORK, "localhost.localdomain"):
        assert "without encryption" in refusal(home, "--host", host)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    home = create_home(tmp_path / "home").root
    loose = tmp_path / "key.pem"
    loose.write_bytes(certificate[1].read_bytes())
    loose.chmod(0o644)
    tls = {"MAINSPRING_TLS_CERT": str(certificate[0]), "MAINSPRING_TLS_KEY": str(loose)}
    assert "tls_key: can be read by others" in refusal(home, "--host", NETWORK, **tls)
    assert "goes with the other half" in refusal(home, MAINSPRING_TLS_CERT=str(certificate[0]))


def test_on_a_network_it_speaks_tls_and_asks_for_keys(site: Any, certificate: tuple[Path, Path]) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    site.publish(routing(1, model_route(champion), [champion], keys=(SHOP_KEY,)))
    tls = {"MAINSPRING_TLS_CERT": str(certificate[0]), "MAINSPRING_TLS_KEY": str(certificate[1])}
    process = site.start("mainspring.edges.gateway", "--host", NETWORK, "--port", "0", "--worker", "0", **tls)
    site.ready()
    port = json.loads((site.home.run / "gateway-0.json").read_bytes())["port"]
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    trusted.check_hostname = False
    for token, status in ((None, 401), (SHOP, 200)):
        connection = http.client.HTTPSConnection(NETWORK, port, timeout=20, context=trusted)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        connection.request("POST", "/predict/late", json.dumps(ROW), headers)
        assert connection.getresponse().status == status
        connection.close()
    plain = http.client.HTTPConnection(NETWORK, port, timeout=20)
    plain.request("GET", "/live")
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()
    assert process.poll() is None


def test_a_route_without_a_permission_or_open_by_mistake_is_not_served() -> None:
    async def handler() -> int:
        return 200

    with pytest.raises(Refused, match="has no permission"):
        RouteTable((Route("GET", "/new", handler, ""),))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="may be open"):
        RouteTable((Route("GET", "/new", handler, "open"),))
    with pytest.raises(Refused, match="twice"):
        RouteTable((Route("GET", "/new", handler, "read"), Route("GET", "/new", handler, "operate")))


def test_a_clock_that_steps_back_revives_no_key() -> None:
    from mainspring.serving.keyring import KeyRing, Unauthorized

    now_us = time.time_ns() // 1_000
    token, route = key("brief", "predict", expires_us=now_us)
    ring = KeyRing((route,))
    assert ring.require(token, "predict", now_us - 1) == "brief"
    with pytest.raises(Unauthorized, match="expired"):
        ring.require(token, "predict", now_us)
    with pytest.raises(Unauthorized, match="expired"):
        ring.require(token, "predict", now_us - 1_000_000)
