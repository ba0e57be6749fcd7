"""The policy that asks for no evidence."""

from __future__ import annotations

import msgspec

from mainspring.release.policy.approval import Approval
from mainspring.release.policy.checked import check_approval, check_between, check_spans, unless_agreed


class Immediate(msgspec.Struct, frozen=True, tag="immediate", forbid_unknown_fields=True):
    """Make a version champion at once, without evidence; the ledger says that there was none.

    With an ``approval`` it waits in shadow for a person, at most until the ``deadline``.

    >>> Immediate().approval is None
    True
    """

    approval: Approval | None = None
    deadline: str = "14d"
    holdout: float = 0.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_spans(self, "deadline", positive=True)
        check_between("holdout", self.holdout, 0.0, 0.5, closed=True)
        check_approval(self.approval)
