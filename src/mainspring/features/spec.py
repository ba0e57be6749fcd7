"""Sources and feature views as plain data: what ``apply`` stores and every process computes from."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from mainspring.kernel.ids import digest_of
from mainspring.kernel.schema import Column

_PASSWORD = re.compile(r"//[^/@:]*:(.+)@")


class ParquetReader(msgspec.Struct, frozen=True, tag="parquet", forbid_unknown_fields=True):
    """A Parquet file or a folder of them, relative to the project."""

    path: str


class CsvReader(msgspec.Struct, frozen=True, tag="csv", forbid_unknown_fields=True):
    """A CSV file with a header line; ``null_values`` are read as missing."""

    path: str
    null_values: tuple[str, ...] = ("", "NA", "NULL")


class SqlReader(msgspec.Struct, frozen=True, tag="sql", forbid_unknown_fields=True):
    """A query that is asked again for rows whose ``watermark`` column is at or above the greatest one seen.

    ``url`` may hold ``${NAME}``, taken from the environment when the query is run, so no secret is stored.
    """

    url: str
    query: str
    watermark: str

    def password(self) -> str | None:
        """Return a password that is written out in the url, where only ``${NAME}`` belongs."""
        match = _PASSWORD.search(self.url)
        return match[1] if match and "${" not in match[1] else None

    def __repr__(self) -> str:
        password = self.password()
        url = self.url.replace(f":{password}@", ":***@") if password else self.url
        return f"SqlReader(url={url!r}, query={self.query!r}, watermark={self.watermark!r})"


class PushReader(msgspec.Struct, frozen=True, tag="push", forbid_unknown_fields=True):
    """Rows arrive only by ``POST /sources/{name}``."""


Reader = ParquetReader | CsvReader | SqlReader | PushReader


class SourceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows with two times: when it happened (``time``), and when it was known.

    Known means ``known_at``, or ``time + known_after_us``. A row without a known-at is not known yet.
    ``key`` names the columns that identify a row: a later row with the same key and known-at is the same row; one with
    a later known-at is a revision. ``columns`` are filled in by ``apply``. Every source also takes pushed rows.
    ``subject`` is the column that says whose row it is, ``pii`` are texts that are sealed with that subject's key.
    """

    name: str
    reader: Reader
    time: str
    key: tuple[str, ...]
    known_at: str | None = None
    known_after_us: int | None = None
    columns: tuple[Column, ...] = ()
    subject: str | None = None
    pii: tuple[str, ...] = ()


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature of a view: what is known of a key at a moment ``at``. Only rows with known-at <= at are ever seen.

    ``last``: the value of ``column`` in the row with the greatest time (of equal ones the one known last); missing if
    it is missing there, or if the row is older than the view's ``ttl_us``. Times are given as microseconds.
    ``mean``: over values of ``column`` in the window that are neither missing nor infinite; the exact sum, rounded
    once, over their number. ``count``: rows in the window. ``share``: rows where ``condition`` is true over rows where
    it is not missing. The window is ``(at - over_us, at]`` over ``by``. Of a row with revisions the newest one known
    by then counts, under its own key and times; ``last`` goes by time alone, so a revision takes part as a row of its
    own. An empty window, or a key that was never seen, gives a missing value, and 0 for ``count``.
    """

    name: str
    kind: Literal["last", "mean", "count", "share"]
    column: str | None = None
    condition: str | None = None
    over_us: int | None = None
    by: Literal["known_at", "time"] = "known_at"


class ViewSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of one source by key. ``ttl_us`` bounds the age (``at`` - time) of the row that ``last`` may use."""

    name: str
    source: str
    key: tuple[str, ...]
    features: tuple[Feature, ...]
    ttl_us: int | None = None

    def digest(self, source: SourceSpec, source_id: str = "") -> str:
        """Return the version of this view: a digest over its definition, its source's times, and which source it is."""
        times = (source.time, source.known_at, source.known_after_us)
        return digest_of([msgspec.to_builtins(self), times, *([source_id] if source_id else [])])

    def horizon_us(self) -> int | None:
        """Return how far back rows can matter: the widest window or the time to live; None if for ever."""
        spans = [feature.over_us for feature in self.features if feature.over_us is not None]
        if any(feature.kind == "last" for feature in self.features):
            if self.ttl_us is None:
                return None
            spans.append(self.ttl_us)
        return max(spans, default=0)
