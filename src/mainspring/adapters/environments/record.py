"""The worker's side of keeping the environment that runs here: each installed distribution back into a wheel.

Wheels made so hold the files that are installed, in a fixed order and with a fixed time: the same files give the same
bytes. What lies outside the folder of modules (scripts, manual pages) is left out.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.errors import WorkerFailed
from mainspring.registry.lock import OURS, normalised

_TIME = (1980, 1, 1, 0, 0, 0)
_DROPPED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


class RecordOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which distributions to keep, with all that they need."""

    packages: tuple[str, ...]


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Write a wheel for each distribution and all that it needs; return them by file name, with a lock."""
    order = msgspec.convert(spec, RecordOrder)
    wheels, lines = {}, []
    for one in sorted(_with_needed(order.packages), key=lambda found: normalised(found.name)):
        path = _wheel(one, staging)
        wheels[path.name] = str(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{normalised(one.name)}=={one.version} --hash=sha256:{digest}")
    return {"wheels": wheels, "lock": "\n".join(lines)}


def _with_needed(names: Iterable[str]) -> Iterator[Distribution]:
    """Yield the distributions and, again and again, those that they need; one that is not installed is not needed."""
    waiting, seen = list(names), {OURS}
    first = {normalised(name) for name in waiting}
    while waiting:
        name = normalised(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            if name in first:
                raise WorkerFailed("is not installed here", field="packages", value=name) from None
            continue
        yield found
        waiting += [
            match[1] for line in found.requires or () if "extra ==" not in line and (match := _NAME.match(line))
        ]


def _wheel(one: Distribution, folder: Path) -> Path:
    metadata = one.read_text("WHEEL")
    if metadata is None or one.files is None:
        raise WorkerFailed("was not installed from a wheel", field="packages", value=one.name)
    tags = re.findall(r"^Tag: (\S+)", metadata, flags=re.MULTILINE)
    name = re.sub(r"[-_.]+", "_", one.name)
    path = folder / f"{name}-{one.version}-{_joined(tags)}.whl"
    record: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for inside in sorted(str(file) for file in one.files):
            source = Path(str(one.locate_file(inside)))
            if inside.startswith(("..", "/")) or inside.endswith(".pyc") or not source.is_file():
                continue
            if ".dist-info/" in inside and inside.rpartition("/")[2] in _DROPPED:
                continue
            _add(archive, record, inside, source.read_bytes())
        info = next(line.split("/")[0] for line in record if ".dist-info/" in line)
        body = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", _TIME), body)
    return path


def _add(archive: zipfile.ZipFile, record: list[str], inside: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(inside, _TIME), data)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    record.append(
        f'"{inside}",sha256={digest},{len(data)}' if "," in inside else f"{inside},sha256={digest},{len(data)}"
    )


def _joined(tags: list[str]) -> str:
    """Return several tags as one, as a file name has them: ``py2.py3-none-any``."""
    parts = [tag.split("-") for tag in tags]
    return "-".join(".".join(dict.fromkeys(part[place] for part in parts)) for place in range(3))
