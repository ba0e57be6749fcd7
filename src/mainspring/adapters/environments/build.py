"""The worker's side: a virtual environment of exactly what a lock pins, from wheels that are here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import WorkerFailed
from mainspring.registry.lock import Lock, normalised, read_lock

MADE = "venv"
_TAIL = 1_500


class BuildOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to build: the lock as a path, and the wheels as paths by file name."""

    lock: str
    wheels: dict[str, str]


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Build the environment in ``staging/venv``; return what it holds."""
    order = msgspec.convert(spec, BuildOrder)
    wheels = staging / "wheels"
    wheels.mkdir()
    for name, path in order.wheels.items():
        (wheels / Path(name).name).symlink_to(path)
    made = staging / MADE
    own_pip = importlib.util.find_spec("pip") is None
    venv.EnvBuilder(symlinks=True, with_pip=own_pip).create(made)
    reached("worker.environment.before_install")
    python = made / "bin" / "python"
    pip = [str(python), "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", str(python)]
    options = ["--isolated", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    offline = ["--no-index", "--find-links", str(wheels), "--require-hashes", "--only-binary", ":all:"]
    command = [*pip, *options, "install", "--no-compile", *offline, "-r", order.lock]
    # What is importable here is not in the environment: pip would take it for installed and leave it out.
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=clean)
    if done.returncode != 0:
        raise WorkerFailed(f"could not be built: {_reason(done.stdout + done.stderr)}", field="environment")
    return {"packages": _demand_whole(made, read_lock(Path(order.lock).read_text()))}


def _reason(said: str) -> str:
    errors = [line.removeprefix("ERROR: ").strip() for line in said.splitlines() if "ERROR" in line]
    return "; ".join(errors)[-_TAIL:] or said[-_TAIL:].strip()


def _demand_whole(made: Path, lock: Lock) -> dict[str, str]:
    """Return what is installed; a pin whose marker leaves it out here is no fault, another version would be one."""
    folders = [str(path) for path in made.glob("lib/python*/site-packages")]
    found = {normalised(one.name): one.version for one in distributions(path=folders)}
    for pin in lock.pins:
        if found.get(pin.name, pin.version if pin.marker else None) != pin.version:
            raise WorkerFailed("does not hold what the lock says", field="environment", value=pin.name)
    os.sync()  # it is renamed into its place next, and must be whole there
    return found
