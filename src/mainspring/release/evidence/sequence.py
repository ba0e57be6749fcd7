"""How sums become e-values and an interval: the one place that tells metrics with a bound from those without."""

from __future__ import annotations

import msgspec

from mainspring.release.evidence.asymptotic import asymptotic_interval, peak_unbounded, sharpness
from mainspring.release.evidence.eprocess import Floats, interval, peak


class Sequence(msgspec.Struct, frozen=True):
    """One e-process: promotion, stop and interval all read it. ``bound``: exact; without one, ``eta``: asymptotic."""

    bound: float | None
    eta: float = 0.0

    def peak(self, s: Floats, v: Floats, least: float) -> float:
        """Return the greatest ln E along running sums (n,), or ``least`` where none is greater."""
        if self.bound is None:
            return peak_unbounded(s, v, self.eta, least) if len(s) else least
        return peak(s, v, self.bound, least)

    def interval(self, w: float, x: float, v: float, alpha: float) -> tuple[float, float]:
        """Return what both sides leave standing of ΣX/Σw, ``alpha``/2 each."""
        if self.bound is None:
            return asymptotic_interval(w, x, v, alpha, self.eta)
        return interval(w, x, v, self.bound, alpha)


def sequence(bound: float | None, planned_v: float, alpha: float) -> Sequence:
    """Return the e-process of a metric; without a bound it is sharpest at ``planned_v`` and ``alpha``."""
    return Sequence(bound, planned_v / sharpness(alpha) if bound is None else 0.0)
