"""Queries against a real PostgreSQL, and SQLite."""

import sqlite3

import pytest

from mainspring.adapters.sources.sql import SqlQueries
from mainspring.features.spec import SourceSpec, SqlReader
from mainspring.kernel.errors import InvalidInput, Unavailable

NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z
HOUR_US = 3_600_000_000
TABLE = """
create table weather (id int, station text, observed timestamptz, told timestamptz, temp numeric, wet boolean);
insert into weather values
    (1, 'JFK', '2013-05-03 10:00+00', '2013-05-03 10:30+00', 60.25, true),
    (2, 'JFK', '2013-05-03 07:00-04', '2013-05-03 11:30+00', 61, null),
    (3, 'LGA', '2013-05-03 12:00+00', '2013-05-03 12:30+00', null, false);
"""


@pytest.fixture(scope="module")
def postgres(postgres_server):
    import psycopg

    url = postgres_server.fresh()
    with psycopg.connect(url) as connection:
        connection.execute(TABLE)
        connection.execute("create role reader login password 'hush-hush'")
        connection.execute("grant select on weather to reader")
    return url


def source(url, query="select * from weather", watermark="told"):
    reader = SqlReader(url, query, watermark)
    return SourceSpec("weather", reader, time="observed", key=("id",), known_at="told")


def test_rows_come_with_their_kinds_and_times_in_utc(postgres, tmp_path):
    found = SqlQueries().read(source(postgres), tmp_path).frame.sort("id")
    assert found["station"].to_list() == ["JFK", "JFK", "LGA"]
    assert found["temp"].to_list() == [60.25, 61.0, None]
    assert found["wet"].to_list() == [True, None, False]
    assert found["observed"].dt.epoch("us").to_list() == [NOON_US - 2 * HOUR_US, NOON_US - HOUR_US, NOON_US]


def test_only_what_is_known_is_read_and_the_rest_is_asked_for_again(postgres, tmp_path):
    first = SqlQueries().read(source(postgres), tmp_path, None, NOON_US)
    assert sorted(first.frame["id"]) == [1, 2]
    second = SqlQueries().read(source(postgres), tmp_path, first.watermark, NOON_US + HOUR_US)
    assert second.frame["id"].to_list() == [3]
    third = SqlQueries().read(source(postgres), tmp_path, second.watermark, NOON_US + HOUR_US)
    assert third.frame["id"].to_list() == [3]
    assert third.watermark == second.watermark


def test_a_query_may_end_with_a_semicolon_and_choose_rows(postgres, tmp_path):
    query = "select id, observed, told, temp from weather where station = 'JFK';"
    first = SqlQueries().read(source(postgres, query), tmp_path, None, NOON_US)
    assert sorted(first.frame["id"]) == [1, 2]
    again = SqlQueries().read(source(postgres, query), tmp_path, first.watermark, NOON_US)
    assert again.frame["id"].to_list() == [2]


def test_an_unknown_watermark_is_refused_with_the_nearest_column(postgres, tmp_path):
    with pytest.raises(InvalidInput, match=r"Source\('weather'\).watermark.*did you mean 'told'"):
        SqlQueries().read(source(postgres, watermark="tolt"), tmp_path)


def test_a_wrong_query_says_so(postgres, tmp_path):
    with pytest.raises(Unavailable, match='relation "climate" does not exist'):
        SqlQueries().read(source(postgres, "select * from climate"), tmp_path)


def test_a_secret_comes_from_the_environment_and_is_never_shown(tmp_path, monkeypatch):
    spec = source("postgresql://reader:${SQL_PASSWORD}@127.0.0.1:1/weather")
    with pytest.raises(InvalidInput, match=r"is not in the environment.*set SQL_PASSWORD"):
        SqlQueries().read(spec, tmp_path)
    monkeypatch.setenv("SQL_PASSWORD", "hush-hush")
    with pytest.raises(Unavailable) as error:
        SqlQueries().read(spec, tmp_path)
    assert "hush-hush" not in str(error.value)
    assert error.value.__cause__ is None
    assert "hush-hush" not in repr(spec)


def test_a_secret_with_an_at_sign_is_not_taken_for_a_host(tmp_path, monkeypatch):
    monkeypatch.setenv("SQL_PASSWORD", "p@hush-hush")
    with pytest.raises(InvalidInput, match="write %40 for @") as error:
        SqlQueries().read(source("postgresql://reader:${SQL_PASSWORD}@127.0.0.1:1/weather"), tmp_path)
    assert "hush-hush" not in str(error.value)


def test_a_password_in_a_declaration_is_not_shown_either(tmp_path):
    spec = source("postgresql://reader:hush-hush@127.0.0.1:1/weather")
    assert "hush-hush" not in repr(spec)
    with pytest.raises(Unavailable) as error:
        SqlQueries().read(spec, tmp_path)
    assert "hush-hush" not in str(error.value)


@pytest.mark.parametrize("url", ["nonsense", "nosuch://host/db", "postgresql://host:port/db"])
def test_an_address_that_is_none_is_refused(url, tmp_path):
    with pytest.raises(InvalidInput, match="is not the address of a database"):
        SqlQueries().read(source(url), tmp_path)


def test_sqlite_is_read_with_texts_as_times(tmp_path):
    with sqlite3.connect(tmp_path / "weather.db") as connection:
        connection.execute("create table weather (id int, observed text, told text, temp real)")
        times = [(1, "2013-05-03T10:00Z", "2013-05-03T11:00Z"), (2, "2013-05-03T11:00Z", "2013-05-03T13:00Z")]
        connection.executemany("insert into weather values (?, ?, ?, 60.5)", times)
    connection.close()
    spec = source(f"sqlite:///{tmp_path / 'weather.db'}")
    first = SqlQueries().read(spec, tmp_path, None, NOON_US)
    assert first.frame["id"].to_list() == [1]
    assert SqlQueries().read(spec, tmp_path, first.watermark, NOON_US + HOUR_US).frame["id"].to_list() == [2]
