"""Where a home keeps its blobs and parts: in its folder, unless its settings name places in buckets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.settings import Settings
from mainspring.kernel.errors import MainspringError
from mainspring.log.ports import Blobs, Tables

if TYPE_CHECKING:
    from mainspring.adapters.blobs.s3 import S3Blobs
    from mainspring.adapters.bucket import Bucket
    from mainspring.adapters.tables.s3 import S3Tables

READER_RETRY_S = 5.0
OWNER_RETRY_S = 20.0


def open_blobs(home: Home, settings: Settings, *, owner: bool = False) -> Blobs:
    """Open a home's blobs; the ``owner`` of the home claims its place in the bucket first, readers need not."""
    if not settings.blobs:
        return FileBlobs(home.blobs, LocalDisk())
    if owner:
        return bucket_blobs(home, settings, empty=_is_empty(home.blobs))
    return _bucket_blobs(home, settings, _bucket(settings.blobs, settings, READER_RETRY_S))


def open_tables(home: Home, settings: Settings) -> Tables:
    """Open a home's tables, whose place in the bucket becomes this home's."""
    if not settings.tables:
        from mainspring.adapters.tables.parquet import ParquetTables  # Polars, which readers of blobs do without

        return ParquetTables(home.parts, LocalDisk())
    return bucket_tables(home, settings, empty=_is_empty(home.parts))


def bucket_blobs(home: Home, settings: Settings, *, empty: bool) -> S3Blobs:
    """Open blobs in a bucket and claim their place; ``empty`` says that nothing in the folder would be missed there."""
    bucket = _bucket(settings.blobs, settings, OWNER_RETRY_S)
    bucket.claim("blobs", home.file.id, empty=empty)
    return _bucket_blobs(home, settings, bucket)


def bucket_tables(home: Home, settings: Settings, *, empty: bool) -> S3Tables:
    """Open tables in a bucket and claim their place; ``empty`` says that no part would be missed there."""
    from mainspring.adapters.cache import FileCache
    from mainspring.adapters.tables.s3 import S3Tables

    bucket = _bucket(settings.tables, settings, OWNER_RETRY_S)
    bucket.claim("parts", home.file.id, empty=empty)
    return S3Tables(bucket, home.parts, LocalDisk(), FileCache(home.parts, _cache_bytes(settings)))


def _bucket(url: str, settings: Settings, retry_s: float) -> Bucket:
    from mainspring.adapters.bucket import Bucket

    return Bucket(url, endpoint=settings.s3_endpoint, region=settings.s3_region, retry_s=retry_s)


def _bucket_blobs(home: Home, settings: Settings, bucket: Bucket) -> S3Blobs:
    from mainspring.adapters.blobs.s3 import S3Blobs
    from mainspring.adapters.cache import FileCache

    def routed() -> Iterable[str]:
        return _routed(home)

    local = FileBlobs(home.blobs, LocalDisk())
    return S3Blobs(bucket, local, FileCache(home.blobs, _cache_bytes(settings), needed=routed))


def _cache_bytes(settings: Settings) -> int:
    return settings.s3_cache_mb * 1_000_000


def _is_empty(folder: Path) -> bool:
    return not any(path.is_file() for path in folder.glob("*/*"))


def _routed(home: Home) -> Iterable[str]:
    """Return the blobs that gateways answer with: they stay here, so that a restart needs no bucket."""
    try:
        routing = RoutingFile(home.routing, LocalDisk()).read()
    except MainspringError:
        return ()
    return [] if routing is None else [one for version in routing.versions for one in version.package.files.values()]
