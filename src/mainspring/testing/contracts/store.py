"""What every ``Store`` must do."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.ledger.queries import entries, verify_chain
from mainspring.ledger.transaction import Transaction
from mainspring.log.parts import Span as PartSpan
from mainspring.log.parts import list_parts, listed
from mainspring.log.ports import PartRef
from mainspring.log.tables import tallies
from mainspring.project.tables import revisions
from mainspring.registry.tables import projects

LATE_US = 253_402_300_799_000_000  # the end of the year 9999


class StoreContract:
    """Subclass it with a fixture ``store``, empty and migrated; ``another`` opens the same place once more."""

    def another(self, store: Store) -> AbstractContextManager[Store]:
        raise NotImplementedError

    def test_what_was_committed_is_there_and_says_who_did_it_and_why(self, store: Store) -> None:
        with store.begin("ann") as tx:
            _project(tx.connection, "shop")
            tx.record("project.made", "shop", "it is needed", {"rows": 3})
        with store.read() as connection:
            assert _names(connection) == ["shop"]
            (entry,) = entries(connection)
        assert (entry.seq, entry.actor, entry.kind, entry.numbers) == (1, "ann", "project.made", {"rows": 3})

    def test_what_raised_was_never_there(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            _fail_within(store)
        with store.read() as connection:
            assert (_names(connection), entries(connection)) == ([], [])

    def test_a_change_without_an_entry_is_an_error_and_no_change(self, store: Store) -> None:
        with pytest.raises(AssertionError, match="ledger entry"), store.begin("ann") as tx:
            _project(tx.connection, "shop")
        with store.read() as connection:
            assert _names(connection) == []

    def test_a_failed_statement_takes_the_whole_transaction_with_it(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            _project(connection, "shop")
        with pytest.raises((DBAPIError, MainspringError)), store.bookkeeping() as connection:
            _projects(connection, "stall", "shop")
        with store.bookkeeping() as connection:
            _project(connection, "mill")
        with store.read() as connection:
            assert _names(connection) == ["mill", "shop"]

    def test_a_reference_to_what_is_not_there_is_refused(self, store: Store) -> None:
        with pytest.raises((DBAPIError, MainspringError)), store.bookkeeping() as connection:
            _revision(connection, "nowhere")

    def test_a_reader_sees_one_state_to_its_end(self, store: Store) -> None:
        with store.read() as before:
            assert _names(before) == []
            with store.bookkeeping() as connection:
                _project(connection, "shop")
                with store.read() as meanwhile:
                    assert _names(meanwhile) == []
            assert _names(before) == []
            with store.read() as after:
                assert _names(after) == ["shop"]

    def test_a_reader_cannot_write(self, store: Store) -> None:
        with pytest.raises((DBAPIError, MainspringError)), store.read() as connection:
            _project(connection, "shop")
        with store.read() as connection:
            assert _names(connection) == []

    def test_another_that_opens_the_same_place_sees_what_was_committed(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            _project(connection, "shop")
        with self.another(store) as other, other.read() as connection:
            assert _names(connection) == ["shop"]

    def test_writers_take_turns_and_none_of_their_changes_is_lost(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            connection.execute(insert(tallies).values(model="m", name="n", rows=0))
        with self.another(store) as other:
            writers = [threading.Thread(target=_count_up, args=(one, 10)) for one in (store, store, other, other)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
        with store.read() as connection:
            assert connection.scalar(select(tallies.c.rows)) == 40
            assert verify_chain(connection).entries == 40
            assert verify_chain(connection).verified

    def test_texts_are_ordered_by_their_bytes(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            for name in ("b", "É", "_", "B", "a1", "A", "a"):
                _project(connection, name)
        with store.read() as connection:
            assert _names(connection) == ["A", "B", "_", "a", "a1", "b", "É"]

    def test_values_come_back_as_they_were(self, store: Store) -> None:
        long = "ö" * 500
        with store.begin("ann") as tx:
            _project(tx.connection, long, at_us=LATE_US)
            tx.record(
                "project.made", long, '"quoted" \\ and % and _ and {}', {"share": 0.1, "none": None, "n": [2**53]}
            )
        with store.read() as connection:
            row = connection.execute(select(projects)).one()
            (entry,) = entries(connection, subject=long)
        assert (row.name, row.revision, row.created_us) == (long, None, LATE_US)
        assert entry.reason == '"quoted" \\ and % and _ and {}'
        assert entry.numbers == {"share": 0.1, "none": None, "n": [2**53]}

    def test_numbers_of_rows_are_given_in_their_order(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            project = _project(connection, "shop")
            for _ in range(3):
                _revision(connection, project)
        with store.read() as connection:
            found = list(connection.scalars(select(revisions.c.ledger_seq).order_by(revisions.c.id)))
        assert found == [0, 1, 2]

    def test_parts_are_found_by_model_and_time(self, store: Store) -> None:
        with store.bookkeeping() as connection:
            for number, (model, low, high) in enumerate([("a_1", 0, 10), ("a%1", 10, 20), ("a_1", 20, 30)]):
                part = PartRef(f"part_{number}", "scored", "0" * 64, 1, 1)
                list_parts(connection, [(part, PartSpan(low, high, (model, "other")))], now_us=0)
        with store.read() as connection:
            assert [part.id for part in listed(connection, "scored", model="a_1")] == ["part_0", "part_2"]
            assert [part.id for part in listed(connection, model="other", since_us=15, until_us=20)] == ["part_1"]
            assert connection.scalar(select(func.count()).select_from(tallies)) == 0

    def test_any_order_of_changes_leaves_what_a_list_would_hold(self, store: Store) -> None:
        class Machine(_Machine):
            def __init__(self) -> None:
                super().__init__(store)

        quick = settings(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        run_state_machine_as_test(Machine, settings=quick)


class _Machine(RuleBasedStateMachine):
    """Changes and failures in any order, beside a list of the names that must be there."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._mark = new_id("run")
        self._expected: list[str] = []
        with store.read() as connection:
            self._entries = verify_chain(connection).entries

    @rule(names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), fails=st.booleans())
    def change(self, names: list[str], fails: bool) -> None:
        marked = [f"{self._mark}{name}" for name in names]
        doomed = fails or len({*marked, *self._expected}) < len(marked) + len(self._expected)
        try:
            with self._store.begin("machine") as tx:
                for name in marked:
                    _project(tx.connection, name)
                    tx.record("project.made", name, "a step")
                if fails:
                    raise ZeroDivisionError
        except (ZeroDivisionError, DBAPIError, MainspringError):
            assert doomed
        else:
            assert not doomed
            self._expected += marked
            self._entries += len(marked)

    @rule()
    def forget(self) -> None:
        with self._store.bookkeeping() as connection:
            connection.execute(projects.delete().where(projects.c.name.in_(self._expected)))
        self._expected = []

    @invariant()
    def it_is_what_a_list_holds(self) -> None:
        with self._store.read() as connection:
            found = [name for name in _names(connection) if name.startswith(self._mark)]
            verdict = verify_chain(connection)
        assert found == sorted(self._expected)
        assert (verdict.verified, verdict.entries) == (True, self._entries)


