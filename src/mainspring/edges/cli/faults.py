"""What was not foreseen becomes one sentence that says where the rest is; a traceback shows only on request."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path


def debugging(arguments: list[str]) -> bool:
    """Say whether tracebacks were asked for, by ``--debug`` or MAINSPRING_DEBUG=1."""
    return "--debug" in arguments or os.environ.get("MAINSPRING_DEBUG", "") not in ("", "0")


def told(error: Exception, arguments: list[str], home: Path | None) -> str:
    """Log an error that nobody foresaw and return what is said of it."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    shown = what if len(what) <= 200 else what[:199] + "…"
    return f"mainspring failed: {shown}; the whole is in {_log(error, arguments, home)}, and --debug shows it"


def _log(error: Exception, arguments: list[str], home: Path | None) -> Path:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = f"{at} mainspring {' '.join(arguments)}\n{''.join(traceback.format_exception(error))}\n"
    try:
        if home is not None:
            return _append(home / "run" / "cli.log", text)
    except OSError:
        pass  # no home, or no room in it
    try:
        handle, name = tempfile.mkstemp(prefix="mainspring-", suffix=".log")  # a name that nobody can lay a link to
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        sys.stderr.write(text)  # there is no place left to write to
        return Path("/dev/stderr")
    return Path(name)


def _append(path: Path, text: str) -> Path:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path
