"""Where a play stands between two looks."""

from __future__ import annotations

import msgspec

from mainspring.release.evidence.gathered import Books
from mainspring.release.rehearsal.dealing import Dealing, nothing_dealt
from mainspring.release.rehearsal.wire import Wire
from mainspring.release.state import State


class Moment(msgspec.Struct, frozen=True):
    """State, books, and each challenger's tripwire; ``exposed_us`` is how far rows that met a challenger are counted.

    ``current`` is the place of the challenger that is released, once there is only one.
    """

    state: State
    books: Books
    dealing: Dealing
    wires: tuple[Wire, ...]
    current: int = 0
    look: int = 0
    exposed_us: int = 0
    exposed_rows: int = 0

    @classmethod
    def at(cls, state: State, books: Books, challengers: int) -> Moment:
        """Return the moment at which a release starts."""
        wires = (Wire(),) * challengers
        return cls(state, books, nothing_dealt(challengers), wires, exposed_us=state.started_us)

    def dealt(self, versions: tuple[str, ...]) -> Moment:
        """Return the moment with the shares that a decision has just set, if it has set any."""
        state, dealing = self.state, self.dealing
        if len(state.share_changes) == len(dealing.changes_us):
            return self
        shares = {one.version: one.share for one in state.contest} or {versions[self.current]: state.share}
        dealing = dealing.then(state.share_changes[-1], [shares.get(version, 0.0) for version in versions])
        return msgspec.structs.replace(self, dealing=dealing)
