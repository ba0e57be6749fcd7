"""A lock: every distribution of an environment with its version and the digests of the files that it may come from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import digest

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9,._ -]+\])?\s*==\s*(?P<version>[A-Za-z0-9][^\s;]*)"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._!+]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-/]+\.whl")
OURS = "mainspring"


class Pin(msgspec.Struct, frozen=True, order=True):
    """One distribution: its normalised name, the version, the digests of its files, and where it is needed at all."""

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str = ""


class Lock(msgspec.Struct, frozen=True):
    """All distributions of an environment, by name.

    >>> lock = read_lock("numpy==2.3.0 --hash=sha256:" + "a" * 64)
    >>> lock.packages
    {'numpy': '2.3.0'}
    """

    pins: tuple[Pin, ...]

    @property
    def packages(self) -> dict[str, str]:
        return {pin.name: pin.version for pin in self.pins}

    @property
    def text(self) -> str:
        """Return the lock as pip reads it, always in the same form."""
        return "".join(_line(pin) for pin in self.pins)

    @property
    def digest(self) -> str:
        return digest(self.text.encode())


def read_lock(text: str) -> Lock:
    """Read hashed requirements; whatever else pip would follow (addresses, options, other files) is refused."""
    pins: dict[str, Pin] = {}
    for line in _lines(text):
        found = _PIN.match(line)
        rest = "" if found is None else _HASH.sub("", line[found.end() :]).strip()
        if found is None or (rest and not rest.startswith(";")):
            remedy = "write name==version --hash=sha256:…, as pip-compile --generate-hashes and uv export do"
            raise InvalidInput("is not a pinned requirement", field="lock", value=line[:100], remedy=remedy)
        hashes = tuple(sorted(set(_HASH.findall(line))))
        if not hashes:
            remedy = "make the lock with hashes: pip-compile --generate-hashes, or uv export"
            raise InvalidInput("has no --hash=sha256:", field="lock", value=line[:100], remedy=remedy)
        name = normalised(found["name"])
        if name == OURS:
            raise InvalidInput("is lent by the one who serves", field="lock", value=name, remedy="take it out")
        if name in pins:
            raise InvalidInput("is pinned twice", field="lock", value=name, remedy="keep one of them")
        pins[name] = Pin(name, found["version"], hashes, rest.removeprefix(";").strip())
    if not pins:
        raise InvalidInput("pins nothing", field="lock", remedy="name a file of hashed requirements")
    return Lock(tuple(sorted(pins.values())))


def normalised(name: str) -> str:
    """Return a distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel_of(file: str) -> tuple[str, str] | None:
    """Return the normalised name and the version that a wheel's file name states, or None if it names no wheel."""
    found = _WHEEL.fullmatch(file)
    return (normalised(found["name"]), found["version"]) if found else None


def _line(pin: Pin) -> str:
    marker = f" ; {pin.marker}" if pin.marker else ""
    return f"{pin.name}=={pin.version}{marker} {' '.join(f'--hash=sha256:{one}' for one in pin.hashes)}\n"


def _lines(text: str) -> Iterator[str]:
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        if plain:
            yield plain
