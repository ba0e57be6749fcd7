"""What a long past costs: verbs that people ask all day, with ten and with ten thousand releases in the ledger.

``python bench/ledger.py [--store postgresql://…/{name}]``. The bound is the ratio: at most 5 between the two. What
shows a list of the newest is compared with a list as long, that of two hundred. With ``--store`` each home gets the
database of that name, ``ten``, ``page`` or ``many``, which must exist and be empty.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import insert, select

from mainspring.adapters.home import create_home
from mainspring.edges.verbs import find
from mainspring.edges.verbs.verb import encode
from mainspring.edges.web.gather import read_loop, read_model_page
from mainspring.edges.web.releases import read_release
from mainspring.kernel.ids import new_id
from mainspring.platform import Platform, open_platform
from mainspring.registry.alias import CHAMPION
from mainspring.registry.tables import aliases, versions
from mainspring.release.tables import release_books, release_decisions, release_policies, releases
from mainspring.testing.models import linear_onnx

FEW, PAGE, MANY = 10, 200, 10_000
LISTS = ("ledger list", "ledger list release", "release list", "page of the loop", "page of a model")
RUNS = 15
BOUND = 5.0
HOUR_US = 3_600_000_000
PROJECT = """
import mainspring as ms

stock = ms.Source("stock", "stock.csv", time="at", known_at="at", key="item")
late = ms.Model(
    "late", entity="item", inputs=["x"], predict_at="at", task="binary",
    outcome=ms.Outcome("left > 5", source=stock, matures_after="1h", affected_by_answer=False),
    release=ms.Canary(
        shadow="200d", steps=[0.5], hold="1h", metric="log_loss", margin=0.1, minimum_units=200, deadline="900d"
    ),
)


@late.rule
def half(frame, params):
    return 0.0 * frame["x"] + 0.5
"""


def main() -> None:
    """Print each verb's time with few and with many releases, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", default="")
    store = options.parse_args().store
    with tempfile.TemporaryDirectory() as folder:
        homes = (("ten", FEW), ("page", PAGE), ("many", MANY))
        spent = {name: _measured(Path(folder), name, count, store) for name, count in homes}
    worst = 0.0
    for verb, many in spent["many"].items():
        few = spent["page" if verb in LISTS else "ten"][verb]
        ratio = many / few
        worst = max(worst, ratio)
        print(f"{verb:<26} {1_000 * few:8.2f} ms  {1_000 * many:8.2f} ms  {ratio:6.1f} x")
    print(f"worst {worst:.1f} x; the bound is {BOUND:.0f} x")
    raise SystemExit(worst > BOUND)


def _measured(folder: Path, name: str, count: int, store: str) -> dict[str, float]:
    if store:
        os.environ["MAINSPRING_STORE"] = store.replace("{name}", name)
    home = create_home(folder / name)
    with closing(open_platform(home)) as platform:
        chosen = _fill(platform, folder / f"{name}-project", count)
        model = platform.registry.model(None, "late")
        asked: dict[str, dict[str, Any]] = {
            "status": {},
            "ledger list": {},
            "ledger list release": {"kind": "release"},
            "ledger at": {"time": datetime.now(UTC).isoformat()},
            "release list": {},
            "release list running": {"running": True},
            "release show": {"release": chosen},
            "release explain": {"release": chosen},
            "champion": {"model": "late"},
            "models": {},
            "loop step": {},
        }
        past = datetime.fromtimestamp(time.time() - 5.5 * 3_600, UTC).isoformat()
        found = {said: _least_s(platform, said, values) for said, values in asked.items()}
        found["ledger at, in the past"] = _least_s(platform, "ledger at", {"time": past})
        found["page of the loop"] = _least_of(lambda: read_loop(platform))
        found["page of a model"] = _least_of(lambda: read_model_page(platform, model.project_name, model.name))
        return found | {"page of a release": _least_of(lambda: read_release(platform, chosen))}


def _least_s(platform: Platform, said: str, values: dict[str, Any]) -> float:
    words = {"ledger list release": "ledger list", "release list running": "release list"}
    verb = find(words.get(said, said))
    return _least_of(lambda: encode(verb.call(platform, verb.read(values), "ann")))


