"""How a play deals rows to challengers: each has its own part of [0, 1), as wide as its share at that moment."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from mainspring.release.evidence.eprocess import Floats
from mainspring.release.rehearsal.deck import Bools, Ints


class Dealing(msgspec.Struct, frozen=True):
    """Shares since the start: those after change c are row c + 1 of ``shares`` (c + 1, challengers)."""

    changes_us: Ints
    shares: Floats

    def then(self, at_us: int, shares: Sequence[float]) -> Dealing:
        """Return the dealing from a moment on."""
        return Dealing(np.append(self.changes_us, at_us), np.vstack([self.shares, shares]))

    def of(self, at_us: Ints) -> Floats:
        """Return every challenger's share at each moment (n, challengers); a change counts after its own moment."""
        return np.asarray(self.shares[np.searchsorted(self.changes_us, at_us, side="left")])

    def share(self, at_us: Ints, place: int) -> Floats:
        """Return one challenger's share at each moment (n,)."""
        return np.asarray(self.shares[np.searchsorted(self.changes_us, at_us, side="left"), place])

    def met(self, drawn: Floats, at_us: Ints, place: int) -> Bools:
        """Tell which of the rows that were ``drawn`` in [0, 1) fall to a challenger."""
        when = np.searchsorted(self.changes_us, at_us, side="left")
        upper = np.cumsum(self.shares[:, : place + 1], axis=1)[:, -1]
        below = np.asarray(drawn < upper[when])
        if place == 0 or not self.shares[:, :place].any():
            return below
        return below & (drawn >= (upper - self.shares[:, place])[when])


def nothing_dealt(challengers: int) -> Dealing:
    """Return the dealing before any share was set."""
    return Dealing(np.zeros(0, dtype=np.int64), np.zeros((1, challengers)))
