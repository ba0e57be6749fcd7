"""Sets the stage, plays, and tells what came of it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import polars as pl

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, HomeLock, create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.settings import read_settings
from mainspring.edges.cli.asking import ask
from mainspring.edges.demo.play import ACTOR, Play, Played, load, peak_rss_mb
from mainspring.edges.demo.report import Report, make_report
from mainspring.edges.demo.script import MODEL, START, end_of, example_project, last_month
from mainspring.edges.demo.stage import Stage
from mainspring.edges.demo.traveller import Traveller
from mainspring.edges.processes import free_port
from mainspring.edges.up import Supervisor, supervised
from mainspring.edges.verbs import find
from mainspring.kernel.clock import to_us
from mainspring.kernel.errors import Conflict, MainspringError, NotFound
from mainspring.platform import open_platform

# The files hold only what was known when the play begins; everything later is pushed. Monitors look at whole days.
_SETTINGS = 'read_sources_every = "365d"\nwatch_every = "1d"\n'


def run(
    home: str | Path = "demo-home",
    *,
    until: str = "june",
    keep: bool = False,
    report: Path | None = None,
) -> Report:
    """Play up to the end of the month ``until``; resume where an interrupted play of the same home stopped."""
    month = last_month(until)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin starve the other processes
    folder = Path(home).absolute()
    if (folder / "home.json").exists() and not Home(folder).simulated:
        raise Conflict("is not a demo's home", field="home", value=str(folder), remedy="name another folder")
    stage = Stage()
    place = create_home(folder, simulated_from=START)
    examples = _copy_example(folder / "flights")
    (folder / "settings.toml").write_text(_SETTINGS)
    flights, weather = examples.read_flights(), examples.read_weather()
    played = load(place)
    if played.until == START:
        _write_sources(folder / "flights" / "data", flights, weather)
    traveller = Traveller(flights, weather)
    del flights, weather  # the traveller keeps what is told
    already = _already_asked(place, played)
    ports = free_port(), free_port()
    with supervised(place, host="127.0.0.1", port=ports[0], control_port=ports[1]) as running:
        stage.say(f"page     {running.page}")
        with _sampled(running, played):
            if not already and played.until == START:
                _first_champion(place, stage)
            with stage.progress(played.until, end_of(month)) as progress:
                play = Play(place, ports[0], traveller, played, RoutingFile(place.routing, LocalDisk()), progress)
                asyncio.run(play.run(end_of(month), already))
    made = _tell(place, played, stage)
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    if keep:
        _stay(place, ports, stage)
    return made


def _first_champion(home: Home, stage: Stage) -> None:
    """Apply the project, read its sources, train version 1, check it, and make it the first champion."""

    def verb(name: str, **arguments: Any) -> Any:
        return ask(find(name), arguments, home=home.root, by=ACTOR)

    stage.say("apply    examples/flights")
    verb("apply", path=str(home.root / "flights"))
    verb("ingest")
    stage.say("train    version 1 on January and February, as known two hours before each departure")
    run = verb("train", model=MODEL, reason="the first version")
    verb("check", model=MODEL, version=str(run["number"]))
    verb("release start", model=MODEL, version=str(run["number"]), reason="the first version")
    version = verb("version", model=MODEL, version="1")
    parity = version.get("parity") or {}
    if parity:
        stage.say(
            f"register version 1: {version['runtime']}, largest difference {parity['largest_difference']:.1e} "
            f"and {parity['flips']} flips on {parity['rows']} rows"
        )
    verb("loop step")


def _tell(home: Home, played: Played, stage: Stage) -> Report:
    """Read the report from the home once its processes have ended, and print it."""
    with HomeLock(home.root, "mainspring demo"), closing(open_platform(home)) as platform:
        platform.loop.recover()
        model = platform.registry.model(None, MODEL)
        replayed = _replay_one(platform, model.id)
        made = make_report(platform, played, replayed)
    stage.tell(made)
    return made


def _replay_one(platform: Any, model: str) -> dict[str, Any]:
    asked = platform.log.requests(model)["prediction_id"]
    chosen = asked[random.Random(len(asked)).randrange(len(asked))]
    try:
        found = platform.replay.replay(chosen)
    except MainspringError as error:
        return {"id": chosen, "equal": False, "reason": error.sentence()}
    return {"id": chosen, "equal": found.equal, **({} if found.equal else {"reason": found.difference})}


def _already_asked(home: Home, played: Played) -> list[str]:
    """Return the flights that the interrupted turn had asked about: they are in the log and not asked again."""
    if not home.database.exists() and not read_settings(home.root)[0].store:
        return []
    with HomeLock(home.root, "mainspring demo"), closing(open_platform(home)) as platform:
        platform.loop.recover()
        if not platform.registry.models():
            return []
        asked = platform.log.requests(platform.registry.model(None, MODEL).id, since_us=to_us(played.until))
        return asked["entity"].to_list()


def _stay(home: Home, ports: tuple[int, int], stage: Stage) -> None:
    with supervised(home, host="127.0.0.1", port=ports[0], control_port=ports[1]) as running:
        stage.say(f"page     {running.page}\ngateway  {running.url}\nstop with Ctrl-C")
        try:
            while True:
                running.watch()
                time.sleep(0.2)
        except KeyboardInterrupt:
            stage.say("stopping")


def _copy_example(folder: Path) -> ModuleType:
    """Copy the example into the home, as a project of the user's own, and return its module that reads the flights."""
    source = example_project()
    if not (folder / "project.py").exists():
        shutil.copytree(
            source, folder, ignore=shutil.ignore_patterns("data", "__pycache__", "tests"), dirs_exist_ok=True
        )
    spec = importlib.util.spec_from_file_location("flights_prepare", folder / "prepare.py")
    if spec is None or spec.loader is None:
        raise NotFound(
            "the example cannot be read", field="example", value=str(folder), remedy="install mainspring again"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_sources(folder: Path, flights: pl.DataFrame, weather: pl.DataFrame) -> None:
    """Write what was known when the play begins; the rest is pushed as it becomes known."""
    folder.mkdir(parents=True, exist_ok=True)
    flights.filter(pl.col("landed_at") <= START).write_parquet(folder / "flights.parquet")
    known = pl.col("observed_at") + pl.duration(minutes=30)
    weather.filter(known <= START).write_parquet(folder / "weather.parquet")


@contextmanager
def _sampled(running: Supervisor, played: Played) -> Iterator[None]:
    """Sample the memory of all processes each second, restart what ended, and count the time."""
    done = threading.Event()
    began_s, before_s = time.monotonic(), played.seconds

    def sample() -> None:
        while not done.wait(1.0):
            played.peak_rss_mb = max(played.peak_rss_mb, peak_rss_mb([os.getpid()]))
            played.seconds = before_s + time.monotonic() - began_s

    sampler = threading.Thread(target=sample, name="memory", daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
        played.seconds = before_s + time.monotonic() - began_s
