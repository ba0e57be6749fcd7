"""The gateway's tripwire over many requests at once: the same test of gross failure, on arrays."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from mainspring.release.evidence.eprocess import Floats
from mainspring.release.rehearsal.deck import Bools, Ints
from mainspring.serving.tripwire import limit


class Wire(msgspec.Struct, frozen=True):
    """``ln max(1, F)`` so far, and when F reached its limit. F is multiplied by each request, never below one."""

    value: float = 0.0
    tripped_us: int | None = None

    def after(self, at_us: Ints, failed: Bools, expected: Floats, planned_requests: int) -> Wire:
        """Return the wire after a challenger's requests; ``expected`` is the share of failures that is ordinary."""
        if self.tripped_us is not None or len(at_us) == 0:
            return self
        sums = self.value + np.cumsum(np.where(failed, np.log(0.5 / expected), np.log(0.5 / (1.0 - expected))))
        values = sums - np.minimum(np.minimum.accumulate(sums), 0.0)
        over = np.flatnonzero(values >= math.log(limit(planned_requests)))
        if len(over):
            return Wire(float(values[over[0]]), int(at_us[over[0]]))
        return Wire(float(values[-1]))
