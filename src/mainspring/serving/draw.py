"""The draw: which version a unit meets. A salted hash, so it is sticky, stateless, and monotone when a share grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any, overload

import msgspec
import numpy as np

from mainspring.kernel.ids import digest_of
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


def holdout_salt(model: str) -> str:
    """Return the salt by which a model's units are held out: the same for good, whatever is released."""
    return digest_of([HELD_OUT, model])[:16]


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


class Draws(Sequence[Drawn]):
    """The draws of many units, held as a list each of what a ``Drawn`` holds; ``held_out`` is empty if none is."""

    __slots__ = ("arms", "draws", "held_out", "propensities")

    def __init__(
        self, draws: Sequence[float], arms: Sequence[str], propensities: Sequence[float], held_out: Sequence[bool] = ()
    ) -> None:
        self.draws = draws
        self.arms = arms
        self.propensities = propensities
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.draws)

    @overload
    def __getitem__(self, place: int) -> Drawn: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Drawn]: ...
    def __getitem__(self, place: int | slice) -> Drawn | Sequence[Drawn]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        held_out = bool(self.held_out) and self.held_out[place]
        return Drawn(self.draws[place], self.arms[place], self.propensities[place], held_out)


def assign_all(
    release: ReleaseRoute | None,
    champion: str,
    units: Sequence[str],
    *,
    keys: Sequence[str] | None = None,
    holdout: HoldoutRoute | None = None,
    out: Collection[str] = (),
) -> Draws:
    """Return what ``assign`` returns for each of the units, in one pass.

    >>> assign_all(ReleaseRoute("rel_1", 1, "epoch-1", "b", 0.3), "a", ["flight-7", "flight-8"]).arms
    ['b', 'a']
    """
    many = len(units)
    if release is None:
        drawn = Draws([0.0] * many, [champion] * many, [1.0] * many)
    else:
        places = _places(release.salt, units if keys is None else keys)
        drawn = _dealt(release, champion, places, out)
    if holdout is None:
        return drawn
    held_places = _places(holdout.salt, units)
    held = held_places < holdout.share
    if not held.any():
        return drawn
    return Draws(
        np.where(held, held_places, drawn.draws).tolist(),
        [champion if one else arm for one, arm in zip(held.tolist(), drawn.arms, strict=True)],
        np.where(held, holdout.share, drawn.propensities).tolist(),
        held.tolist(),
    )


def _dealt(release: ReleaseRoute, champion: str, places: Any, out: Collection[str]) -> Draws:
    draws: list[float] = places.tolist()
    many = len(draws)
    if release.others:
        several = [_among(release, champion, place, out) for place in draws]
        return Draws(draws, [one.arm for one in several], [one.propensity for one in several])
    meets = places < release.share
    if not meets.any():
        return Draws(draws, [champion] * many, [1.0 - release.share] * many)
    met = meets.tolist()
    return Draws(
        draws,
        [release.challenger if one else champion for one in met],
        [release.share if one else 1.0 - release.share for one in met],
    )


def _places(salt: str, units: Sequence[str]) -> Any:
    """Return the place of each unit in [0, 1), as ``draw`` does: the salt is taken in once for all of them."""
    fresh = blake2b(digest_size=8, key=salt.encode()[:64]).copy
    hashed = []
    for unit in units:
        one = fresh()
        one.update(unit.encode())
        hashed.append(one.digest())
    return (np.frombuffer(b"".join(hashed), ">u8") >> 11) * _STEP


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
