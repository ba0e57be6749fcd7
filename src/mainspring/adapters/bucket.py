"""A bucket of an S3 server: bytes under keys, written once, verified as they are read, retried with back-off.

Credentials come from the environment, or from the machine's role, as the server's own tools take them; they are in no
setting, no message and no ``repr``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, Damaged, InvalidInput, NotFound, Refused, Unavailable

AT_ONCE_BYTES = 16 * 1_024 * 1_024  # what is larger goes up in pieces
_PIECE_BYTES = 8 * 1_024 * 1_024
_PIECES_AT_ONCE = 4
_OWNER = "mainspring-home"


class Stored(NamedTuple):
    """An object as a listing tells of it; ``age_s`` by this machine's clock."""

    key: str
    size: int
    age_s: float


class Bucket:
    """Part of a bucket: ``s3://bucket/prefix``. ``endpoint`` is for servers other than Amazon's."""

    def __init__(self, url: str, *, endpoint: str = "", region: str = "", retry_s: float = 20.0) -> None:
        self.url = url
        name, self._prefix = split_url(url)
        try:
            from obstore import store
        except ImportError:
            remedy = 'install it with: pip install "mainspring[s3]"'
            raise Unavailable("obstore is not installed", field="s3", remedy=remedy) from None
        given: dict[str, Any] = {"region": region or "us-east-1"}
        if endpoint:
            given["endpoint"] = endpoint
        self._store = store.S3Store(
            name,
            **given,
            client_options={"connect_timeout": "5s", "timeout": "120s", "allow_http": endpoint.startswith("http://")},
            retry_config={
                "max_retries": 8,
                "retry_timeout": timedelta(seconds=retry_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=4),
                    "base": 2,
                },
            },
        )

    def __repr__(self) -> str:
        return f"Bucket({self.url!r})"

    def put(self, key: str, path: Path) -> None:
        """Store a file's bytes under a key that names them for ever: bytes that are there already stay."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        size = path.stat().st_size
        with self._plain_errors(key):
            if size > AT_ONCE_BYTES:
                if self.size(key) != size:
                    obstore.put(
                        self._store, self._at(key), path, chunk_size=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE
                    )
            else:
                try:
                    obstore.put(self._store, self._at(key), path.read_bytes(), mode="create")
                except AlreadyExistsError:
                    if self.size(key) != size:
                        obstore.put(self._store, self._at(key), path.read_bytes())
        reached("bucket.after_put")

    def fetch(self, key: str, path: Path, digest: str) -> None:
        """Write an object's bytes to ``path`` once they are known to be the right ones; raises ``Damaged``."""
        import obstore

        found = hashlib.sha256()
        with self._plain_errors(key), path.open("wb") as file:
            for piece in obstore.get(self._store, self._at(key)).stream(min_chunk_size=1_024 * 1_024):
                found.update(piece)
                file.write(piece)
        if found.hexdigest() != digest:
            raise Damaged("the stored bytes are not what was written", field="object", value=key)

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if there is none."""
        import obstore

        try:
            with self._plain_errors(key):
                return int(obstore.head(self._store, self._at(key))["size"])
        except NotFound:
            return None

    def list(self, kind: str) -> Iterator[Stored]:
        """Return what is stored below ``kind/``."""
        import obstore

        now = datetime.now(UTC)
        at = f"{self._prefix}/{kind}" if self._prefix else kind
        with self._plain_errors(""):
            for some in obstore.list(self._store, prefix=at):
                for one in some:
                    key = str(one["path"])[len(self._prefix) :].lstrip("/")
                    yield Stored(key, one["size"], (now - one["last_modified"]).total_seconds())

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        import obstore

        for key in keys:
            try:
                with self._plain_errors(key):
                    obstore.delete(self._store, self._at(key))
            except NotFound:
                continue

    def claim(self, kind: str, home: str, *, empty: bool) -> None:
        """Make the place of one kind of object a home's; raises ``Conflict`` if it is another's.

        Unless the home's own folder is ``empty``, a place that nobody has claimed is refused: what the folder holds
        would be missing here.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        owned = f"{_OWNER}/{kind}"
        try:
            with self._plain_errors(owned):
                owner = bytes(obstore.get(self._store, self._at(owned)).bytes()).decode()
        except NotFound:
            if not empty:
                raise Conflict(
                    "the home's files are in its folder, and the bucket is empty", field="s3", value=self.url,
                    remedy="take the setting away and move them: mainspring move --blobs URL --tables URL",
                ) from None  # fmt: skip
            owner = home
            with self._plain_errors(owned):
                try:
                    obstore.put(self._store, self._at(owned), home.encode(), mode="create")
                except AlreadyExistsError:
                    self.claim(kind, home, empty=False)
        if owner != home:
            remedy = "name a prefix of its own for each home"
            raise Conflict("belongs to another home", field="s3", value=self.url, remedy=remedy)

    def _at(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextmanager
    def _plain_errors(self, key: str) -> Iterator[None]:
        from obstore import exceptions

        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError):
            raise NotFound("no such object is stored", field="object", value=f"{self.url}/{key}") from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
            remedy = "look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of their user"
            raise Refused("the server does not let us in", field="s3", value=self.url, remedy=remedy) from None
        except exceptions.AlreadyExistsError:
            raise
        except exceptions.BaseError as error:
            remedy = "it is tried again by itself; look at the server and at s3_endpoint if it lasts"
            what = f"the bucket does not answer: {type(error).__name__}"
            raise Unavailable(what, field="s3", value=self.url, remedy=remedy) from None


def split_url(url: str, field: str = "s3") -> tuple[str, str]:
    """Return the bucket and the prefix of ``s3://bucket/prefix``.

    >>> split_url("s3://models/prod/")
    ('models', 'prod')
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput("is not a place in a bucket", field=field, remedy="give s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")
