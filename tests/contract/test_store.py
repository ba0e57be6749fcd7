"""Both metadata stores, by one contract; and what only PostgreSQL has: a lease, a server that may be away."""

import threading
from contextlib import closing, contextmanager

import psycopg
import pytest

from mainspring.adapters.stores.lease import Holder
from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.postgres import PostgresStore, home_of
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.errors import Conflict, InvalidInput, Refused, Unavailable
from mainspring.ledger.queries import entries
from mainspring.testing.contracts.store import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        self.path = tmp_path / "meta.db"
        with closing(SqliteStore(self.path, SystemClock())) as store:
            migrate(store)
            yield store

    @contextmanager
    def another(self, store):
        with closing(SqliteStore(self.path, SystemClock())) as other:
            yield other


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_url):
        self.url = postgres_url
        with closing(PostgresStore(postgres_url, SystemClock())) as store:
            migrate(store)
            yield store

    @contextmanager
    def another(self, store):
        with closing(PostgresStore(self.url, SystemClock())) as other:
            yield other

    def test_a_session_that_ends_between_two_changes_is_not_noticed(self, store):
        end_sessions(self.url)
        with store.begin("ann") as tx:
            tx.record("a.change", "x", "after the sessions ended")

    def test_a_session_that_ends_within_a_change_undoes_it_and_says_so(self, store):
        with pytest.raises(Unavailable, match="does not answer"):
            self.change_and_lose_the_session(store, then=lambda tx: tx.record("a.change", "y", "never"))
        with store.read() as connection:
            assert entries(connection) == []

    def test_a_session_that_ends_before_its_commit_undoes_the_change_and_says_so(self, store):
        with pytest.raises(Unavailable, match="nothing was changed"):
            self.change_and_lose_the_session(store)
        with store.read() as connection:
            assert entries(connection) == []

    def change_and_lose_the_session(self, store, then=lambda tx: None):
        with store.begin("ann") as tx:
            tx.record("a.change", "x", "never")
            end_sessions(self.url)
            then(tx)

    def test_a_commit_whose_answer_was_lost_is_found_out_to_be_whole(self, store, monkeypatch):
        lose_the_answer(store, monkeypatch)
        with store.begin("ann") as tx:
            tx.record("a.change", "x", "committed, but nobody heard of it")
        with store.read() as connection:
            assert [entry.subject for entry in entries(connection)] == ["x"]

    def test_a_text_that_it_cannot_hold_is_refused_as_input(self, store):
        with pytest.raises(InvalidInput, match="cannot be stored"), store.begin("ann") as tx:
            tx.record("a.change", "x", "a zero byte \x00 within")

    def test_a_writer_that_waits_too_long_is_told_that_another_writes(self, store):
        impatient = PostgresStore(self.url, SystemClock(), turn_s=0.1)
        with closing(impatient), store.bookkeeping(), pytest.raises(Conflict, match="another process writes"):
            impatient.bookkeeping().__enter__()


def end_sessions(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


def lose_the_answer(store, monkeypatch):
    """Let the next commit happen, and its connection break before the answer arrives."""
    dialect = store._writers.dialect
    real = dialect.do_commit

    def commit(connection):
        monkeypatch.setattr(dialect, "do_commit", real)
        real(connection)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(dialect, "do_commit", commit)


HERE = Holder("hom_1", "control (process 1)", "kernel:1:1")
THERE = Holder("hom_1", "control (process 2)", "kernel:1:2")


def open_as(url, holder, **given):
    store = PostgresStore(url, SystemClock(), holder=holder, **{"lease_s": 1.0, **given})
    migrate(store)
    return store


def test_a_second_holder_is_told_who_has_the_home(postgres_url):
    told = pytest.raises(Conflict, match=r"in use by control \(process 1\)")
    with closing(open_as(postgres_url, HERE, lease_s=30.0)), told:
        open_as(postgres_url, THERE)
    with closing(open_as(postgres_url, THERE)):
        assert home_of(postgres_url) == "hom_1"


def test_a_lease_is_kept_for_as_long_as_its_holder_lives(postgres_url):
    with closing(open_as(postgres_url, HERE)), pytest.raises(Conflict):
        open_as(postgres_url, THERE, wait_s=2.5)


def test_one_that_stands_by_takes_over_when_the_first_gives_up(postgres_url):
    first = open_as(postgres_url, HERE, lease_s=30.0)
    threading.Timer(0.5, first.close).start()
    with closing(open_as(postgres_url, THERE, wait_s=60.0)) as second, second.begin("second") as tx:
        tx.record("a.change", "x", "taken over")


def test_one_that_stands_by_outlasts_a_database_that_is_away(postgres_url):
    first = open_as(postgres_url, HERE, lease_s=30.0)
    threading.Timer(0.5, end_sessions, [postgres_url]).start()
    threading.Timer(1.0, first.close).start()
    with closing(open_as(postgres_url, THERE, wait_s=60.0)) as second, second.begin("second") as tx:
        tx.record("a.change", "x", "taken over")


def test_the_successor_at_the_same_place_does_not_wait(postgres_url):
    first = open_as(postgres_url, HERE, lease_s=600.0)
    second = open_as(postgres_url, HERE, lease_s=600.0)
    with pytest.raises(Conflict, match="taken over"), first.begin("first") as tx:
        tx.record("a.change", "x", "never")
    assert first.lost
    for store in (first, second):
        store.close()


def test_who_was_in_the_middle_of_a_change_when_fenced_commits_nothing(postgres_url):
    stores = [open_as(postgres_url, HERE, lease_s=600.0)]

    def change():
        with stores[0].begin("first") as tx:
            tx.record("a.change", "x", "never")
            stores.append(open_as(postgres_url, HERE, lease_s=600.0))

    with pytest.raises(Unavailable):
        change()
    with stores[1].read() as connection:
        assert entries(connection) == []
    for store in stores:
        store.close()


def test_a_database_of_another_home_is_refused(postgres_url):
    open_as(postgres_url, HERE).close()
    with pytest.raises(Conflict, match="belongs to another home"):
        open_as(postgres_url, Holder("hom_2", "control", "kernel:1:1"))


def test_a_server_that_is_not_there_is_said_without_the_password():
    with pytest.raises(Unavailable, match="does not answer") as told:
        PostgresStore("postgresql://ann:hush-hush@127.0.0.1:1/shop", SystemClock())
    assert "ann:***@127.0.0.1" in str(told.value)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("url", ["postgresql://h/d?password=hush-hush", "postgresql//hush-hush"])
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url):
    with pytest.raises(InvalidInput) as told:
        PostgresStore(url, SystemClock())
    assert "hush" not in str(told.value)


def test_a_user_that_is_not_known_is_refused_without_showing_the_password(postgres_url):
    with pytest.raises((Unavailable, Refused)) as told:
        PostgresStore(postgres_url.replace("postgres:@/", "nobody:hush-hush@/"), SystemClock())
    assert "hush" not in str(told.value)
