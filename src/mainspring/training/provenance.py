"""Which commit the project's folder is at, and a digest of what differs from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mainspring.kernel.ids import digest


def git_state(folder: Path | None) -> tuple[str, str]:
    """Return (commit, digest of uncommitted changes); both are empty without a repository."""
    if folder is None or not folder.is_dir():
        return "", ""
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return "", ""
    changed = _git(folder, "diff", "HEAD", "--", ".") + _git(folder, "ls-files", "-o", "--exclude-standard", "--", ".")
    return commit, digest(changed) if changed else ""


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
