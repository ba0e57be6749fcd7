"""A shop whose customers may ask to be forgotten: requests, looked-up features, outcomes, pushed rows and files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.kernel.clock import from_us, show_time
from mainspring.log.records import Assignment, Outcomes, Request, Scored, SourceRows
from mainspring.log.spool import SpoolWriter
from mainspring.platform import Platform, open_platform

ANN, BEN = "ann-7731", "ben-2209"
PROJECT = """
    import mainspring as ms

    orders = ms.Source(
        "orders", ms.push({"order_id": "str", "customer": "str", "email": "str?", "street": "str", "amount": "float",
        "late": "bool?", "placed": "time"}), time="placed", known_after="0s", key="order_id", subject="customer",
        pii=["email"],
    )
    spent = ms.FeatureView("spent", source=orders, key="customer", features=[ms.mean("amount", over="90d")])
    late = ms.Model(
        "late", entity="order_id", keys="customer", inputs=["amount", "street"], predict_at="placed", features=[spent],
        subject="customer", pii=["street"], task="binary",
        outcome=ms.Outcome("late", source=orders, matures_after="36h", affected_by_answer=False),
    )

    @late.rule
    def always(frame, params):
        return 0.2 + 0 * frame["amount"]
"""


class Shop:
    """A home as a gateway and a person left it, and what can be asked of it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = HomeLock(home.root, "test")
        self._lock.__enter__()
        self.platform: Platform = open_platform(home)
        self.closed = False

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.platform.close()
        self._lock.__exit__(None, None, None)

    @property
    def model(self) -> str:
        return self.platform.registry.model(None, "late").id

    def source(self) -> str:
        project = self.platform.registry.model(None, "late").project
        return next(id for id, _ in self.platform.features.sources(project))

    def requests(self) -> list[dict[str, object]]:
        return self.platform.log.requests(self.model).to_dicts()


def order(number: int, customer: str, placed: str) -> dict[str, object]:
    email, street = f"{customer}@mail.example", f"{customer} lane {number}"
    known = {"order_id": f"o{number}", "customer": customer, "amount": 10.0 + number, "street": street}
    return {**known, "email": email, "late": number % 2 == 0, "placed": placed}


def trade(shop: Shop) -> None:
    """Let two customers order and be predicted: four of Ann, three of Ben, one order that both ask about."""
    platform, version = shop.platform, shop.platform.registry.alias(shop.model, "champion")
    now_us = platform.clock.now_us()
    project = platform.registry.model(None, "late").project
    placed = show_time(from_us(now_us - 10 * 86_400_000_000))
    spool = SpoolWriter(platform.home.spool, "b_shop", platform.disk)
    rows = [order(number, ANN if number % 2 else BEN, placed) for number in range(8)]
    spool.append(SourceRows(project, shop.source(), now_us, json.dumps(rows).encode()))
    spool.flush()
    platform.loop.ingest()
    asked = [*((number, ANN if number % 2 else BEN) for number in range(7)), (6, ANN)]
    for number, (item, customer) in enumerate(asked):
        body = {
            "order_id": f"o{item}",
            "customer": customer,
            "amount": 10.0 + item,
            "street": f"{customer} lane {item}",
        }
        id, at_us = f"b_shop-{number + 1:x}", now_us - 1_000 * (20 - number)
        view = platform.features.views(version.views)[0] if version.views else None
        looked = {view.spec.name: [[14.0 if customer == ANN else 13.0], at_us, view.digest]} if view else {}
        spool.append(
            Request(id, project, shop.model, at_us, now_us, json.dumps(body).encode(), (f"o{item}",), (f"o{item}",),
                    (customer,), caller=f"app of {customer}"),
            Assignment(id, shop.model, 1, "", 0, "", (0,), (0.0,), (version.id,), (1.0,), at_us),
        )  # fmt: skip
        spool.append(
            Scored(id, shop.model, version.id, "served", "ok", 1, (0,), (0.2,), json.dumps([looked]).encode(), 9, at_us)
        )
    entities = tuple(f"o{number}" for number in range(7))
    spool.append(Outcomes(project, shop.model, entities, (1.0,) * 7, (now_us - 10,) * 7, (now_us - 5,) * 7))
    spool.flush()
    platform.loop.ingest()
    platform.loop.publish_log()
    shop.spool = spool  # type: ignore[attr-defined]  # a gateway that goes on: its segment stays


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with a project, a version and a log; copy it before use."""
    root = tmp_path_factory.mktemp("shop")
    (root / "project").mkdir()
    (root / "project" / "project.py").write_text(dedent(PROJECT))
    create_home(root / "home")
    (root / "home" / "settings.toml").write_text('publish = "delta://"\n')
    shop = Shop(Home(root / "home"))
    shop.platform.projects.apply(root / "project", by="cleo")
    rows = [
        order(number, f"cust-{number % 9}", f"2025-12-{1 + number % 28:02d}T00:00:00Z") for number in range(100, 260)
    ]
    spool = SpoolWriter(shop.home.spool, "b_before", shop.platform.disk)
    project = shop.platform.registry.model(None, "late").project
    spool.append(SourceRows(project, shop.source(), shop.platform.clock.now_us(), json.dumps(rows).encode()))
    spool.close()
    shop.platform.loop.ingest()
    shop.platform.training.train(shop.model, by="cleo")
    version = shop.platform.registry.versions(shop.model)[0]
    shop.platform.checks.run(version.id, by="cleo")
    shop.platform.releases.first_champion(shop.model, version.id, by="cleo", reason="the start")
    trade(shop)
    shutil.copytree(shop.home.root, root / "left")  # while its gateway has not ended: the segment is still there
    shop.spool.close()  # type: ignore[attr-defined]
    shop.close()
    return root / "left"


@pytest.fixture
def new_shop(traded: Path, tmp_path: Path) -> Iterator[Callable[[], Shop]]:
    """Return what opens the copied home, again and again."""
    shutil.copytree(traded, tmp_path / "home")
    gateway = LocalDisk().lock(tmp_path / "home" / "spool" / "b_shop" / "lock")  # it lives, and may write more
    assert gateway is not None
    opened: list[Shop] = []

    def make() -> Shop:
        opened.append(Shop(Home(tmp_path / "home")))
        return opened[-1]

    yield make
    for shop in opened:
        shop.close()
    gateway.release()
