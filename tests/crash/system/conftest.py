"""A small project in a home of its own, run by the real processes, and a client that counts what it was told."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.edges.api.address import read_address
from mainspring.edges.cli.asking import ask
from mainspring.edges.processes import Process, free_port
from mainspring.edges.surroundings import child_environment
from mainspring.edges.up import Supervisor
from mainspring.edges.verbs import find
from mainspring.features.keys import encode_key
from mainspring.ledger.queries import verify_chain
from mainspring.log.parts import listed
from mainspring.platform import Platform, open_platform
from mainspring.testing.models import linear_onnx

SHOPS = ("north", "south", "west")
STOCK = "item,at,left\ni0,2026-01-01T00:00Z,5\n"
PROJECT = """
import os
import time
from pathlib import Path

import mainspring as ms

columns = {"order_id": "str", "shop": "str", "amount": "float", "late": "bool?", "placed": "time"}
orders = ms.Source("orders", ms.push(columns), time="placed", known_after="0s", key="order_id")
stock = ms.Source("stock", "stock.csv", time="at", known_after="0s", key="item")
recent = ms.FeatureView(
    "recent", source=orders, key="shop", features=[ms.count(over="1h", name="orders"), ms.last("amount", name="newest")]
)
late = ms.Model(
    "late", entity="order_id", keys=["shop"], inputs=["amount"], predict_at="placed", features=[recent], task="binary",
    outcome=ms.Outcome("late", source=orders, matures_after="1h", affected_by_answer=False),
    release=ms.Immediate(), retrain=ms.Retrain(every="30d"), deadline="2s",
)


@late.rule
def by_amount(frame, params):
    place = Path(os.environ.get("TMPDIR", "/nowhere"))
    if (place / "hold").exists() and "MAINSPRING_PARENT" in os.environ:
        (place / "training").write_text(str(os.getpid()))
        while (place / "hold").exists():
            time.sleep(0.02)
    return frame["amount"] / 100
"""


class Told:
    """What the gateway acknowledged, and what it did not."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, float]] = {}
        self.answered_s: dict[str, float] = {}
        self.outcomes: dict[str, float] = {}
        self.pushed: dict[str, float] = {}
        self.taken_s: dict[tuple[str, str], float] = {}  # when an outcome or a row was acknowledged
        self.asked = 0
        self.version = 0  # that answered last
        self.refused: Counter[tuple[str, int, str]] = Counter()

    def since(self, start_s: float) -> set[Any]:
        """Return what was acknowledged after a moment: ids of predictions, and kind and name of the rest."""
        taken: list[tuple[Any, float]] = [*dict(self.answered_s).items(), *dict(self.taken_s).items()]
        return {name for name, at_s in taken if start_s < at_s}


