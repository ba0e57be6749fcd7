"""The draw: which version a unit meets. A salted hash, so it is sticky, stateless, and monotone when a share grows."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from mainspring.serving.routing import ReleaseRoute

_STEP = 2.0**-53


class Drawn(msgspec.Struct, frozen=True):
    """The draw of one unit in [0, 1), the arm it fell to, and how probable that arm was."""

    draw: float
    arm: str
    propensity: float


def draw(salt: str, unit: str) -> float:
    """Return the unit's place in [0, 1) under this salt.

    >>> draw("epoch-1", "flight-7") == draw("epoch-1", "flight-7")
    True
    >>> 0.0 <= draw("epoch-1", "flight-7") < 1.0
    True
    """
    hashed = blake2b(unit.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(hashed, "big") >> 11) * _STEP


def assign(release: ReleaseRoute | None, champion: str, unit: str) -> Drawn:
    """Return the arm of ``unit``: the challenger below ``share``, else the champion.

    A greater share keeps every unit that the challenger already had, as long as the salt stays.
    """
    if release is None:
        return Drawn(draw=0.0, arm=champion, propensity=1.0)
    place = draw(release.salt, unit)
    if place < release.share:
        return Drawn(draw=place, arm=release.challenger, propensity=release.share)
    return Drawn(draw=place, arm=champion, propensity=1.0 - release.share)
