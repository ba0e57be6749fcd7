"""Rows to which some version has no answer, and why: they are left out for all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from mainspring.release.rehearsal.deck import Bools, Ints


class Gap(Enum):
    """Why there is no answer to a row: its request cannot be read any more, or the version was fitted on it."""

    UNREAD = 1
    LEARNT = 2


class Gaps:
    """Which rows (n,) are left out."""

    def __init__(self, rows: int) -> None:
        self.unread = np.zeros(rows, dtype=np.bool_)
        self.learnt = np.zeros(rows, dtype=np.bool_)

    def add(self, places: Ints, found: Sequence[float | Gap | None]) -> Bools:
        """Take in one version's answers to the rows at ``places`` (m,); tell to which there is one."""
        for mask, gap in ((self.unread, Gap.UNREAD), (self.learnt, Gap.LEARNT)):
            mask[places] |= np.array([one is gap for one in found], dtype=np.bool_)
        return np.array([not isinstance(one, Gap) for one in found], dtype=np.bool_)

    @property
    def kept(self) -> Ints:
        """The places of the rows that remain."""
        return np.flatnonzero(~(self.unread | self.learnt))
