"""A home: one directory that is one environment of one tenant: who may open it, its format, where things lie."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from mainspring.kernel.clock import Clock, SimulatedClock, SystemClock
from mainspring.kernel.errors import Conflict, Damaged, InvalidInput, NotFound, Refused
from mainspring.kernel.ids import new_id

FORMAT = 1
LEDGER_KEY = "ledger.key"
LEDGER_KEY_VARIABLE = "MAINSPRING_LEDGER_KEY"
_FOLDERS = ("blobs", "spool", "parts", "routing/acks", "run", "staging", "latest")


class HomeFile(msgspec.Struct, frozen=True):
    """What ``home.json`` says. Fields that a later format adds are kept out of the way, not refused."""

    id: str
    format: int
    clock: str
    created_us: int


class Home:
    """The directory and the names of what lies in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = _read(root)

    @property
    def simulated(self) -> bool:
        return self.file.clock == "simulated"

    def check_whole(self) -> None:
        """Refuse a home whose metadata store is gone: an empty one in its place would hide what was done."""
        if not self.database.exists() and any(self.blobs.iterdir()):
            raise Damaged("the metadata store is gone", field="home", value=str(self.root), remedy="restore a backup")

    def clock(self, *, writable: bool = False) -> Clock:
        """Return the home's domain time: the system's clock, or the simulated one that stands in it."""
        if self.simulated:
            return SimulatedClock(self.root / "clock", writable=writable)
        return SystemClock()

    def ledger_key(self) -> bytes:
        """Return the key that the ledger's chain is made with: from the environment, else from the home's own file."""
        text = os.environ.get(LEDGER_KEY_VARIABLE, "")
        path = self.root / LEDGER_KEY
        if not text and not path.exists():
            remedy = f"copy {LEDGER_KEY} from the place where the home was made, or set {LEDGER_KEY_VARIABLE}"
            raise Damaged("the ledger's key is not here", field="home", value=str(self.root), remedy=remedy)
        try:
            key = bytes.fromhex(text or path.read_text())
        except ValueError:
            key = b""
        if len(key) < 16:
            where = LEDGER_KEY_VARIABLE if text else str(path)
            raise InvalidInput(
                "is not a key of at least 32 hexadecimal digits", field="ledger_key", remedy=f"see {where}"
            )
        return key

    @property
    def database(self) -> Path:
        return self.root / "meta.db"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def secret(self) -> Path:
        return self.root / "keys" / "secret"

    @property
    def erasing(self) -> Path:
        return self.root / "erasing"

    @property
    def latest(self) -> Path:
        return self.root / "latest"

    @property
    def routing(self) -> Path:
        return self.root / "routing"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def environments(self) -> Path:
        """Return where environments lie that versions have of their own, each under the digest of its lock."""
        return self.root / "environments"

    @property
    def staging(self) -> Path:
        return self.root / "staging"


def create_home(root: Path, *, simulated_from: datetime | None = None, joining: str | None = None) -> Home:
    """Make a new home, or return the one that stands there. ``home.json`` comes last: a half-made one is none.

    ``joining`` is the id of a home that this folder becomes another place of.
    """
    if (root / "home.json").exists():
        return Home(root)
    if (root.exists() or root.is_symlink()) and not root.is_dir():
        raise InvalidInput("is not a folder", field="home", value=str(root), remedy="name an empty or a new folder")
    if root.exists() and any(root.iterdir()) and not (root / "lock").exists():
        raise InvalidInput(
            "is a folder with other things in it", field="home", value=str(root), remedy="name an empty or a new folder"
        )
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        (root / "lock").touch()
    except OSError as error:
        what = f"cannot be made: {error.strerror}"
        raise InvalidInput(what, field="home", value=str(root), remedy="name a folder that can be written") from None
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    if simulated_from is not None:
        SimulatedClock.create(root / "clock", simulated_from)
    if joining is None:
        _write_durably(root / LEDGER_KEY, secrets.token_hex(32).encode())
    body = HomeFile(
        joining or new_id("hom"), FORMAT, "simulated" if simulated_from else "system", SystemClock().now_us()
    )
    _write_durably(root / "home.json", msgspec.json.encode(body))
    return Home(root)


def _write_durably(path: Path, data: bytes) -> None:
    staged = path.with_name(f"{path.name}.new")
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)


def _read(root: Path) -> HomeFile:
    try:
        body = (root / "home.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            "there is no home here",
            field="home",
            value=str(root),
            remedy="make one with: mainspring apply, or mainspring up",
        ) from None
    except OSError as error:
        what = f"home.json cannot be opened: {error.strerror}"
        raise Refused(what, field="home", value=str(root), remedy="ask as the user who made it") from None
    try:
        found = msgspec.json.decode(body, type=HomeFile)
    except msgspec.DecodeError as error:
        raise Damaged("home.json cannot be read", field="home", value=str(root), remedy="restore a backup") from error
    if found.format > FORMAT:
        raise Refused(
            f"the home was made by a newer version (format {found.format}, this one knows {FORMAT})",
            field="home",
            value=str(root),
            remedy="install that version or a later one",
        )
    return found


class HomeLock:
    """Holds a home for one process. The kernel lets go of it when the process ends, however it ends.

    ``wait_s`` is how long to wait for a holder that may be about to end.
    """

    def __init__(self, root: Path, purpose: str, *, wait_s: float = 0.0) -> None:
        self._path = root / "lock"
        self._purpose = purpose
        self._wait_s = wait_s
        self._handle = -1

    def __enter__(self) -> HomeLock:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        until_s = time.monotonic() + self._wait_s
        while not self._taken() and time.monotonic() < until_s:
            time.sleep(0.05)
        if not self._taken():
            holder = os.pread(self._handle, 200, 0).decode(errors="replace").strip()
            os.close(self._handle)
            raise Conflict(
                f"the home is in use by {holder or 'another process'}",
                field="home",
                value=str(self._path.parent),
                remedy="stop it first, or use another home",
            )
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{self._purpose} (process {os.getpid()})".encode(), 0)
        return self

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        os.close(self._handle)
