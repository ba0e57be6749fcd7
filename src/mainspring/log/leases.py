"""Who still reads what is listed no more: immutable files go once every reader that may have seen them has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Leases(Generic[T]):
    """Readers and retired things. A reader holds off what is retired while it reads, and nothing retired before.

    >>> gone = []
    >>> leases = Leases(gone.append)
    >>> with leases.held():
    ...     leases.retire(["old"])
    ...     gone
    []
    >>> gone
    ['old']
    """

    def __init__(self, remove: Callable[[T], None]) -> None:
        self._remove = remove
        self._turn = threading.Lock()
        self._next = 0
        self._readers: set[int] = set()
        self._retired: list[tuple[set[int], T]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a lease: what is retired from now on stays until this ends, however long that takes."""
        with self._turn:
            mine = self._next
            self._next += 1
            self._readers.add(mine)
        try:
            yield
        finally:
            with self._turn:
                self._readers.discard(mine)
                for waited_for, _ in self._retired:
                    waited_for.discard(mine)
                free = [thing for waited_for, thing in self._retired if not waited_for]
                self._retired = [entry for entry in self._retired if entry[0]]
            self._remove_all(free)

    def retire(self, things: Iterable[T]) -> None:
        """Remove things once no reader of now is left; at once if there is none."""
        with self._turn:
            readers = set(self._readers)
            if readers:
                self._retired += [(set(readers), thing) for thing in things]
                return
        self._remove_all(things)

    @property
    def waiting(self) -> int:
        """Return how many retired things readers still hold."""
        return len(self._retired)

    def _remove_all(self, things: Iterable[T]) -> None:
        for thing in things:
            self._remove(thing)
