"""Named moments at which a test may kill the process, so that recovery is tested with real kills."""

from __future__ import annotations

import os
import signal

_ARMED = os.environ.get("MAINSPRING_CRASH_AT", "")
_NAME, _, _NTH = _ARMED.partition(":")
_left = int(_NTH or 1)


def reached(name: str) -> None:
    """Kill this process with SIGKILL if ``MAINSPRING_CRASH_AT`` is ``name`` or ``name:nth``; else do nothing."""
    global _left
    if name != _NAME or not _NAME:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
