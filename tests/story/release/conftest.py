"""A home with a model, a poor champion, and a fortnight of logged traffic that no challenger has seen."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.verbs import find
from mainspring.edges.verbs.verb import plain
from mainspring.kernel.clock import SimulatedClock, to_us
from mainspring.log.records import Assignment, Outcomes, Request, Scored
from mainspring.log.spool import SpoolWriter
from mainspring.platform import Platform, open_platform
from mainspring.testing.models import linear_onnx

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS, ROWS = 14, 240
PROJECT = """
import mainspring as ms

orders = ms.Source("orders", "orders.csv", time="placed", known_at="arrived", key="order_id")
late = ms.Model(
    "late", entity="order_id", inputs=["x"], predict_at="placed", task="binary",
    outcome=ms.Outcome("hours > 48", source=orders, matures_after="7h", affected_by_answer={affected}),
    release=ms.Canary(shadow="7d", steps=[0.2, 0.5], hold="12h", metric="log_loss", margin=0.1, minimum_units=200),
)


@late.rule
def constant(frame, params):
    return 0.0 * frame["x"] + 0.5
"""


class Shop:
    """An open home, asked by verbs."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def ask(self, name: str, **arguments: Any) -> Any:
        verb = find(name)
        return plain(verb.call(self.platform, verb.read(arguments), "ann"))

    def version(self, number: str, weight: float) -> None:
        self.ask("register", model="late", file=linear_onnx({"x": weight}), reason=f"weight {weight}")
        for result in self.ask("check", model="late", version=number):
            if result["status"] == "failed" and result["severity"] == "block":
                self.ask("override", model="late", version=number, check=result["name"], reason="a story")

    def traffic(self, weight: float, days: int = DAYS) -> None:
        """Log what the champion, of that weight, was asked and answered, and what came true six hours later."""
        platform, dice = self.platform, random.Random(5)
        model = self.ask("models")[0]
        champion = platform.registry.alias(model["id"], "champion")
        assert champion is not None
        spool = SpoolWriter(platform.home.spool, "b_1", platform.disk, "durable")
        for number in range(days * ROWS):
            at_us = to_us(START) + number * 86_400_000_000 // ROWS + 1
            x, entity, name = dice.uniform(-1, 1), f"o{number}", f"b_1-{number:x}"
            who, chance = (entity,), 1 / (1 + exp(-4.0 * x))
            body = json.dumps({"order_id": entity, "x": x}).encode()
            spool.append(Request(name, model["project"], model["id"], at_us, at_us, body, who, who))
            spool.append(
                Assignment(name, model["id"], 1, "", 0, "", (0,), (0.0,), (champion.id,), (1.0,), decision_us=at_us)
            )
            said = (1 / (1 + exp(-weight * x)),)
            spool.append(Scored(name, model["id"], champion.id, "served", "ok", 1, (0,), said, b"", 300, at_us))
            known_us = at_us + 6 * 3_600_000_000
            came = (float(dice.random() < chance),)
            spool.append(Outcomes(model["project"], model["id"], who, came, (known_us,), (known_us,)))
        spool.flush()
        spool.close()
        platform.loop.ingest()


def opened_shop(place: Path, *, affected: bool, days: int = DAYS) -> Iterator[Shop]:
    project = place / "shop"
    project.mkdir()
    (project / "project.py").write_text(PROJECT.format(affected=affected))
    rows = [
        f"past{n},{n % 3}.5,{(START - timedelta(days=9, minutes=-n)).isoformat()},{START.isoformat()},{n % 80}\n"
        for n in range(300)
    ]
    (project / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(rows))
    home = create_home(place / "home", simulated_from=START)
    with closing(open_platform(home)) as platform:
        shop = Shop(platform)
        shop.ask("apply", path=str(project))
        shop.version("1", 1.0)
        shop.ask("release start", model="late", version="1", reason="the first")
        shop.traffic(1.0, days)
        SimulatedClock(home.root / "clock", writable=True).advance(START + timedelta(days=DAYS))
        yield shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    yield from opened_shop(tmp_path_factory.mktemp("shop"), affected=False)


@pytest.fixture
def affecting(tmp_path: Path) -> Iterator[Shop]:
    yield from opened_shop(tmp_path, affected=True, days=1)
