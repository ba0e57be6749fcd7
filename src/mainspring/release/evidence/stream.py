"""One running comparison: sums that merge and the highest e-values seen; its cost does not grow with traffic."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.asymptotic import PLANNED_UNITS, readable, unreadable
from mainspring.release.evidence.days import Day, by_days, days_of
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.sequence import Sequence, sequence

Ints = NDArray[np.int64]
LARGEST_SHOWN = 1e12


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one comparison is held to; fixed when the release starts. Differences above zero mean: challenger worse.

    ``promote_margin``: promotion needs "worse by that much" rejected at ``alpha_promote``. ``stop_margin``: the release
    stops once "not worse than that" is rejected at ``alpha_stop``; ``two_sided`` stops for either direction. Without a
    ``bound`` all of this is asymptotic, and sharpest at ``planned_units``.
    """

    name: str
    role: Literal["metric", "guard"]
    estimator: Literal["paired", "drawn"]
    bound: float | None = 1.0
    promote_margin: float | None = None
    alpha_promote: float = 0.05
    stop_margin: float | None = None
    alpha_stop: float = 0.01
    two_sided: bool = False
    planned_units: int = PLANNED_UNITS

    def sequence(self, planned_v: float) -> Sequence:
        """Return the e-process that promotion, stop and interval all read, at the error that the gate is there for."""
        return sequence(self.bound, planned_v, self.alpha_stop if self.promote_margin is None else self.alpha_promote)


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over the units seen: ``n``, ``w`` = Σw, ``x`` = ΣX, ``v`` = V, and the peaks of ln E of each test.

    ``arms`` holds n and Σloss of the stable arm and of the challenger's (drawn comparisons estimate means from them).
    ``days`` holds Σw and ΣX of each day, for what is claimed of days like these; of metrics alone. Where there is no
    bound, ``largest`` is the largest term of V, and ``planned_v`` the V at the end of the plan, as the units before the
    first look foretold it.
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
    largest: float = 0.0
    planned_v: float = 0.0

    def add(
        self,
        gate: Gate,
        w: Floats,
        x: Floats,
        v: Floats,
        *,
        winsorised: int = 0,
        at_us: Ints | None = None,
        smallest_arm: Ints | None = None,
    ) -> Stream:
        """Return the stream after units in their order of assignment, with E looked at after each of them.

        ``at_us`` is when each was assigned, ``smallest_arm`` how many the smaller arm had by then, where there are two.
        """
        if len(x) == 0:
            return self
        sums_w, sums_x, sums_v = self.w + np.cumsum(w), self.x + np.cumsum(x), self.v + np.cumsum(v)
        after = msgspec.structs.replace(
            self,
            n=self.n + len(x),
            w=float(sums_w[-1]),
            x=float(sums_x[-1]),
            v=float(sums_v[-1]),
            winsorised=self.winsorised + winsorised,
            days=self.days if at_us is None or gate.role != "metric" else days_of(self.days, at_us, w, x),
        )
        if gate.bound is not None:
            return after._looked_at(gate, sums_w, sums_x, sums_v)
        running = np.maximum.accumulate(np.maximum(v, self.largest))
        reached = self.n + np.arange(1, len(x) + 1)
        looks = np.flatnonzero(readable(running, sums_v, reached if smallest_arm is None else smallest_arm))
        planned_v = self.planned_v
        if len(looks) and not planned_v:
            planned_v = float(sums_v[looks[0]] / reached[looks[0]]) * gate.planned_units
        after = msgspec.structs.replace(after, largest=float(running[-1]), planned_v=planned_v)
        return after._looked_at(gate, sums_w[looks], sums_x[looks], sums_v[looks])

    def _looked_at(self, gate: Gate, w: Floats, x: Floats, v: Floats) -> Stream:
        """Return the stream with the peaks of E along running sums (n,)."""
        of = gate.sequence(self.planned_v)
        promote, stop = self.peak_promote, self.peak_stop
        if gate.promote_margin is not None:
            promote = of.peak(gate.promote_margin * w - x, v, promote)
        if gate.stop_margin is not None:
            stop = of.peak(x - gate.stop_margin * w, v, stop)
            if gate.two_sided:
                stop = of.peak(-x - gate.stop_margin * w, v, stop)
        return msgspec.structs.replace(self, peak_promote=promote, peak_stop=stop)

    def measured(self, gate: Gate, *, intervals: bool = True) -> Measured | None:
        """Return what the stream shows against its gate; nothing where no unit was seen or a sum is not finite.

        Nothing but an end by precision is decided on the interval, so most of a rehearsal does without ``intervals``:
        then it is all that is possible.
        """
        if self.n < 1 or self.w <= 0 or not all(map(math.isfinite, (self.w, self.x, self.v))):
            return None
        smallest_arm = min(self.arms[0], self.arms[2]) if gate.estimator == "drawn" else None
        withheld = self._withheld(gate, self.n if smallest_arm is None else smallest_arm)
        low, high = self._interval(gate, possible=not intervals) if not withheld else (None, None)
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
            smallest_arm=smallest_arm,
            by_days=claim,
            asymptotic=gate.bound is None,
            withheld=withheld,
        )

    def _interval(self, gate: Gate, *, possible: bool) -> tuple[float, float]:
        if possible and gate.bound is not None:
            return -gate.bound, gate.bound
        return gate.sequence(self.planned_v).interval(self.w, self.x, self.v, gate.alpha_promote)

    def _withheld(self, gate: Gate, smallest_arm: int) -> str:
        return unreadable(self.largest, self.v, smallest_arm) if gate.bound is None else ""


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison as it is decided on, stored and shown: its mean difference with an always-valid interval.

    ``low`` and ``high`` hold at every look together; an e-value rejects when it reaches its ``_at``. ``by_days`` is the
    other claim, of days like these: an interval (low, high) for one look, and of how many days. It decides nothing.
    Of a metric without a bound all is ``asymptotic``: it holds in the limit of many units. While it cannot be relied on
    it is ``withheld``, in words: there is no interval, and no e-value rejects.
    """

    name: str
    role: Literal["metric", "guard", "ratio"]
    estimator: Literal["paired", "drawn"]
    n: int
    estimate: float
    low: float | None
    high: float | None
    promote_limit: float | None = None
    e_promote: float | None = None
    promote_at: float | None = None
    stop_limit: float | None = None
    e_stop: float | None = None
    stop_at: float | None = None
    winsorised: int = 0
    smallest_arm: int | None = None
    by_days: tuple[float, float, int] | None = None
    asymptotic: bool = False
    withheld: str = ""

    @property
    def matured(self) -> int:
        """Return the units that count against the least number: all pairs, or those of the smaller arm."""
        return self.n if self.smallest_arm is None else self.smallest_arm

    @property
    def good_enough(self) -> bool:
        """Whether "worse by the margin" is rejected."""
        return not self.withheld and _reached(self.e_promote, self.promote_at)

    @property
    def stops(self) -> bool:
        """Whether "not worse" is rejected."""
        return not self.withheld and _reached(self.e_stop, self.stop_at)


def _reached(e: float | None, at: float | None) -> bool:
    return e is not None and at is not None and e >= at


def _shown(log_e: float) -> float:
    return math.exp(log_e) if log_e < math.log(LARGEST_SHOWN) else LARGEST_SHOWN
