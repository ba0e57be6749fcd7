"""The person at this machine: the operating system's user, whatever the environment says."""

from __future__ import annotations

import os
import pwd

from mainspring.ledger.actor import known


def local_user() -> str:
    """Return the name of the user that this process runs for, as the system itself knows it."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run as a number that has no name
        return f"uid {number}"


def said_name(given: str | None) -> str:
    """Return what the caller says of itself: what was given, else MAINSPRING_ACTOR, else the user's name."""
    return given or os.environ.get("MAINSPRING_ACTOR") or local_user()


def local_actor(given: str | None) -> str:
    """Return the actor of a change that is made in this process."""
    return known(local_user(), "user", said_name(given))
