"""The examples are applied and trained as any user would; the flights are read with every trap avoided."""

import shutil
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl
import pytest

from mainspring.checks.service import CheckService
from mainspring.training.ordering import Ordering
from mainspring.training.service import TrainingService

EXAMPLES = Path(__file__).parents[3] / "examples"


def module(path):
    spec = spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def prepare():
    return module(EXAMPLES / "flights" / "prepare.py")


@pytest.fixture(scope="module")
def flights(prepare):
    return prepare.read_flights()


def test_every_scheduled_flight_is_read_once(flights):
    assert flights.height == 336_776
    assert flights["flight_id"].n_unique() == 336_776
    assert flights["sched_dep"].is_sorted()


def test_flights_that_never_landed_are_never_known(flights):
    never = flights.filter(pl.col("landed_at").is_null())
    assert never.height == 9_430
    assert never["arr_delay"].null_count() == 9_430


def test_landing_comes_as_long_after_departure_as_it_did(flights):
    hours = (pl.col("landed_at") - pl.col("sched_dep")).dt.total_minutes() / 60
    late = pl.col("arr_delay") > 15
    said = flights.filter(pl.col("landed_at").is_not_null()).select(
        all=hours.median(), late=hours.filter(late).median(), on_time=hours.filter(~late).median(), longest=hours.max()
    )
    assert [round(value, 1) for value in said.row(0)] == [2.8, 3.7, 2.6, 32.7]


def test_the_first_flight_of_the_year_left_at_a_quarter_past_five_in_new_york(flights):
    first = flights.row(0, named=True)
    assert (first["flight_id"], first["hour"]) == ("20130101T1015Z-UA-1545-EWR", 5)
    assert first["landed_at"] == datetime(2013, 1, 1, 14, 30, tzinfo=UTC)  # 8:30 in Houston


def test_destinations_that_the_package_forgot_land_too(flights):
    puerto_rico = flights.filter(pl.col("dest").is_in(["SJU", "BQN", "PSE", "STT"]), pl.col("arr_delay").is_not_null())
    assert puerto_rico.height > 7_000
    assert puerto_rico["landed_at"].null_count() == 0


def test_the_weather_is_told_by_airport_and_hour(prepare):
    weather = prepare.read_weather()
    assert weather.height == 26_115
    assert weather.n_unique(["origin", "observed_at"]) == 26_115


def test_the_flights_project_is_applied(place, tmp_path, prepare, flights):
    folder = tmp_path / "flights"
    shutil.copytree(EXAMPLES / "flights", folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    (folder / "data").mkdir()
    flights.head(20_000).write_parquet(folder / "data" / "flights.parquet")
    prepare.read_weather().head(2_000).write_parquet(folder / "data" / "weather.parquet")
    applied = place.projects.apply(folder, by="ada")
    assert [change.subject for change in applied.difference if change.subject.startswith("model")] == ["model late"]
    model = place.registry.model("flights", "late")
    assert [recipe.name for recipe in model.spec.recipes] == ["default", "last_month", "leaky", "flaky"]
    (expected,) = applied.expected
    assert 8 < expected.days < 15


def test_the_bikes_have_a_rule_first_and_a_model_that_passes_its_checks_against_it(place, tmp_path):
    folder = tmp_path / "bikes"
    shutil.copytree(EXAMPLES / "bikes", folder, ignore=shutil.ignore_patterns("data", "__pycache__", "tests"))
    module(folder / "make_data.py").write(folder / "data", place.clock.now(), 60)
    place.projects.apply(folder, by="ada")
    model = place.registry.model("bikes", "demand")
    place.features.feed(place.features.ingest(model.project, place.clock.now_us()))
    training = TrainingService(
        store=place.store,
        registry=place.registry,
        features=place.features,
        ordering=Ordering(
            registry=place.registry,
            features=place.features,
            blobs=place.blobs,
            folders=place.folders,
            root_of=place.projects.root_of,
        ),
        log=place.log,
        blobs=place.blobs,
        jobs=place.jobs,
        clock=place.clock,
    )
    checks = CheckService(store=place.store, registry=place.registry, log=place.log)
    rule = training.train(model.id, "rule", by="ada", reason="what the keeper says")
    assert rule.numbers["runtime"] == "rule"
    checks.run(rule.version, by="ada")
    assert checks.passed(rule.version)
    place.releases.first_champion(model.id, rule.version, by="ada", reason="it is what we have")
    made = training.train(model.id, by="ada", reason="a model that has to be better")
    results = {result.name: result for result in checks.run(made.version, by="ada")}
    assert checks.passed(made.version)
    assert results["not_worse_than_champion:mae"].numbers["difference"] < -1.0
