"""API keys: random, hashed, with roles, a name and an end; gateways get the hashes with their routing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, InvalidInput, nearest, unknown
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.serving.keyring import APPROVES, ROLES, hash_of
from mainspring.serving.routing import KeyRoute
from mainspring.serving.tables import api_keys

MOST_ROLES = 100  # characters, with commas
_APPROVES = re.compile(re.escape(APPROVES) + r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,99}")


class Key(msgspec.Struct, frozen=True):
    """What is known of a key; the key itself is not."""

    id: str
    name: str
    roles: tuple[str, ...]
    created_us: int
    created_by: str
    expires_us: int | None
    revoked_us: int | None
    revoked_by: str | None


class NewKey(msgspec.Struct, frozen=True):
    """A key as it is shown once."""

    id: str
    name: str
    roles: tuple[str, ...]
    expires_us: int | None
    key: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, name={self.name!r}, roles={self.roles!r})"


class Keys:
    """Makes, lists and revokes keys."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def create(self, name: str, roles: Sequence[str], *, lasts: timedelta | None, by: str, reason: str) -> NewKey:
        """Make a key and return it, for the only time."""
        if not _NAME.fullmatch(name):
            remedy = "use up to 100 letters, digits, spaces and . _ @ -"
            raise InvalidInput("is not a name for a key", field="name", value=name, remedy=remedy)
        held = _held(roles)
        id = new_id("key")
        token = f"{id}.{secrets.token_urlsafe(32)}"
        now_us = self._clock.now_us()
        expires_us = None if lasts is None else now_us + lasts // timedelta(microseconds=1)
        row = {"id": id, "name": name, "hash": hash_of(token), "roles": ",".join(held), "created_us": now_us}
        try:
            with self._store.begin(by) as tx:
                tx.connection.execute(insert(api_keys).values(**row, created_by=by, expires_us=expires_us))
                tx.record("key.created", id, reason, {"name": name, "roles": list(held), "expires_us": expires_us})
        except IntegrityError:
            remedy = "revoke that one first, or take another name"
            raise Conflict("there is a key of that name", field="name", value=name, remedy=remedy) from None
        return NewKey(id, name, held, expires_us, token)

    def revoke(self, name: str, *, by: str, reason: str) -> Key:
        """End a key, by its name or id."""
        key = self._find(name)
        with self._store.begin(by) as tx:
            ended = {"revoked_us": tx.at_us, "revoked_by": by}
            tx.connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(**ended))
            tx.record("key.revoked", key.id, reason, {"name": key.name})
        return msgspec.structs.replace(key, **ended)

    def list(self) -> list[Key]:
        """Return every key that ever was, newest first."""
        with self._store.read() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_us.desc(), api_keys.c.id)).all()
        return [_key(row) for row in rows]

    def standing(self, id: str) -> Key | None:
        """Return a key that is neither revoked nor expired, by its id."""
        with self._store.read() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == id)).first()
        if row is None or row.revoked_us is not None:
            return None
        return _key(row) if row.expires_us is None or row.expires_us > self._clock.now_us() else None

    def routes(self) -> tuple[KeyRoute, ...]:
        """Return what gateways are told of the keys that are not revoked; each checks the expiry by its clock."""
        with self._store.read() as connection:
            standing = select(api_keys).where(api_keys.c.revoked_us.is_(None)).order_by(api_keys.c.id)
            rows = connection.execute(standing).all()
        return tuple(KeyRoute(row.id, row.name, row.hash, tuple(row.roles.split(",")), row.expires_us) for row in rows)

    def _find(self, name: str) -> Key:
        standing = [key for key in self.list() if key.revoked_us is None]
        found = next((key for key in standing if name in (key.id, key.name)), None)
        if found is None:
            raise unknown("key", name, [key.name for key in standing])
        return found


def _held(roles: Sequence[str]) -> tuple[str, ...]:
    for role in roles:
        if role not in ROLES and not _APPROVES.fullmatch(role):
            raise InvalidInput(
                "is not a role", field="role", value=role, remedy=nearest(role, (*ROLES, "approve:ROLE"))
            )
    if not roles:
        raise InvalidInput("is missing", field="role", remedy=nearest("", ROLES))
    held = (*(role for role in ROLES if role in roles), *sorted(set(roles) - set(ROLES)))
    if len(",".join(held)) > MOST_ROLES:
        raise InvalidInput("are too many roles for one key", field="role", value=",".join(held), remedy="make two keys")
    return held


def _key(row: Row[tuple[object, ...]]) -> Key:
    values = dict(row._mapping)
    values.pop("hash")
    return Key(**{**values, "roles": tuple(values["roles"].split(","))})
