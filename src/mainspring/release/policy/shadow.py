"""The policy that judges without showing the challenger to anybody."""

from __future__ import annotations

import msgspec

from mainspring.release.policy.checked import check_between, check_name, checked_list, unless_agreed
from mainspring.release.policy.judged import Judged, check_judged


class Shadow(Judged, frozen=True, tag="shadow", forbid_unknown_fields=True):
    """Let a challenger score what the champion answers, and promote it on that evidence alone.

    ``shadow`` is the longest time in shadow, ``shadow_at_least`` the least before quality is judged. ``bound`` is the
    greatest loss that one answer may count for; metrics of estimates are asymptotic without it. ``hold`` is the least
    time between two steps. Only a ``sample`` of the rows is scored, at random, where scoring is dear. The record of the
    release keeps where the two disagreed, in all and by the request's columns named in ``slices``. Several challengers
    may be in shadow at once, each in a release of its own: those that start beside others share one
    ``alpha_promote``.

    >>> Shadow(shadow="14d", metric="log_loss", margin=0.01, sample=0.1).sample
    0.1
    """

    sample: float = 1.0
    slices: tuple[str, ...] = ()

    @unless_agreed
    def __post_init__(self) -> None:
        check_judged(self)
        check_between("sample", self.sample, 0.0, 1.0 + 1e-12)
        msgspec.structs.force_setattr(self, "slices", checked_list("slices", self.slices, str, "columns"))
        for column in self.slices:
            check_name("slices", column)
