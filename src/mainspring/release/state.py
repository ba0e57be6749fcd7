"""Where a release stands, and what is so beside its evidence."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.errors import Conflict
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.stream import Measured

Status = Literal["running", "held", "promoted", "rolled_back", "returned", "aborted"]
Stage = Literal["shadow", "canary", "kept", "test", "bandit", "over"]
OVER: tuple[Status, ...] = ("promoted", "rolled_back", "returned", "aborted")


class Contender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One challenger among several: its share, and once it is out of the running, why and with which scores."""

    version: str
    number: int
    share: float = 0.0
    status: Literal["running", "won", "archived", "taken_out"] = "running"
    reason: str = ""
    scores: tuple[Measured, ...] = ()


class Approved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's sign-off."""

    by: str
    at_us: int
    reason: str


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a release stands. ``step`` counts the shares reached (0 in shadow); ``share`` is what it draws now.

    ``generation``: evidence counts from this one. ``stage_generation`` and ``acknowledged_us``: with which and when the
    gateways had taken the present stage up; ``changed_generation``: which they had when it was decided. ``contenders``
    are the challengers, where there are several; ``shares_us`` is when their shares were set.
    """

    status: Status = "running"
    stage: Stage = "shadow"
    step: int = 0
    share: float = 0.0
    epoch: int = 1
    started_us: int = 0
    stage_since_us: int = 0
    changed_generation: int = -1
    generation: int | None = None
    stage_generation: int | None = None
    acknowledged_us: int | None = None
    ended_us: int | None = None
    reason: str = ""
    share_changes: tuple[int, ...] = ()
    comparisons: int = 1
    contenders: tuple[Contender, ...] = ()
    approved: Approved | None = None
    shares_us: int = 0

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def draws(self) -> bool:
        """Whether units are drawn to a challenger."""
        return self.stage not in ("shadow", "over")

    @property
    def contest(self) -> tuple[Contender, ...]:
        """Return the challengers that are still compared with one another."""
        return tuple(one for one in self.contenders if one.status == "running")


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one challenger among several."""

    version: str
    evidence: Evidence | None = None
    earned: Earned | None = None
    disabled: str = ""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is so at this moment beside the evidence. ``disabled``: why a gateway took the challenger out by itself.

    Where there are several challengers, ``seen`` has what is known of each, ``earned`` the champion's rewards, and
    ``salt`` seeds what is drawn from them.
    """

    champion: str | None
    compared_with: str
    challenger: str = ""
    disabled: str = ""
    another_draws: bool = False
    step_requests: int = 0
    shadow_requests: int = 0
    too_late_outcomes: int = 0
    best_effort_rows: int = 0
    seen: tuple[Seen, ...] = ()
    earned: Earned | None = None
    salt: str = ""

    @property
    def uncounted(self) -> str:
        """Say what came and could not count, in brackets; nothing where all of it counted."""
        said = []
        if self.too_late_outcomes:
            said.append(f"{self.too_late_outcomes} outcomes came too late")
        if self.best_effort_rows:
            said.append(f"{self.best_effort_rows} rows were logged under best_effort, which cannot promote")
        return f" ({'; '.join(said)})" if said else ""

    def of(self, version: str) -> Seen:
        """Return what is known of one challenger."""
        return next((one for one in self.seen if one.version == version), Seen(version))


class Waiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's (or a declared policy's) word in place of evidence: who, and why. The ledger names both."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip():
            raise Conflict("a promotion without evidence needs a name and a reason", field="reason")
