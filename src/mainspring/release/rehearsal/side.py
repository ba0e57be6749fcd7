"""A challenger in one play: its answers, with failures that were injected into this play alone."""

from __future__ import annotations

from mainspring.release.rehearsal.deck import Bools
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.slices import Means


class Side:
    """``fails`` (rows,) are injected failures; without any, everything is as in every other play."""

    def __init__(self, rival: Rival, fails: Bools | None) -> None:
        self.rival, self.own_faults = rival, fails is not None
        self.ok = rival.ok if fails is None else rival.ok & ~fails
        self.late = rival.late if fails is None else rival.late & ~fails
        self._means: tuple[int, Means] | None = None

    @property
    def fails(self) -> bool:
        return self.own_faults or self.rival.failing

    def means(self, since_us: int) -> Means:
        """Return what happens to the units of a canary that begins at ``since_us``."""
        if not self.own_faults:
            return self.rival.means(since_us)
        if self._means is None or self._means[0] != since_us:
            self._means = since_us, self.rival.means_with(since_us, self.ok, self.late)
        return self._means[1]