def _least_of(call: Callable[[], object]) -> float:
    """Return what a call takes at least: of the processor, or in all where a server works for it, too."""
    now_s = time.perf_counter if os.environ.get("MAINSPRING_STORE") else time.process_time
    spent = []
    for _ in range(RUNS):
        began = now_s()
        call()
        spent.append(now_s() - began)
    return min(spent)


def _fill(platform: Platform, project: Path, count: int) -> str:
    """Make a model with a champion and a running release, and copy that release's rows into a past of ``count``."""
    project.mkdir()
    (project / "project.py").write_text(PROJECT)
    (project / "stock.csv").write_text("item,x,at,left\na,1.0,2026-01-01T00:00Z,9\nb,2.0,2026-01-02T00:00Z,1\n")
    platform.projects.apply(project, by="ann")
    model = platform.registry.model(None, "late")
    made = []
    for weight in (1.0, 2.0):
        graph = project / "graph.onnx"
        graph.write_bytes(linear_onnx({"x": weight}))
        made.append(platform.intake.register_graph(model.id, graph, by="ann", reason="a graph"))
        for result in platform.checks.run(made[-1].id, by="ann"):
            if result.blocks:
                platform.checks.override(made[-1].id, result.name, by="ann", reason="a bench")
    platform.releases.first_champion(model.id, made[0].id, by="ann", reason="a bench")
    platform.releases.start(model.id, made[1].id, by="ann", reason="a bench")
    running = platform.releases.list(model.id, running=True)[0]
    platform.loop.step()  # the first decision, which every release of the past has, too
    _copy(platform, running.id, made[-1].id, count)
    with platform.store.begin("bench") as tx:
        platform.registry.point(tx, model.id, CHAMPION, made[0].id, "a bench")
    platform.loop.step()
    with platform.store.read() as connection:
        return str(connection.scalar(select(releases.c.id).where(releases.c.status == "promoted").limit(1)))


def _copy(platform: Platform, release: str, version: str, count: int) -> None:
    with platform.store.read() as connection:
        row = connection.execute(select(releases).where(releases.c.id == release)).one()
        books = connection.execute(select(release_books).where(release_books.c.release == release)).one()
        challenger = connection.execute(select(versions).where(versions.c.id == version)).one()
        decision = connection.execute(select(release_decisions).where(release_decisions.c.release == release)).first()
        policy = connection.execute(select(release_policies).where(release_policies.c.release == release)).one()
    if decision is None:
        raise SystemExit("the release decided nothing")
    body = msgspec.json.decode(row.body)
    now_us = platform.clock.now_us()
    for first in range(0, count, 500):
        with platform.store.begin("bench") as tx:
            for number in range(first, min(first + 500, count)):
                began_us = now_us - (count - number + 1) * HOUR_US
                id, other = new_id("rel"), new_id("ver")
                state = {**body["state"], "status": "promoted", "started_us": began_us, "ended_us": began_us + 1}
                told = msgspec.json.encode({**body, "id": id, "state": state}).decode()
                values = {**row._mapping, "id": id, "status": "promoted", "body": told}
                values |= {"started_us": began_us, "ended_us": began_us + 1}
                version_body = challenger.body.replace(version, other)
                values_of_version = {**challenger._mapping, "id": other, "number": 10 + number, "body": version_body}
                tx.connection.execute(insert(versions).values(values_of_version))
                tx.connection.execute(insert(releases).values(values))
                tx.connection.execute(insert(release_books).values({**books._mapping, "release": id}))
                for table, kept in ((release_decisions, decision), (release_policies, policy)):
                    row_of = {name: value for name, value in kept._mapping.items() if name != "id"}
                    tx.connection.execute(insert(table).values({**row_of, "release": id}))
                entry = tx.record("release.started", id, "a bench", {"number": number}, project=row.project)
                tx.record("release.promoted", id, "a bench", {"number": number}, project=row.project)
                moved = {"model": row.model, "alias": CHAMPION, "version": other, "since_us": began_us}
                tx.connection.execute(insert(aliases).values(**moved, ledger_seq=entry.seq))


if __name__ == "__main__":
    main()