def _project(connection: Connection, name: str, at_us: int = 0) -> str:
    id = new_id("prj")
    connection.execute(insert(projects).values(id=id, name=name, created_us=at_us))
    return id


def _projects(connection: Connection, *names: str) -> None:
    for name in names:
        _project(connection, name)


def _fail_within(store: Store) -> None:
    with store.begin("ann") as tx:
        _project(tx.connection, "shop")
        tx.record("project.made", "shop", "it is needed")
        raise ZeroDivisionError


def _revision(connection: Connection, project: str) -> None:
    number = connection.scalar(select(func.count()).select_from(revisions))
    values = {"digest": "0" * 64, "root": "/", "applied_by": "ann", "applied_us": 0, "ledger_seq": number}
    connection.execute(insert(revisions).values(project=project, **values))


def _names(connection: Connection) -> list[str]:
    return list(connection.scalars(select(projects.c.name).order_by(projects.c.name)))


def _count_up(store: Store, times: int) -> None:
    for _ in range(times):
        with store.begin("counter") as tx:
            _one_more(tx)


def _one_more(tx: Transaction) -> None:
    rows = tx.connection.scalar(select(tallies.c.rows)) or 0
    tx.connection.execute(tallies.update().values(rows=rows + 1))
    tx.record("tally.grew", "m", "one more", {"rows": rows + 1})
