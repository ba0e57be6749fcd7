"""Personal fields: sealed with a key per subject when parts are written, so that erasure is the loss of a key.

The ledger and the list of keys name a subject only by a digest keyed with the home's secret. What cannot be opened,
because its key is gone, reads as erased: an empty body, a missing value.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import polars as pl
from sqlalchemy import Connection, delete, insert, select, update

from mainspring.kernel.errors import Refused
from mainspring.ledger.ports import Store
from mainspring.log.ports import Cipher
from mainspring.log.tables import erased_subjects, subject_keys

SEALED = "pii:1:"  # what a sealed value begins with; the 1 is the format
ERASED = "erased-"  # what stands in the place of an erased name
_AT_ONCE = 500
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Personal:
    """Seals and opens personal fields. Without a cipher nothing can be sealed, and sealed values stay closed."""

    def __init__(self, store: Store, cipher: Cipher | None, secret: Callable[[], bytes]) -> None:
        self._store = store
        self._cipher = cipher
        self._secret = secret

    def digest(self, subject: str) -> str:
        """Return what a subject is called where its name must not stand."""
        return hmac.new(self._secret(), subject.encode(), hashlib.sha256).hexdigest()

    def seal_bodies(
        self, connection: Connection, requests: pl.DataFrame, fields: Mapping[str, Sequence[str]]
    ) -> pl.DataFrame:
        """Return requests with the personal fields of their bodies sealed; ``fields`` are by model."""
        mine = requests.filter(pl.col("model").is_in(list(fields)))
        if not fields or not mine.height:
            return requests
        keys = self._keys(connection, mine["subject"].unique(), make=True)
        columns = requests.select("model", "subject", "body").iter_rows()
        bodies = [
            self._sealed_body(body, fields[model], keys[subject]) if model in fields else body
            for model, subject, body in columns
        ]
        return requests.with_columns(pl.Series("body", bodies, pl.String()))

    def open_bodies(self, requests: pl.DataFrame) -> pl.DataFrame:
        """Return requests with the bodies that callers sent; empty where the subject was erased."""
        sealed = requests["body"].str.contains('"' + SEALED, literal=True)
        if not sealed.any():
            return requests
        with self._store.read() as connection:
            names = requests.filter(sealed)["subject"].unique()
            keys, erased = self._keys(connection, names), self._erased(connection, names)
        rows = zip(requests["body"], requests["subject"], sealed, strict=True)
        bodies = [
            self._opened_body(body, keys.get(name), erased=name in erased) if closed else body
            for body, name, closed in rows
        ]
        return requests.with_columns(pl.Series("body", bodies, pl.String()))

    def seal_columns(
        self, connection: Connection, frame: pl.DataFrame, subject: str, columns: Sequence[str]
    ) -> pl.DataFrame:
        """Return a source's rows with its personal columns, which are texts, sealed."""
        columns = [column for column in columns if column in frame.columns]
        if not columns or not frame.height:
            return frame
        names = frame[subject].cast(pl.String).fill_null("")
        keys = self._keys(connection, names.unique(), make=True)
        return frame.with_columns(
            pl.Series(
                column,
                [
                    None if value is None else self._seal(keys[name], value.encode())
                    for name, value in zip(names, frame[column], strict=True)
                ],
                pl.String(),
            )
            for column in columns
        )

    def open_columns(self, frame: pl.DataFrame, subject: str, columns: Sequence[str]) -> pl.DataFrame:
        """Return a source's rows with its personal columns as they came; missing where the subject was erased."""
        columns = [column for column in columns if column in frame.columns]
        if not columns or not frame.height:
            return frame
        names = frame[subject].cast(pl.String).fill_null("")
        with self._store.read() as connection:
            keys = self._keys(connection, names.unique())
        return frame.with_columns(
            pl.Series(
                column,
                [
                    _text(self._open(keys.get(name), value)) if value and value.startswith(SEALED) else value
                    for name, value in zip(names, frame[column], strict=True)
                ],
                pl.String(),
            )
            for column in columns
        )

    def without_erased(self, connection: Connection, frame: pl.DataFrame, subject: str, known: str) -> pl.DataFrame:
        """Leave out rows that a source still holds of subjects that were erased after the rows were known."""
        if not connection.execute(select(erased_subjects).limit(1)).first():
            return frame
        names = frame[subject].cast(pl.String).fill_null("")
        erased = self._erased(connection, names.unique())
        if not erased:
            return frame
        at = names.replace_strict(erased, default=None, return_dtype=pl.Int64)
        return frame.filter((frame[known] > at).fill_null(True))

    def destroy(self, connection: Connection, subject: str, now_us: int) -> bool:
        """Destroy a subject's key, and remember under its digest that it was erased; return whether there was one."""
        here = subject_keys.c.digest == self.digest(subject)
        connection.execute(update(subject_keys).where(here).values(key=bytes(60)))  # over the bytes, then the row
        gone = connection.execute(delete(subject_keys).where(here)).rowcount
        known = erased_subjects.c.digest == self.digest(subject)
        if not connection.execute(update(erased_subjects).where(known).values(erased_us=now_us)).rowcount:
            connection.execute(insert(erased_subjects).values(digest=self.digest(subject), erased_us=now_us))
        return bool(gone)

    def erased_us(self, connection: Connection, subject: str) -> int | None:
        """Return when a subject was erased last; None if it never was."""
        return self._erased(connection, [subject]).get(subject)

    def erased_later(self, connection: Connection, erased: Mapping[str, int]) -> dict[str, int]:
        """Return those of ``erased`` (when, by digest) that this home does not know of, or only of earlier."""
        known = {row.digest: row.erased_us for row in connection.execute(select(erased_subjects))}
        return {digest: at_us for digest, at_us in erased.items() if known.get(digest, -1) < at_us}

    def destroy_again(self, connection: Connection, erased: Mapping[str, int]) -> None:
        """Destroy the keys of subjects by their digests, and remember when they were erased."""
        for some in _chunks(sorted(erased)):
            here = subject_keys.c.digest.in_(some)
            connection.execute(update(subject_keys).where(here).values(key=bytes(60)))
            connection.execute(delete(subject_keys).where(here))
            connection.execute(delete(erased_subjects).where(erased_subjects.c.digest.in_(some)))
            connection.execute(insert(erased_subjects), [{"digest": one, "erased_us": erased[one]} for one in some])

    def _keys(self, connection: Connection, subjects: Iterable[str], *, make: bool = False) -> dict[str, bytes]:
        digests = {self.digest(subject): subject for subject in subjects}
        keys = {
            digests[row.digest]: self._unwrapped(row.key)
            for some in _chunks(sorted(digests))
            for row in connection.execute(select(subject_keys).where(subject_keys.c.digest.in_(some)))
        }
        missing = [digest for digest, subject in digests.items() if subject not in keys] if make else []
        if missing:
            cipher = self._demand()
            fresh = {digest: cipher.new_key() for digest in missing}
            rows = [{"digest": one, "key": cipher.seal(self._secret(), key, b"key")} for one, key in fresh.items()]
            connection.execute(insert(subject_keys), rows)
            keys |= {digests[digest]: key for digest, key in fresh.items()}
        return keys

    def _erased(self, connection: Connection, subjects: Iterable[str]) -> dict[str, int]:
        digests = {self.digest(subject): subject for subject in subjects}
        return {
            digests[row.digest]: row.erased_us
            for some in _chunks(sorted(digests))
            for row in connection.execute(select(erased_subjects).where(erased_subjects.c.digest.in_(some)))
        }

    def _unwrapped(self, key: bytes) -> bytes:
        return self._demand().open(self._secret(), key, b"key") or b""

    def _demand(self) -> Cipher:
        if self._cipher is None:
            raise Refused("needs a package to seal it", field="pii", remedy='pip install "mainspring[pii]"')
        return self._cipher

    def _seal(self, key: bytes, value: bytes) -> str:
        return SEALED + urlsafe_b64encode(self._demand().seal(key, value, b"field")).decode()

    def _open(self, key: bytes | None, sealed: str) -> bytes | None:
        if key is None:
            return None
        try:
            return self._demand().open(key, urlsafe_b64decode(sealed[len(SEALED) :]), b"field")
        except ValueError:  # no base64: it was never sealed
            return None

    def _sealed_body(self, body: str, fields: Sequence[str], key: bytes) -> str:
        values = _object.decode(body)
        sealed = {
            name: self._seal(key, bytes(value)) if name in fields else value  # the value's own bytes
            for name, value in values.items()
        }
        return msgspec.json.encode(sealed).decode()

    def _opened_body(self, body: str, key: bytes | None, *, erased: bool) -> str:
        """Return a body with its fields opened; what was never sealed, though it looks so, stays as it came."""
        values: dict[str, msgspec.Raw] = _object.decode(body)
        for name, value in values.items():
            text = bytes(value)
            if text.startswith(b'"' + SEALED.encode()):
                opened = self._open(key, text[1:-1].decode())
                if opened is None and erased:
                    return ""
                if opened is not None:
                    values[name] = msgspec.Raw(opened)
        return msgspec.json.encode(values).decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
