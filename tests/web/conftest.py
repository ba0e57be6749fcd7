"""A home that has lived through seven weeks, filled through the real services, and a real browser to look at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import update
from tests.web.gallery import HARM, Shop, fill, places

from mainspring.adapters.home import create_home
from mainspring.edges.api.server import ControlServer
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.schema import Column, Signature
from mainspring.log.records import Assignment, Outcomes, Request, Scored
from mainspring.log.spool import SpoolWriter
from mainspring.monitoring.spec import Drift, Quality, Silence
from mainspring.platform import open_platform
from mainspring.project.rows import undeclared_model
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe
from mainspring.registry.tables import models
from mainspring.registry.version import Lineage, Version
from mainspring.serving.draw import assign
from mainspring.serving.routing import ReleaseRoute

WATCH = "document.addEventListener('securitypolicyviolation', one => console.log('refused: ' + one.blockedURI));"
START = datetime(2013, 3, 1, tzinfo=UTC)
REQUESTS, ROWS = 9, 50  # in half a day
SPEC = ModelSpec(
    name="late",
    task="binary",
    entity="flight_id",
    source="flights",
    predict_at=PredictAt("sched_dep", -7_200_000_000),
    outcome=OutcomeSpec("arr_delay > 15", "flights", 36 * 3_600_000_000, affected_by_answer=False),
    recipes=(Recipe("default", "project:train"), Recipe("leaky", "project:train_leaky")),
    columns=(Column("flight_id", "str"), Column("distance", "float")),
)


class LivedIn:
    """Traffic spooled as a gateway does, half a day at a time; versions see the true chance through noise."""

    def __init__(self, root: Path) -> None:
        self.home = create_home(root, simulated_from=START)
        self.platform = open_platform(self.home)
        self.clock = SimulatedClock(root / "clock", writable=True)
        self.random = np.random.default_rng(11)
        self.noise: dict[str, tuple[float, float]] = {}
        self.count = 0
        with self.platform.store.begin("ana") as tx:
            self.model = undeclared_model(tx, "flights", "late")
            monitors = msgspec.json.encode([Drift(reference="21d"), Quality("log_loss"), Silence()]).decode()
            spec = msgspec.json.encode(SPEC).decode()
            tx.connection.execute(update(models).values(spec=spec, monitors=monitors))
            tx.record("model.declared", self.model, "a model to look at", project="")
        self.project = self.platform.registry.project("flights")
        self.spool = SpoolWriter(self.home.spool, "b_web", self.platform.disk)

    def version(self, sd: float, *, bias: float = 0.0, recipe: str = "default") -> Version:
        version = Version(
            id="",
            model=self.model,
            number=0,
            runtime="onnx",
            files={"model.onnx": self.platform.blobs.put(f"{sd} {bias} {recipe} {self.count}".encode())},
            signature=Signature("binary", (Column("distance", "float"),)),
            environment=capture([]),
            lineage=Lineage(recipe=recipe),
            metrics={"roc_auc": 0.73, "log_loss": 0.42 + sd / 20},
        )
        with self.platform.store.begin("trainer") as tx:
            stored = self.platform.registry.register(tx, version, "<b>trained</b> & registered")
        for result in self.platform.checks.run(stored.id, by="loop"):
            if result.blocks:
                self.platform.checks.override(stored.id, result.name, by="ana", reason="no rows were held out")
        self.noise[stored.id] = (sd, bias)
        return stored

    def play(self, days: float) -> None:
        end = self.clock.now() + timedelta(days=days)
        while self.clock.now() < end:
            begun_us = self.clock.now_us()
            running = self.platform.releases.running(self.model)
            self.clock.advance(min(self.clock.now() + timedelta(hours=12), end))
            self.traffic(begun_us, self.clock.now_us(), running)
            for release in running:
                self.platform.releases.step(release.id)
            self.platform.monitoring.evaluate(self.model)

    def traffic(self, begun_us: int, until_us: int, running: list[Any]) -> None:
        champion = self.platform.registry.alias(self.model, "champion")
        assert champion is not None
        drawing = next((one for one in running if one.share > 0), None)
        route = drawing and ReleaseRoute(drawing.id, drawing.epoch, drawing.salt, drawing.challenger, drawing.share)
        shadows = {version for one in running for version in one.shadows} | ({champion.id} if drawing else set())
        for at_us in np.linspace(begun_us + 1, until_us, REQUESTS, dtype=np.int64).tolist():
            self.request(at_us, champion.id, route, shadows)
        self.spool.flush()
        self.platform.ingest.run()

    def request(self, at_us: int, champion: str, route: ReleaseRoute | None, shadows: set[str]) -> None:
        """Write the records of one request as a gateway does: what was asked, drawn, answered, and what came true."""
        self.count += 1
        id = f"b_web-{self.count:x}"
        rows = tuple(range(ROWS))
        entities = tuple(f"f{self.count}_{row}" for row in rows)
        chance = np.clip(self.random.beta(1.2, 3.8, ROWS), 0.01, 0.99)
        body = msgspec.json.encode(
            [{"flight_id": one, "distance": 400.0 + 9 * row} for row, one in enumerate(entities)]
        )
        self.spool.append(Request(id, self.project, self.model, at_us, at_us, body, entities, entities))
        drawn = [assign(route, champion, entity) for entity in entities]
        release, epoch, salt = (route.id, route.epoch, route.salt) if route else ("", 0, "")
        draws, arms = tuple(one.draw for one in drawn), tuple(one.arm for one in drawn)
        shares = tuple(one.propensity for one in drawn)
        self.spool.append(Assignment(id, self.model, 1, release, epoch, salt, rows, draws, arms, shares, at_us))
        for version in {champion, *shadows, *arms}:
            sd, bias = self.noise[version]
            odds = np.log(chance / (1 - chance)) + bias + sd * self.random.standard_normal(ROWS)
            answers = (1 / (1 + np.exp(-odds))).tolist()
            for role in ("served", "shadow"):
                kept = [row for row in rows if (arms[row] == version) == (role == "served")]
                if kept and (role == "served" or version in shadows):
                    outputs = tuple(answers[row] for row in kept)
                    none = b"[" + b",".join([b"{}"] * len(kept)) + b"]"
                    self.spool.append(
                        Scored(
                            id,
                            self.model,
                            version,
                            role,
                            "ok",
                            1,
                            tuple(kept),
                            outputs,
                            none,
                            100,
                            at_us,
                            release=release,
                        )
                    )
        known = tuple((at_us + self.random.gamma(4.0, 1.2, ROWS) * 3_600_000_000).astype(np.int64).tolist())
        happened = tuple((self.random.random(ROWS) < chance).astype(float).tolist())
        self.spool.append(Outcomes(self.project, self.model, entities, happened, known, known))

    def live(self) -> None:
        releases = self.platform.releases
        first = self.version(0.25)
        releases.first_champion(self.model, first.id, by="ana", reason="the first one")
        self.play(10)
        releases.start(self.model, self.version(0.12).id, by="loop", reason="it is time to retrain")
        self.play(18)
        releases.start(self.model, self.version(0.12).id, by="loop", reason="it is time to retrain")
        leaky = self.version(0.8, bias=1.2, recipe="leaky")
        releases.start(self.model, leaky.id, by="ana", reason="looks best offline")
        self.play(4)


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedIn]:
    made = LivedIn(tmp_path_factory.mktemp("web") / "home")
    with closing(made.platform):
        made.live()
        yield made
        made.spool.close()


@pytest.fixture(scope="session")
def control(lived_in: LivedIn) -> Iterator[ControlServer]:
    with ControlServer(lived_in.platform) as server:
        yield server


@pytest.fixture(scope="session")
def page(control: ControlServer) -> str:
    return f"http://127.0.0.1:{control.address.port}"


@pytest.fixture(scope="session")
def token(control: ControlServer) -> str:
    return control.address.page_token


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs a browser: apt-get install chromium")
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=[*flags, "--disable-component-update", "--disable-sync"]
        )
        yield started
        started.close()


@pytest.fixture
def look(browser: Any, page: str) -> Iterator[Callable[..., Any]]:
    """Open an address at a width and fail on anything that the browser complains about."""
    opened = []

    def opening(path: str, *, width: int = 1280, scheme: str = "light", password: str = "") -> Any:
        known = {"username": "me", "password": password} if password else None
        tab = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, http_credentials=known
        )  # fmt: skip
        complaints: list[str] = []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page + path)
        opened.append((tab, complaints))
        return tab

    yield opening
    for tab, complaints in opened:
        tab.close()
        assert complaints == []


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    shop = Shop(tmp_path_factory.mktemp("gallery") / "home", rows_a_day=450, words=HARM)
    with closing(shop.platform):
        paths = places(shop, fill(shop))
        with ControlServer(shop.platform) as server:
            at = f"http://127.0.0.1:{server.address.port}"
            yield {
                **paths,
                "at_url": at,
                "token": server.address.token,
                "shop": shop,
                "password": server.address.page_token,
            }


@pytest.fixture
def enter(browser: Any, gallery: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """Open a page of the gallery, and fail on any script that ran or anything that the browser refused."""
    opened = []

    def entering(name: str, width: int = 1280) -> Any:
        known = {"username": "me", "password": gallery["password"]}
        tab = browser.new_page(viewport={"width": width, "height": 900}, http_credentials=known)
        said: list[str] = []
        tab.add_init_script(WATCH)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        opened.append((tab, said))
        if name == "model":
            tab.goto(f"{gallery['at_url']}/#token={gallery['token']}")
            tab.locator(".model:has-text('canary') h2 a").click()
        else:
            tab.goto(f"{gallery['at_url']}{gallery[name]}#token={gallery['token']}")
        return tab

    yield entering
    for tab, said in opened:
        assert tab.evaluate("window.hit") is None
        tab.close()
        assert [one for one in said if "status of 40" not in one] == []
