"""One running comparison: sums that merge and the highest e-values seen; its cost does not grow with traffic."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.days import Day, by_days, days_of
from mainspring.release.evidence.eprocess import Floats, interval, peak

Ints = NDArray[np.int64]
LARGEST_SHOWN = 1e12


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one comparison is held to; fixed when the release starts. Differences above zero mean: challenger worse.

    ``promote_margin``: promotion needs "worse by that much" rejected at ``alpha_promote``. ``stop_margin``: the release
    stops once "not worse than that" is rejected at ``alpha_stop``; ``two_sided`` stops for either direction.
    """

    name: str
    role: Literal["metric", "guard"]
    estimator: Literal["paired", "drawn"]
    bound: float = 1.0
    promote_margin: float | None = None
    alpha_promote: float = 0.05
    stop_margin: float | None = None
    alpha_stop: float = 0.01
    two_sided: bool = False


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over the units seen: ``n``, ``w`` = Σw, ``x`` = ΣX, ``v`` = V, and the peaks of ln E of each test.

    ``arms`` holds n and Σloss of the stable arm and of the challenger's (drawn comparisons estimate means from them).
    ``days`` holds Σw and ΣX of each day, for what is claimed of days like these; of metrics alone.
    """

    n: int = 0
    w: float = 0.0
    x: float = 0.0
    v: float = 0.0
    peak_promote: float = 0.0
    peak_stop: float = 0.0
    winsorised: int = 0
    arms: tuple[int, float, int, float] = (0, 0.0, 0, 0.0)
    days: dict[int, Day] = {}

    def add(
        self, gate: Gate, w: Floats, x: Floats, v: Floats, *, winsorised: int = 0, at_us: Ints | None = None
    ) -> Stream:
        """Return the stream after units in their order of assignment, with E looked at after each of them.

        ``at_us`` is when each was assigned.
        """
        if len(x) == 0:
            return self
        sums_w, sums_x, sums_v = self.w + np.cumsum(w), self.x + np.cumsum(x), self.v + np.cumsum(v)
        promote, stop = self.peak_promote, self.peak_stop
        if gate.promote_margin is not None:
            promote = peak(gate.promote_margin * sums_w - sums_x, sums_v, gate.bound, promote)
        if gate.stop_margin is not None:
            stop = peak(sums_x - gate.stop_margin * sums_w, sums_v, gate.bound, stop)
            if gate.two_sided:
                stop = peak(-sums_x - gate.stop_margin * sums_w, sums_v, gate.bound, stop)
        return Stream(
            n=self.n + len(x),
            w=float(sums_w[-1]),
            x=float(sums_x[-1]),
            v=float(sums_v[-1]),
            peak_promote=promote,
            peak_stop=stop,
            winsorised=self.winsorised + winsorised,
            arms=self.arms,
            days=self.days if at_us is None or gate.role != "metric" else days_of(self.days, at_us, w, x),
        )

    def measured(self, gate: Gate, *, intervals: bool = True) -> Measured | None:
        """Return what the stream shows against its gate; nothing where no unit was seen or a sum is not finite.

        Nothing is decided on the interval, so a rehearsal does without ``intervals``: then it is all that is possible.
        """
        if self.n < 1 or self.w <= 0 or not all(map(math.isfinite, (self.w, self.x, self.v))):
            return None
        low, high = -gate.bound, gate.bound
        if intervals:
            low, high = interval(self.w, self.x, self.v, gate.bound, gate.alpha_promote)
        sides = 2.0 if gate.two_sided else 1.0
        claim = by_days(self.days, gate.alpha_promote) if intervals else None
        return Measured(
            name=gate.name,
            role=gate.role,
            estimator=gate.estimator,
            n=self.n,
            estimate=self.x / self.w,
            low=low,
            high=high,
            promote_limit=gate.promote_margin,
            e_promote=_shown(self.peak_promote) if gate.promote_margin is not None else None,
            promote_at=1.0 / gate.alpha_promote if gate.promote_margin is not None else None,
            stop_limit=gate.stop_margin,
            e_stop=_shown(self.peak_stop) if gate.stop_margin is not None else None,
            stop_at=sides / gate.alpha_stop if gate.stop_margin is not None else None,
            winsorised=self.winsorised,
            smallest_arm=min(self.arms[0], self.arms[2]) if gate.estimator == "drawn" else None,
            by_days=claim,
        )


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison as it is decided on, stored and shown: its mean difference with an always-valid interval.

    ``low`` and ``high`` hold at every look together; an e-value rejects when it reaches its ``_at``. ``by_days`` is the
    other claim, of days like these: an interval (low, high) for one look, and of how many days. It decides nothing.
    """

    name: str
    role: Literal["metric", "guard", "ratio"]
    estimator: Literal["paired", "drawn"]
    n: int
    estimate: float
    low: float
    high: float
    promote_limit: float | None = None
    e_promote: float | None = None
    promote_at: float | None = None
    stop_limit: float | None = None
    e_stop: float | None = None
    stop_at: float | None = None
    winsorised: int = 0
    smallest_arm: int | None = None
    by_days: tuple[float, float, int] | None = None

    @property
    def matured(self) -> int:
        """Return the units that count against the least number: all pairs, or those of the smaller arm."""
        return self.n if self.smallest_arm is None else self.smallest_arm

    @property
    def good_enough(self) -> bool:
        """Whether "worse by the margin" is rejected."""
        return self.e_promote is not None and self.promote_at is not None and self.e_promote >= self.promote_at

    @property
    def stops(self) -> bool:
        """Whether "not worse" is rejected."""
        return self.e_stop is not None and self.stop_at is not None and self.e_stop >= self.stop_at


def _shown(log_e: float) -> float:
    return math.exp(log_e) if log_e < math.log(LARGEST_SHOWN) else LARGEST_SHOWN
