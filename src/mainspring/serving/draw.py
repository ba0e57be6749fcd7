"""The draw: which version a unit meets. A salted hash, so it is sticky, stateless, and monotone when a share grows."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

import msgspec

from mainspring.serving.routing import HoldoutRoute, ReleaseRoute

HELD_OUT = "holdout"  # stands where a release's id would, for units that no release may draw
_STEP = 2.0**-53


class Drawn(msgspec.Struct, frozen=True):
    """The draw of one unit in [0, 1), the arm it fell to, and how probable that arm was.

    ``held_out``: it belongs to those that always meet the champion; then draw and propensity are those of that.
    """

    draw: float
    arm: str
    propensity: float
    held_out: bool = False


def draw(salt: str, unit: str) -> float:
    """Return the unit's place in [0, 1) under this salt.

    >>> draw("epoch-1", "flight-7") == draw("epoch-1", "flight-7")
    True
    >>> 0.0 <= draw("epoch-1", "flight-7") < 1.0
    True
    """
    hashed = blake2b(unit.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(hashed, "big") >> 11) * _STEP


def assign(
    release: ReleaseRoute | None,
    champion: str,
    unit: str,
    *,
    key: str | None = None,
    holdout: HoldoutRoute | None = None,
    out: Collection[str] = (),
) -> Drawn:
    """Return the arm of ``unit``: the challenger below ``share``, else the champion.

    A greater share keeps every unit that the challenger already had, as long as the salt stays. ``key`` is drawn in the
    unit's place where each request is drawn for itself. A unit that is held out meets the champion, before any release
    is asked; so does one that falls to a version in ``out``.
    """
    if holdout is not None:
        place = draw(holdout.salt, unit)
        if place < holdout.share:
            return Drawn(place, champion, holdout.share, True)
    if release is None:
        return Drawn(draw=0.0, arm=champion, propensity=1.0)
    place = draw(release.salt, unit if key is None else key)
    if release.others:
        return _among(release, champion, place, out)
    if place < release.share:
        return Drawn(draw=place, arm=release.challenger, propensity=release.share)
    return Drawn(draw=place, arm=champion, propensity=1.0 - release.share)


def probabilities(release: ReleaseRoute, champion: str, out: Collection[str] = ()) -> dict[str, float]:
    """Return how probable each version is, the champion first; it gets what those in ``out`` would have.

    >>> from mainspring.serving.routing import ArmRoute
    >>> probabilities(ReleaseRoute("rel_1", 1, "s", "b", 0.25, others=(ArmRoute("c", 0.25),)), "a", out={"c"})
    {'a': 0.75, 'b': 0.25}
    """
    shares = {arm: share for arm, share in _shares(release) if arm not in out}
    return {champion: max(0.0, 1.0 - sum(shares.values())), **shares}


def _among(release: ReleaseRoute, champion: str, place: float, out: Collection[str]) -> Drawn:
    """Every version keeps its own part of [0, 1): who is taken out moves nobody else's units."""
    upper = 0.0
    for arm, share in _shares(release):
        upper += share
        if place < upper:
            if arm in out:
                break
            return Drawn(place, arm, share)
    return Drawn(place, champion, probabilities(release, champion, out)[champion])


def _shares(release: ReleaseRoute) -> tuple[tuple[str, float], ...]:
    return ((release.challenger, release.share), *((arm.version, arm.share) for arm in release.others))
