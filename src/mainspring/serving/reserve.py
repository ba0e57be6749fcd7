"""What is kept of a deadline for the stable version, which answers whatever a challenger leaves open."""

from __future__ import annotations

_SHARE, _MOST_US = 0.2, 200_000  # for the gateway itself, which may come late on a busy machine


def challenger_us(deadline_us: int, stable_p99_us: int) -> int:
    """Return how long a challenger may take of a deadline, in microseconds.

    >>> challenger_us(1_000_000, 5_000), challenger_us(100_000, 5_000)
    (795000, 75000)
    """
    return deadline_us - stable_p99_us - min(_MOST_US, round(_SHARE * deadline_us))
