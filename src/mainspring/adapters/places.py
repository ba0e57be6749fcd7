"""Where a home keeps its blobs and parts: in its folder, unless its settings name places in buckets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.settings import Settings
from mainspring.kernel.errors import MainspringError
from mainspring.log.ports import Blobs, Tables

READER_RETRY_S = 5.0


def open_blobs(home: Home, settings: Settings, *, owner: bool = False) -> Blobs:
    """Open a home's blobs; the ``owner`` of the home claims its place in the bucket first, readers need not."""
    local = FileBlobs(home.blobs, LocalDisk())
    if not settings.blobs:
        return local
    from mainspring.adapters.blobs.s3 import S3Blobs
    from mainspring.adapters.bucket import Bucket
    from mainspring.adapters.cache import FileCache

    given = {} if owner else {"retry_s": READER_RETRY_S}
    bucket = Bucket(settings.blobs, endpoint=settings.s3_endpoint, region=settings.s3_region, **given)
    if owner:
        bucket.claim("blobs", home.file.id, empty=_is_empty(home.blobs))

    def routed() -> Iterable[str]:
        return _routed(home)

    return S3Blobs(bucket, local, FileCache(home.blobs, _cache_bytes(settings), needed=routed))


def open_tables(home: Home, settings: Settings) -> Tables:
    """Open a home's tables, whose place in the bucket becomes this home's."""
    if not settings.tables:
        from mainspring.adapters.tables.parquet import ParquetTables  # Polars, which readers of blobs do without

        return ParquetTables(home.parts, LocalDisk())
    from mainspring.adapters.bucket import Bucket
    from mainspring.adapters.cache import FileCache
    from mainspring.adapters.tables.s3 import S3Tables

    bucket = Bucket(settings.tables, endpoint=settings.s3_endpoint, region=settings.s3_region)
    bucket.claim("parts", home.file.id, empty=_is_empty(home.parts))
    return S3Tables(bucket, home.parts, LocalDisk(), FileCache(home.parts, _cache_bytes(settings)))


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