class Client(threading.Thread):
    """Asks, tells what came true and pushes rows, one after the other, until it is stopped; never asks twice."""

    def __init__(self, port: int, prefix: str, told: Told, pause_s: float = 0.004) -> None:
        super().__init__(daemon=True)
        self._port, self._prefix, self._pause_s = port, prefix, pause_s
        self.told = told
        self._over = threading.Event()
        self._line: http.client.HTTPConnection | None = None

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            self._turn(f"{self._prefix}{number}", number)
            time.sleep(self._pause_s)

    def stop(self) -> None:
        self._over.set()
        self.join(20)
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _turn(self, entity: str, number: int) -> None:
        shop, amount = SHOPS[number % 3], float(number % 100)
        self.told.asked += 1
        status, said, _ = self.post("/predict/late", {"order_id": entity, "shop": shop, "amount": amount})
        if status == 200:
            self.told.answers[said["id"]] = (entity, said["value"])
            self.told.answered_s[said["id"]] = time.monotonic()
            self.told.version = said["version"]
        if number % 2 == 0:
            value = number % 4 == 0
            if self.post("/outcomes/late", {"order_id": entity, "value": value})[0] == 202:
                self.told.outcomes[entity] = float(value)
                self.told.taken_s["outcome", entity] = time.monotonic()
        if number % 3 == 0:
            placed = datetime.now(UTC).isoformat()
            row = {"order_id": entity, "shop": shop, "amount": amount, "late": None, "placed": placed}
            if self.post("/sources/orders", row)[0] == 202:
                self.told.pushed[entity] = amount
                self.told.taken_s["row", entity] = time.monotonic()

    def post(self, path: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers; status 0 if no answer came."""
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            self._line.request("POST", path, json.dumps(body))
            answer = self._line.getresponse()
            status, said = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._line.close()
            self._line = None
            self.told.refused[path.split("/")[1], 0, ""] += 1
            return 0, None, {}
        if status >= 400:
            self.told.refused[path.split("/")[1], status, said["code"]] += 1
        return status, said, {name.lower(): value for name, value in answer.headers.items()}


class Site:
    """A home that is up. ``environment`` is what control is started with the next time."""

    def __init__(self, root: Path, workers: int = 1) -> None:
        self.home = Home(root)
        self.environment = child_environment() | {"TMPDIR": str(root.parent / "tmp")}
        (root.parent / "tmp").mkdir(exist_ok=True)
        self.port = free_port()
        self.up = Supervisor(self.home, host="127.0.0.1", port=self.port, control_port=free_port(), workers=workers)
        at = ["--home", str(root), "--port", self.up.page.rsplit(":", 1)[1].strip("/")]
        self.up.control = Process("control", "mainspring.edges.control", at, self.home.run, self.environment)
        self.clients: list[Client] = []
        self.told = Told()

    def start(self) -> None:
        self.up.start()
        self.wait(self.ready)

    def client(self, **options: Any) -> Client:
        """Start a client."""
        made = Client(self.port, f"c{len(self.clients)}_", self.told, **options)
        self.clients.append(made)
        made.start()
        return made

    def crash_control_at(self, point: str, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Start control anew, let it die at a point, and start it again unarmed."""
        self.environment["MAINSPRING_CRASH_AT"] = point
        kill(self.up.control)
        self.up.control.start()
        meanwhile()
        self.wait(lambda: self.up.control.exit_code is not None)
        del self.environment["MAINSPRING_CRASH_AT"]
        assert self.up.control.exit_code == -signal.SIGKILL, self.logs()
        self.up.control.start()

    def control_answers(self) -> bool:
        address = read_address(self.home.root)
        return address is not None and address.process == self.up.control.pid

    def ready(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(line), suppress(OSError, http.client.HTTPException):
            line.request("GET", "/ready")
            return line.getresponse().status == 200
        return False

    def restarted(self, process: Process, condition: Callable[[], Any], *, at_once: bool) -> None:
        """Let what was killed come back: as `mainspring up` does it, or without its back-off, to kill it more often."""
        if at_once:
            process.start()
            self.wait(condition)
        else:
            self.supervised_until(condition)

    def supervised_until(self, condition: Callable[[], Any]) -> None:
        """Restart what ends, as `mainspring up` does, until the condition holds."""

        def look() -> Any:
            self.up.watch()
            return condition()

        self.wait(look)

    def answers_more(self, count: int = 5) -> None:
        """Wait until so many more predictions were answered."""
        goal = len(self.told.answers) + count
        self.wait(lambda: len(self.told.answers) >= goal)

    def wait(self, condition: Callable[[], Any], limit_s: float = 60.0) -> None:
        until_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > until_s:
                raise AssertionError("waited in vain:\n" + self.logs())
            time.sleep(0.02)

    def verb(self, name: str, **arguments: Any) -> Any:
        """Ask control, once it answers."""
        self.wait(self.control_answers)
        return ask(find(name), arguments, home=self.home.root, by="ann")

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.home.run.glob("*.log")))

    def quiet(self) -> None:
        """Let the clients stop."""
        for client in self.clients:
            client.stop()

    def stop(self) -> None:
        self.quiet()
        self.up.stop()


def kill(process: Process) -> None:
    """End a process as a crash would."""
    if process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
        until_s = time.monotonic() + 10
        while process.pid is not None:
            assert time.monotonic() < until_s
            time.sleep(0.005)


@contextmanager
def opened(home: Home) -> Iterator[Platform]:
    """Open a home that is not up, as the next start would."""
    with HomeLock(home.root, "a test"), closing(open_platform(home)) as platform:
        platform.loop.recover()
        yield platform


def everything_is_there_once(home: Home, told: Told, *, may_lose: frozenset[Any] | set[Any] = frozenset()) -> None:
    """Compare what the client was told with what a fresh start finds; only ``may_lose`` may be missing."""
    with opened(home) as platform:
        model = platform.registry.model(None, "late").id
        asked = platform.log.requests(model)
        served = platform.log.scored(model, roles=["served"])
        assert asked["prediction_id"].is_unique().all()
        assert served["prediction_id"].is_unique().all()
        assert asked.height <= told.asked
        logged = dict(served.filter(pl.col("status") == "ok").select("prediction_id", "output").iter_rows())
        entities = dict(asked.select("prediction_id", "entity").iter_rows())
        kept = {id: answer for id, answer in told.answers.items() if id in logged or id not in may_lose}
        assert {id: (entities.get(id), logged.get(id)) for id in kept} == kept
        came = dict(platform.log.outcomes(model).select("entity", "value").iter_rows())
        counts = platform.log.counts(model)
        assert (counts["predictions"], counts["served"]) == (asked.height, served.height)
        ((source, _),) = [
            one for one in platform.features.sources(platform.registry.project("crash")) if one[1].name == "orders"
        ]
        rows = platform.log.source(source)
        assert rows["order_id"].is_unique().all()
        pushed = dict(rows.select("order_id", "amount").iter_rows())
        for kind, said, found in (("outcome", told.outcomes, came), ("row", told.pushed, pushed)):
            firm = {name: value for name, value in said.items() if name in found or (kind, name) not in may_lose}
            assert {name: found.get(name) for name in firm} == firm
        the_latest_features_equal_a_rebuild(platform, source)
        the_routing_is_what_the_store_calls_for(platform)
        with platform.store.read() as connection:
            assert verify_chain(connection, platform.home.ledger_key()).verified
        every_listed_part_is_there(platform)
        assert platform.disk.list(home.spool) in ([], ["quarantine"])


