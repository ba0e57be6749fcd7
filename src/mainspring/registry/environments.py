"""Approved environments: locks with their wheels, which versions may have in place of the one that serves."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping

import msgspec
from sqlalchemy import BigInteger, Column, String, Table, Text, insert, select

from mainspring.kernel.errors import Conflict, InvalidInput, NotFound
from mainspring.kernel.metadata import metadata
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.ports import Blobs
from mainspring.registry.environment import mismatches
from mainspring.registry.lock import Lock, normalised
from mainspring.registry.version import Environment, Version

environments = Table(
    "environments",
    metadata,
    Column("lock", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # Approved
    Column("approved_us", BigInteger, nullable=False),
)


class Approved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One approved environment. ``text`` is the digest of the lock's blob, ``wheels`` those of its files by name."""

    lock: str
    text: str
    python: str
    platform: str
    packages: dict[str, str]
    wheels: dict[str, str]
    by: str
    approved_us: int


class Environments:
    """Keeps approved environments and says which one a version runs in."""

    def __init__(self, *, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self._found: dict[bytes, str | None] = {}

    def drafted(self, lock: Lock, wheels: Mapping[str, str]) -> Approved:
        """Return what would be approved: a lock with its wheels (file name to digest of the blob).

        Every pin needs a wheel that its hashes allow.
        """
        missing = [pin.name for pin in lock.pins if not pin.marker and not set(pin.hashes) & set(wheels.values())]
        if missing:
            remedy = "put one for this machine into the folder: pip download --require-hashes -r LOCK"
            raise InvalidInput("has no wheel that the lock allows", field="wheels", value=missing[0], remedy=remedy)
        allowed = {one for pin in lock.pins for one in pin.hashes}
        return Approved(
            lock=lock.digest,
            text=self._blobs.put(lock.text.encode()),
            python=platform.python_version(),
            platform=f"{sys.platform}-{platform.machine()}",
            packages=lock.packages,
            wheels={name: one for name, one in sorted(wheels.items()) if one in allowed},
            by="",
            approved_us=0,
        )

    def approve(self, tx: Transaction, draft: Approved, reason: str) -> Approved:
        """Keep a draft, which is built by now, in the name of the transaction's actor."""
        if tx.connection.execute(select(environments.c.lock).where(environments.c.lock == draft.lock)).first():
            raise Conflict("is approved already", field="lock", value=draft.lock)
        made = msgspec.structs.replace(draft, by=tx.actor, approved_us=tx.at_us)
        body = msgspec.json.encode(made).decode()
        tx.connection.execute(insert(environments).values(lock=made.lock, body=body, approved_us=tx.at_us))
        tx.record("environment.approved", made.lock, reason, {"packages": made.packages})
        self._found.clear()
        return made

    def all(self) -> list[Approved]:
        """Return every approved environment, newest first."""
        query = select(environments.c.body).order_by(environments.c.approved_us.desc(), environments.c.lock)
        with self._store.read() as connection:
            return [msgspec.json.decode(body, type=Approved) for body in connection.scalars(query)]

    def one(self, lock: str) -> Approved:
        """Return the environment whose lock's digest begins so."""
        found = [approved for approved in self.all() if lock and approved.lock.startswith(lock)]
        if len(found) != 1:
            what = "there is no such environment" if not found else "several environments begin so"
            raise NotFound(what, field="environment", value=lock, remedy="see: mainspring environment list")
        return found[0]

    def lock_of(self, version: Version) -> str | None:
        """Return the lock of the environment that a version runs in, empty for the one here; None where there is none.

        A version that states a lock has that one. Else it runs here if its libraries are the ones here, or in the
        newest approved environment that has them.
        """
        if version.runtime == "onnx":
            return ""  # the graph carries everything it needs
        key = msgspec.msgpack.encode(version.environment)
        if key not in self._found:
            self._found[key] = self._look(version.environment)
        return self._found[key]

    def _look(self, wanted: Environment) -> str | None:
        if wanted.lock:
            return wanted.lock if any(approved.lock == wanted.lock for approved in self.all()) else None
        if not mismatches(wanted):
            return ""
        asked = msgspec.structs.replace(wanted, packages={normalised(k): v for k, v in wanted.packages.items()})
        fitting = (one.lock for one in self.all() if not mismatches(asked, one.packages, one.python))
        return next(fitting, None)
