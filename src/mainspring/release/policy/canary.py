"""The policy of shadow first, then growing shares."""

from __future__ import annotations

import msgspec

from mainspring.release.policy.checked import check_count, checked_steps, unless_agreed
from mainspring.release.policy.judged import Judged, check_holds, check_judged, check_judges
from mainspring.release.policy.metrics import Judge


class Canary(Judged, frozen=True, tag="canary", forbid_unknown_fields=True):
    """Let a challenger score in shadow first, then answer for growing shares of units, and promote it after the last.

    ``shadow`` is the longest time in shadow and ``shadow_at_least`` the least before quality is judged: a whole week
    keeps two odd days from deciding (failures stop it at any time). ``steps`` are the shares, ``hold`` the least time
    at each share and ``step_requests`` the least requests that the challenger must have answered there. ``deadline``
    bounds the whole release (default: the shadow and three times the holds); ``on_deadline`` says what happens then.
    ``window`` is the time over which a unit that comes back is counted once. Beside the loss, ``metrics`` must be
    proven not worse on the units that were drawn, and ``guards`` stop the release (see ``ms.metrics``).

    >>> Canary(shadow="14d", steps=[0.05, 0.25, 0.5], metric="log_loss", margin=0.01).steps
    (0.05, 0.25, 0.5)
    """

    steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    step_requests: int = 20
    metrics: tuple[Judge, ...] = ()
    guards: tuple[Judge, ...] = ()

    @unless_agreed
    def __post_init__(self) -> None:
        check_judged(self)
        msgspec.structs.force_setattr(self, "steps", checked_steps(self.steps))
        check_holds(self)
        check_count("step_requests", self.step_requests)
        check_judges(self)
