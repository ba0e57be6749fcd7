"""Groups and moments as one whole number each, so that sorting and looking up are done on plain integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mainspring.features.exact import Ints

_MOST = 2**62
NOWHERE = -1


def codes(pairs: Sequence[tuple[Ints, Ints]]) -> list[Ints]:
    """Return, for each pair of groups and moments, numbers in the order of (group, moment), comparable over all pairs.

    Groups count from 0; ``NOWHERE`` sorts before them all.
    """
    filled = [(group, moment) for group, moment in pairs if len(group)]
    if not filled:
        return [np.empty(0, np.int64) for _ in pairs]
    low = min(int(moment.min()) for _, moment in filled)
    span = max(int(moment.max()) for _, moment in filled) - low + 1
    groups = max(int(group.max()) for group, _ in filled) + 2
    if groups * span < _MOST:
        return [group * span + (moment - low) for group, moment in pairs]
    distinct = np.unique(np.concatenate([moment for _, moment in filled]))
    return [group * len(distinct) + np.searchsorted(distinct, moment) for group, moment in pairs]


def at_or_before(group: Ints, moment: Ints, asked_group: Ints, asked_moment: Ints) -> Ints:
    """Return where the last entry of each asked group at or before its moment stands; ``NOWHERE`` if there is none.

    ``group`` and ``moment`` are in order.
    """
    code, asked = codes([(group, moment), (asked_group, asked_moment)])
    place = np.searchsorted(code, asked, side="right") - 1
    found = place >= 0
    found[found] = group[place[found]] == asked_group[found]
    return np.where(found, place, NOWHERE)
