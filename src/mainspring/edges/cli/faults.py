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
    places: list[Path] = [Path(tempfile.gettempdir()) / f"mainspring-{os.getpid()}.log"]
    if home is not None:
        places.insert(0, home / "run" / "cli.log")
    for path in places:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return path
    sys.stderr.write(text)  # there is no place left to write to
    return Path("/dev/stderr")
