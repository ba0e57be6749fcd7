from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import delete, update

from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.metadata import metadata
from mainspring.ledger.chain import GENESIS, entry_hash
from mainspring.ledger.queries import entries, verify_chain
from mainspring.ledger.tables import ledger_entries


@pytest.fixture
def store(tmp_path):
    clock = SimulatedClock.create(tmp_path / "clock", datetime(2013, 3, 1, tzinfo=UTC))
    store = SqliteStore(tmp_path / "meta.db", clock)
    with store.bookkeeping() as connection:
        metadata.create_all(connection, tables=[ledger_entries])
    for number in range(1, 6):
        with store.begin("ann") as tx:
            tx.record("release.stepped", f"rel_{number}", f"step {number}", {"delta": number / 8, "n": number})
    yield store
    store.close()


def head(store):
    with store.read() as connection:
        return entries(connection, newest_first=True, limit=1)[0].hash


def verdict(store, **known):
    with store.read() as connection:
        return verify_chain(connection, **known)


def test_an_untouched_ledger_verifies(store):
    found = verdict(store)
    assert (found.entries, found.verified, found.broken_at) == (5, True, None)


def test_the_first_entry_follows_nothing_and_each_names_the_one_before(store):
    with store.read() as connection:
        chain = entries(connection)
    assert chain[0].previous == GENESIS
    assert [entry.previous for entry in chain[1:]] == [entry.hash for entry in chain[:-1]]


@pytest.mark.parametrize(
    ("column", "value"),
    [("reason", "another"), ("actor", "bob"), ("numbers", '{"delta":9}'), ("at_us", 1), ("subject", "rel_9")],
)
def test_a_changed_entry_is_named(store, column, value):
    with store.bookkeeping() as connection:
        connection.execute(update(ledger_entries).where(ledger_entries.c.seq == 3).values({column: value}))
    found = verdict(store)
    assert (found.verified, found.broken_at, found.reason) == (False, 3, "its content is not what was written")


def test_a_changed_entry_with_a_fresh_hash_breaks_the_next_one(store):
    with store.read() as connection:
        third = entries(connection)[2]
    forged = msgspec.structs.replace(third, reason="another")
    with store.bookkeeping() as connection:
        change = update(ledger_entries).where(ledger_entries.c.seq == 3)
        connection.execute(change.values(reason="another", hash=entry_hash(forged)))
    found = verdict(store)
    assert (found.verified, found.broken_at, found.reason) == (False, 4, "it does not follow the entry before it")


def test_a_dropped_entry_is_named(store):
    with store.bookkeeping() as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.seq == 2))
    found = verdict(store)
    assert (found.verified, found.broken_at, found.reason) == (False, 2, "entry 2 is missing (found 3)")


def test_a_cut_tail_shows_when_a_head_is_known(store):
    known = head(store)
    with store.bookkeeping() as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.seq == 5))
    assert verdict(store).verified
    found = verdict(store, head=known)
    assert (found.verified, found.broken_at) == (False, 5)


def test_a_change_without_an_entry_is_not_committed(store):
    with pytest.raises(AssertionError), store.begin("ann") as tx:
        tx.connection.execute(delete(ledger_entries))
    assert verdict(store).entries == 5


def test_a_transaction_that_raises_leaves_nothing(store):
    def fail_in_the_middle():
        with store.begin("ann") as tx:
            tx.record("release.stepped", "rel_6", "step 6")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    assert verdict(store).entries == 5


@pytest.mark.parametrize(("actor", "reason", "field"), [("", "why", "actor"), ("ann", "  ", "reason")])
def test_an_entry_needs_an_actor_and_a_reason(store, actor, reason, field):
    with pytest.raises(InvalidInput, match=f"^{field}:"), store.begin(actor) as tx:
        tx.record("release.stepped", "rel_6", reason)


def test_entries_are_found_by_kind_subject_and_time(store):
    with store.read() as connection:
        assert [entry.seq for entry in entries(connection, kind="release", limit=2)] == [1, 2]
        assert [entry.seq for entry in entries(connection, kind="rel")] == []
        assert [entry.seq for entry in entries(connection, subject="rel_4")] == [4]
        assert entries(connection, until_us=0) == []
