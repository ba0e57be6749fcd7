"""Control's side of environments: wheels are taken into the blobs, and a worker builds what is approved, once."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.environments.build import MADE, BuildOrder
from mainspring.adapters.environments.record import RecordOrder
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, Refused
from mainspring.ledger.ports import Store
from mainspring.log.ports import Blobs
from mainspring.registry.environment import mismatches
from mainspring.registry.environments import Approved, Environments
from mainspring.registry.lock import Lock, read_lock, wheel_of
from mainspring.registry.version import Version
from mainspring.training.ports import Job, Jobs

BUILD_S = 1_800.0
LARGEST_LOCK_BYTES = 4 * 1024**2
# What its process imports besides what the version itself was made with.
_BESIDES = {"python": ("numpy", "pandas"), "rule": ("numpy",), "mlflow": ("mlflow",)}


class Built(msgspec.Struct, frozen=True):
    """An approved environment, and whether it is built here."""

    lock: str
    packages: dict[str, str]
    python: str
    wheels: int
    built: bool
    by: str
    approved_us: int


class EnvironmentBuilder:
    """Takes wheels in, builds environments below ``folder``, each under its lock's digest."""

    def __init__(self, *, folder: Path, store: Store, environments: Environments, blobs: Blobs, jobs: Jobs) -> None:
        self._folder = folder
        self._store = store
        self._environments = environments
        self._blobs = blobs
        self._jobs = jobs

    def read(self, lock: Path, wheels: Path) -> tuple[Lock, dict[str, str]]:
        """Return the lock of a file, and the wheels of a folder that it allows, kept as blobs."""
        found = read_lock(_text(lock))
        allowed = {one for pin in found.pins for one in pin.hashes}
        kept = {}
        for path in sorted(_wheels(wheels)):
            if hashlib.sha256(path.read_bytes()).hexdigest() in allowed:
                kept[path.name] = self._blobs.put_file(path)
        return found, kept

    def record(self, version: Version) -> tuple[Lock, dict[str, str]]:
        """Return a lock of a version's libraries, as they are installed here, and wheels made of them.

        What its process needs besides, and what those need, is in the lock, too.
        """
        self._demand_recordable(version)
        packages = tuple(dict.fromkeys((*version.environment.packages, *_BESIDES[version.runtime])))
        result = self._jobs.run(Job("record", msgspec.to_builtins(RecordOrder(packages)), timeout_s=BUILD_S))
        try:
            lock = read_lock(result.manifest["lock"])
            files: dict[str, Any] = result.manifest["wheels"]
            return lock, {name: self._blobs.put_file(result.folder / name) for name in files}
        finally:
            self._jobs.discard(result)

    def approve(self, lock: Lock, wheels: dict[str, str], *, by: str, reason: str) -> Approved:
        """Build what a lock pins, then keep that it is approved: what is approved could be built at least once.

        Whoever is killed on the way leaves nothing approved; asked again, it goes on with what is there.
        """
        draft = self._environments.drafted(lock, wheels)
        known = next((one for one in self._environments.all() if one.lock == draft.lock), None)
        built = self.build(draft)
        reached("environment.before_commit")
        if known is not None and built:  # it was approved, and away: after a restore, say
            return known
        with self._store.begin(by) as tx:
            return self._environments.approve(tx, draft, reason)

    def build(self, approved: Approved) -> bool:
        """Build an approved environment unless it stands; return whether there was something to do."""
        place = self._folder / approved.lock
        if place.exists():
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        wheels = {name: str(self._blobs.path(one)) for name, one in approved.wheels.items()}
        for one in (approved.text, *approved.wheels.values()):
            self._blobs.get(one)  # verified as it is read: what is installed is what was approved
        order = BuildOrder(str(self._blobs.path(approved.text)), wheels)
        result = self._jobs.run(Job("environment", msgspec.to_builtins(order), timeout_s=BUILD_S))
        try:
            reached("environment.before_rename")
            with suppress(FileExistsError):
                (result.folder / MADE).rename(place)
            self._sync_folder()
        finally:
            self._jobs.discard(result)
        return True

    def _demand_recordable(self, version: Version) -> None:
        """Refuse a version that would not run in what is kept of here."""
        if version.runtime == "onnx":
            remedy = "keep nothing: it runs wherever ONNX Runtime is"
            raise Refused("is a graph, which needs no libraries", field="version", value=version.number, remedy=remedy)
        if version.environment.lock:
            lock = version.environment.lock
            raise Conflict("states its environment already", field="version", value=version.number, remedy=lock)
        faults = mismatches(version.environment)
        if faults:
            raise Refused(
                f"was made with other libraries than are installed here: {'; '.join(faults)}",
                field="version",
                value=version.number,
                remedy="install those and ask again, or approve a lock that holds them: mainspring environment approve",
            )

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def shown(self, approved: Approved) -> Built:
        """Return an approved environment as people see it."""
        return Built(
            approved.lock,
            approved.packages,
            approved.python,
            len(approved.wheels),
            (self._folder / approved.lock).exists(),
            approved.by,
            approved.approved_us,
        )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_LOCK_BYTES:
            raise InvalidInput("is too large for a lock", field="lock", value=str(path))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        remedy = "name a file of hashed requirements"
        raise InvalidInput(f"cannot be read: {why}", field="lock", value=str(path), remedy=remedy) from None


def _wheels(folder: Path) -> list[Path]:
    """Return the regular files of a folder that are named as wheels."""
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        remedy = "name a folder of wheels"
        raise InvalidInput(
            f"cannot be read: {error.strerror}", field="wheels", value=str(folder), remedy=remedy
        ) from None
    return [path for path in inside if wheel_of(path.name) and stat.S_ISREG(path.lstat().st_mode)]
