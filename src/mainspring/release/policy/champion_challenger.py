"""The policy of many challengers, of which the best goes on."""

from __future__ import annotations

import msgspec

from mainspring.release.policy.checked import check_count, checked_steps, unless_agreed
from mainspring.release.policy.judged import Judged, check_holds, check_judged


class ChampionChallenger(Judged, frozen=True, tag="champion_challenger", forbid_unknown_fields=True):
    """Let several challengers score what the champion answers, and send the best proven one into a canary.

    All are compared with the champion on the same rows, continuously, each at ``alpha_promote`` over their number. One
    that is proven worse is archived with its scores at once; when the first is proven good enough (and not before
    ``shadow_at_least``) the one with the least loss among those proven goes on through ``steps``, and the others are
    archived with theirs.

    >>> ChampionChallenger(shadow="28d", shadow_at_least="7d", steps=[0.1, 0.5]).steps
    (0.1, 0.5)
    """

    steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    step_requests: int = 20

    @unless_agreed
    def __post_init__(self) -> None:
        check_judged(self)
        msgspec.structs.force_setattr(self, "steps", checked_steps(self.steps))
        check_holds(self)
        check_count("step_requests", self.step_requests)