def the_latest_features_equal_a_rebuild(platform: Platform, source: str) -> None:
    assert platform.features.catch_up() == []
    rows = platform.log.source(source)
    spec = dict(platform.features.sources(platform.registry.project("crash")))[source]
    (view,) = platform.features.views([view.digest for view in platform.publisher.desired().views])
    keys = [encode_key([shop]) for shop in (*SHOPS, "nowhere")]
    folder = platform.home.root.parent / "rebuilt"
    shutil.rmtree(folder, ignore_errors=True)
    with closing(LmdbLatest(folder)) as rebuilt:
        rebuilt.put(view.digest, view.spec, spec, rows)
        now_us = platform.clock.now_us()
        known = rows["_known_us"].filter(rows["_known_us"] > now_us - 3_600_000_000).sort().to_list()
        for at_us in (*known[:: max(1, len(known) // 20)], now_us):
            assert platform.latest.get(view.digest, keys, at_us) == rebuilt.get(view.digest, keys, at_us)


def the_routing_is_what_the_store_calls_for(platform: Platform) -> None:
    published = platform.routing.read()
    assert published is not None
    desired = platform.publisher.desired()
    assert (published.models, published.versions, published.views) == (desired.models, desired.versions, desired.views)


def every_listed_part_is_there(platform: Platform) -> None:
    with platform.store.read() as connection:
        known = {part.id for part in listed(connection)}
    assert known <= {path.stem for path in platform.home.parts.glob("*/*.parquet")}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a project, a graph as champion, and a second graph that nobody released yet."""
    place = tmp_path_factory.mktemp("prepared")
    project = place / "crash"
    project.mkdir()
    (project / "project.py").write_text(PROJECT)
    (project / "stock.csv").write_text(STOCK)
    home = create_home(place / "home")
    with HomeLock(home.root, "a test"), closing(open_platform(home)) as platform:
        platform.projects.apply(project, by="ann")
        model = platform.registry.model(None, "late").id
        for weight in (0.001, 0.002):
            graph = place / "graph.onnx"
            graph.write_bytes(linear_onnx({"amount": weight, "orders": 0.0001}))
            version = platform.intake.register_graph(model, graph, by="ann", reason="a graph")
            for result in platform.checks.run(version.id, by="ann"):
                if result.blocks:
                    platform.checks.override(version.id, result.name, by="ann", reason="no rows were held out")
        first = platform.registry.by_number(model, 1)
        platform.releases.first_champion(model, first.id, by="ann", reason="the first")
        sell(platform, 300)
        platform.publisher.publish()
    return place


def sell(platform: Platform, count: int) -> None:
    """Store orders of the last days, all of them with what became of them."""
    now_us = platform.clock.now_us()
    placed_us = [now_us - (count - n) * 900_000_000 for n in range(count)]
    frame = pl.DataFrame(
        {
            "order_id": [f"old{n}" for n in range(count)],
            "shop": [SHOPS[n % 3] for n in range(count)],
            "amount": [float(n * 37 % 100) for n in range(count)],
            "late": [n * 37 % 100 > 50 for n in range(count)],
            "placed": pl.Series(placed_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "_known_us": placed_us,
        }
    )
    source = next(
        id for id, spec in platform.features.sources(platform.registry.project("crash")) if spec.name == "orders"
    )
    with platform.store.bookkeeping() as connection:
        platform.log.append_source(connection, source, frame, now_us)
    platform.features.feed({source: frame})


@pytest.fixture
def stock(prepared: Path) -> Iterator[Path]:
    """The file that the project's second source reads."""
    file = prepared / "crash" / "stock.csv"
    yield file
    file.write_text(STOCK)


@pytest.fixture
def place(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared home, in ``home``; its project stays where it was applied."""
    shutil.copytree(prepared / "home", tmp_path / "home")
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture
def new_site(place: Path) -> Iterator[Callable[..., Site]]:
    """Return what brings the home up, with settings as written to ``settings.toml``."""
    made: list[Site] = []

    def start(settings: str = 'acknowledgement = "durable"\n', workers: int = 1) -> Site:
        (place / "home" / "settings.toml").write_text(settings)
        made.append(Site(place / "home", workers))
        made[-1].start()
        return made[-1]

    yield start
    for site in made:
        site.stop()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """The home, up, under ``durable``."""
    return new_site()


@pytest.fixture
def check() -> Callable[..., None]:
    return everything_is_there_once


@pytest.fixture
def kill_process() -> Callable[[Process], None]:
    return kill


@pytest.fixture
def open_home() -> Callable[[Home], Any]:
    return opened


@pytest.fixture
def new_client() -> type[Client]:
    return Client


@pytest.fixture
def new_told() -> type[Told]:
    return Told


@pytest.fixture
def mainspring() -> Callable[..., subprocess.Popen[str]]:
    """Return what starts a command line."""

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mainspring.edges.cli", *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
