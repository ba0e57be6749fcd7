"""What was looked up for the rows of a request: each view's distinct features once, and which of them each row got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import msgspec

from mainspring.features.ports import FeatureRow

Looked = FeatureRow
"""The features of one view for one row, and when the newest row behind them was known."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """What one view said: distinct features, and for each row the place of its own among them."""

    distinct: Sequence[Looked]
    which: Sequence[int]

    def take(self, places: Sequence[int]) -> Found:
        """Return what it said of some of the rows."""
        taken = [self.which[place] for place in places]
        numbers = {one: number for number, one in enumerate(dict.fromkeys(taken))}
        return Found([self.distinct[one] for one in numbers], [numbers[one] for one in taken])


class LookedRows(Sequence[Sequence[Looked]]):
    """What several views said of rows; a row of it holds what each view said, in the order of the views.

    >>> sky = Found([Looked((281.5,), 7), Looked((None,), None)], [0, 1, 0])
    >>> rows = LookedRows(3, [sky])
    >>> rows[1], rows.take([0, 2]).views[0].which
    ((FeatureRow(values=(None,), known_us=None),), [0, 0])
    """

    __slots__ = ("_count", "views")

    def __init__(self, count: int, views: Sequence[Found]) -> None:
        self._count = count
        self.views = views

    def take(self, places: Sequence[int]) -> LookedRows:
        """Return what was looked up for some of the rows, in their order."""
        if len(places) == self._count:
            return self
        return LookedRows(len(places), [view.take(places) for view in self.views])

    def pick(self, views: Sequence[int] | None) -> LookedRows:
        """Return what some of the views said; ``None`` are all."""
        return self if views is None else LookedRows(self._count, [self.views[place] for place in views])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Sequence[Looked]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[Looked]]: ...
    def __getitem__(self, place: int | slice) -> Sequence[Looked] | Sequence[Sequence[Looked]]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self._count))]
        if not -self._count <= place < self._count:
            raise IndexError(place)
        return tuple([view.distinct[view.which[place]] for view in self.views])
