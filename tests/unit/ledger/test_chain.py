from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import delete, insert, update

from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.metadata import metadata
from mainspring.ledger.chain import GENESIS, entry_hash, parse_head
from mainspring.ledger.queries import entries, newest_head, verify_chain
from mainspring.ledger.tables import ledger_entries

KEY = b"only the home has it"


@pytest.fixture
def store(tmp_path):
    clock = SimulatedClock.create(tmp_path / "clock", datetime(2013, 3, 1, tzinfo=UTC))
    store = SqliteStore(tmp_path / "meta.db", clock, KEY)
    with store.bookkeeping() as connection:
        metadata.create_all(connection, tables=[ledger_entries])
    for number in range(1, 6):
        with store.begin("ann") as tx:
            tx.record("release.stepped", f"rel_{number}", f"step {number}", {"delta": number / 8, "n": number})
    yield store
    store.close()


def head(store):
    with store.read() as connection:
        return newest_head(connection)


def verdict(store, key=KEY, **known):
    with store.read() as connection:
        return verify_chain(connection, key, **known)


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
    assert (found.verified, found.broken_at, found.fault) == (False, 3, "altered")
    assert found.reason == "its content is not what was written"


def forge(store, key):
    """Change entry 3 as somebody with that key would: give it and all that follow it fresh hashes."""
    with store.bookkeeping() as connection:
        chain = entries(connection)
        previous = chain[1].hash
        for entry in chain[2:]:
            reason = "another" if entry.seq == 3 else entry.reason
            forged = msgspec.structs.replace(entry, reason=reason, previous=previous)
            previous = entry_hash(forged, key)
            change = update(ledger_entries).where(ledger_entries.c.seq == entry.seq)
            connection.execute(change.values(reason=reason, previous=forged.previous, hash=previous))


def test_whoever_has_only_the_store_cannot_write_a_chain_that_verifies(store):
    forge(store, b"a guess")
    found = verdict(store)
    assert (found.verified, found.broken_at, found.fault) == (False, 3, "altered")


def test_whoever_has_the_key_too_is_shown_by_a_head_that_was_kept_elsewhere(store):
    known = head(store)
    forge(store, KEY)
    assert verdict(store).verified
    found = verdict(store, heads=[known])
    assert (found.verified, found.broken_at, found.fault) == (False, 5, "altered")
    assert "written anew" in found.reason


def test_a_dropped_entry_is_named(store):
    with store.bookkeeping() as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.seq == 2))
    found = verdict(store)
    assert (found.verified, found.broken_at, found.fault) == (False, 2, "dropped")
    assert found.reason == "it is missing; what follows is entry 3"


def test_an_added_entry_is_named(store):
    with store.bookkeeping() as connection:
        for seq in (5, 4):
            change = update(ledger_entries).where(ledger_entries.c.seq == seq)
            connection.execute(change.values(seq=seq + 1))
        third = entries(connection)[2]
        added = msgspec.structs.replace(third, seq=4, reason="put in", previous=third.hash)
        row = {**msgspec.structs.asdict(added), "hash": entry_hash(added, b"a guess"), "numbers": "{}"}
        connection.execute(insert(ledger_entries).values(row))
    found = verdict(store)
    assert (found.verified, found.broken_at, found.fault) == (False, 4, "added")


def test_a_cut_tail_shows_when_a_head_is_known(store):
    known = head(store)
    with store.bookkeeping() as connection:
        connection.execute(delete(ledger_entries).where(ledger_entries.c.seq > 3))
    assert verdict(store).verified
    found = verdict(store, heads=[known])
    assert (found.verified, found.broken_at, found.fault) == (False, 4, "dropped")
    assert found.reason == "entries 4 to 5 are missing: an exported head names entry 5"


@pytest.mark.parametrize("text", ["", "5", "five:" + "a" * 64, "5:" + "a" * 63, "5:" + "z" * 64, "-1:" + "a" * 64])
def test_what_is_not_a_head_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a head"):
        parse_head(text)


def test_a_head_is_read_as_it_was_written(store):
    assert parse_head(str(head(store))) == head(store)


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
