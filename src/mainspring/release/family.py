"""How releases of one model that run at once share the error of a promotion. Pure.

Whoever starts alone has all of it. Whoever starts beside others takes the first place that none of them holds, from the
second on, and place k has 1/(k(k-1)) of it: a half, a sixth, a twelfth, …, which add up to one. So of all that began
beside others and run at once, any is promoted wrongly with that probability at most, and so is the one that began
alone. How many will come need not be known.
"""

from __future__ import annotations

from collections.abc import Collection


def divisor(running: Collection[int]) -> int:
    """Return by what a release divides the error that starts beside those which divide it by ``running``.

    >>> divisor([]), divisor([1]), divisor([1, 2]), divisor([1, 2, 6])
    (1, 2, 6, 12)
    >>> divisor([6, 12])
    2
    """
    if not running:
        return 1
    place = 2
    while place * (place - 1) in running:
        place += 1
    return place * (place - 1)
