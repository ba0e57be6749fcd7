"""Where alarms are sent."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message about an alarm. ``id`` stays the same when it is sent again, so a receiver can drop repeats."""

    id: str
    event: Literal["opened", "closed"]
    alarm: str
    project: str
    model: str
    monitor: str
    subject: str
    reason: str
    at: str
    numbers: dict[str, Any] = {}


class Notifier(Protocol):
    """Tells people about alarms. Satisfied by a signed webhook."""

    @property
    def name(self) -> str:
        """Return what the notifier is called in settings and in the record of deliveries."""
        ...

    def notify(self, notice: Notice) -> None:
        """Hand the notice over, or raise ``Unavailable`` (try again later) or ``Refused`` (never will)."""
        ...
