"""Named moments at which a test may kill the process, so that recovery is tested with real kills."""

from __future__ import annotations

import os
import signal

_ARMED = os.environ.get("MAINSPRING_CRASH_AT", "")
_NAME, _, _NTH = _ARMED.partition(":")
_RECORD = os.environ.get("MAINSPRING_CRASH_RECORD", "")
_left = int(_NTH or 1)


def reached(name: str) -> None:
    """Kill this process with SIGKILL if ``MAINSPRING_CRASH_AT`` is ``name`` or ``name:nth``; else do nothing.

    Before it dies it adds the name to the file ``MAINSPRING_CRASH_RECORD``: a test that meant to kill is told from one
    that did.
    """
    global _left
    if name != _NAME or not _NAME:
        return
    _left -= 1
    if _left <= 0:
        if _RECORD:
            _note(name)
        os.kill(os.getpid(), signal.SIGKILL)


def _note(name: str) -> None:
    handle = os.open(_RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{name}\n".encode())
    os.close(handle)
