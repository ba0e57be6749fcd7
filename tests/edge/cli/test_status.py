"""Status in the states that somebody on call meets: what to look at comes first."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from tests.web.gallery import Shop

from mainspring.edges.api.server import ControlServer
from mainspring.edges.cli.render import show
from mainspring.edges.verbs import find
from mainspring.edges.verbs.verb import Nothing, plain
from mainspring.log.tables import tallies
from mainspring.release.policy import Canary

GENERATION = 1


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    with closing(made.platform):
        yield made


def said(shop: Shop) -> Any:
    return find("status").call(shop.platform, Nothing(), "")


def test_a_home_without_a_process_says_so_and_misses_no_gateway_before_there_is_a_champion(shop: Shop) -> None:
    shop.model("late")
    found = said(shop)
    assert found["look_at"] == ["control does not run"]
    assert found["control"].startswith("does not run: nothing is read, decided or promoted")
    assert found["gateways"] == "nothing was published yet for gateways to answer by"
    assert (found["records"], found["models"][0]["releases"]) == (
        "0 predictions; 0 outcomes (0 for no prediction yet); all is read",
        "none runs",
    )


def test_ten_lines_say_it_of_a_home_with_one_model(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.model("late")
    show(find("status"), plain(said(shop)), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    words = [line.split()[0] for line in lines if line]
    assert words[:-1] == ["home", "look", "control", "gateways", "records", "disk", "models", "project"]
    assert (lines[-1].split()[1], len(lines)) == ("late", 10)


def test_what_should_run_and_does_not_is_named(shop: Shop) -> None:
    shop.champion(shop.model("late"))
    shop.platform.publisher.publish()
    with ControlServer(shop.platform):
        assert said(shop)["look_at"] == ["no gateway answers"]
        shop.platform.routing.acknowledge("w1", GENERATION, pid=os.getpid())
        found = said(shop)
    assert found["look_at"] == ["late: its process has not come up"]
    assert (found["control"], found["gateways"]) == (
        f"runs as process {os.getpid()}",
        "answer by generation 1 of 1",
    )


def test_versions_taken_out_gateways_behind_and_records_that_wait_are_named(shop: Shop) -> None:
    model = shop.model("late")
    champion = shop.champion(model)
    shop.platform.publisher.publish()
    shop.platform.routing.acknowledge("w1", GENERATION - 1, pid=os.getpid(), disabled={champion: "12 of 20 failed"})
    with shop.platform.store.bookkeeping() as connection:
        connection.execute(insert(tallies).values(model="", name="spool", rows=250_000_000, last_us=0))
    assert said(shop)["look_at"] == [
        "control does not run",
        "a gateway answers by an older generation",
        "a gateway took out version 1 of late: 12 of 20 failed",
        "250 MB wait to be read",
    ]


def test_a_model_tells_of_its_running_release_and_else_of_how_the_last_one_ended(shop: Shop) -> None:
    model = shop.model("late")
    shop.champion(model)
    release = shop.start(model, Canary(), shop.version(model, 0.2))
    assert said(shop)["models"][0]["releases"] == "v2 in shadow: it has just begun"
    shop.platform.releases.abort(release.id, by="ana", reason="it is Friday")
    assert said(shop)["models"][0]["releases"] == "none runs; v2 was aborted: it is Friday"
