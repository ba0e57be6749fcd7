"""The tripwire: a test for gross failure that a gateway runs on every request of a challenger, on its own.

``F <- max(1, F) · (½/p̂ after a failure, ½/(1-p̂) after a success)`` with ``p̂`` twice the stable version's failures in
the last minute, at least one in a hundred. Under a challenger that fails no more often than that, F reaches ``1000 ×
planned requests`` with probability below .001 in all its requests together; five failures in a row reach it at 20,000.
"""

from __future__ import annotations

import math

import msgspec

CAUTION = 1_000.0  # one over the error that is spent on this test
LEAST_SHARE = 0.01
GREATEST_SHARE = 0.5
WINDOW_S = 60
_MOST_AT_ONCE = 100.0  # more than any limit asks for, and a number still


def limit(planned_requests: int) -> float:
    """Return the value of F that stops a challenger planned to answer so many requests.

    >>> limit(20_000)
    20000000.0
    """
    return CAUTION * max(1, planned_requests)


def expected_share(stable_failures: int, stable_requests: int) -> float:
    """Return p̂: the share of failures that is still taken for ordinary, from the stable version's last minute."""
    if stable_requests <= 0:
        return LEAST_SHARE
    return min(GREATEST_SHARE, max(LEAST_SHARE, 2.0 * stable_failures / stable_requests))


def updated(value: float, failed: bool, share: float) -> float:
    """Return F after one more request of the challenger.

    >>> value = 1.0
    >>> for _ in range(5):
    ...     value = updated(value, True, 0.01)
    >>> value > limit(20_000)
    True
    """
    return max(1.0, value) * (0.5 / share if failed else 0.5 / (1.0 - share))


class Tripwire(msgspec.Struct):
    """The running test of one challenger in one worker, with the stable version's last minute beside it.

    ``at_s`` is the machine's monotonic time. Once tripped it stays tripped. ``evidence`` is the logarithm of all its
    own factors: what another worker needs to hear to go on as if the requests had come to it.
    """

    planned_requests: int
    value: float = 1.0
    tripped: bool = False
    failures: int = 0
    requests: int = 0
    evidence: float = 0.0
    stable: dict[int, tuple[int, int]] = {}

    def stable_answered(self, failed: bool, at_s: float) -> None:
        """Count one answer of the stable version."""
        second = int(at_s)
        requests, failures = self.stable.get(second, (0, 0))
        self.stable[second] = (requests + 1, failures + failed)

    def challenger_answered(self, failed: bool, at_s: float) -> bool:
        """Count one request of the challenger and return whether it must be disabled now."""
        oldest = int(at_s) - WINDOW_S
        for second in [second for second in self.stable if second <= oldest]:
            del self.stable[second]
        requests = sum(counted[0] for counted in self.stable.values())
        failures = sum(counted[1] for counted in self.stable.values())
        self.requests += 1
        self.failures += failed
        before = max(1.0, self.value)
        self.value = updated(before, failed, expected_share(failures, requests))
        self.evidence += math.log(self.value / before)
        return self._has_tripped()

    def heard(self, evidence: float, failures: int, requests: int) -> bool:
        """Count what another worker has come to since it was heard last, and return whether that is too much.

        >>> here, there = Tripwire(20_000), Tripwire(20_000)
        >>> any([here.challenger_answered(True, 0.1) for _ in range(3)])
        False
        >>> any([there.challenger_answered(True, 0.1) for _ in range(2)])
        False
        >>> here.heard(there.evidence, there.failures, there.requests)
        True
        """
        self.failures += failures
        self.requests += requests
        self.value = max(1.0, self.value) * math.exp(min(evidence, _MOST_AT_ONCE))
        return self._has_tripped()

    def _has_tripped(self) -> bool:
        self.tripped = self.tripped or self.value >= limit(self.planned_requests)
        return self.tripped
