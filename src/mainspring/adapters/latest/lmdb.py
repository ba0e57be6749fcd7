"""Latest features in LMDB: one tile a view and key, and for each view the rows that windows may still need.

One process writes (control), any number read. Nothing is synced, because all of it can be built again: the death of a
process loses nothing, and after a restart of the machine the folder is emptied, so that the views are fed anew.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
import msgspec

from mainspring.adapters.latest.commits import newest_commit
from mainspring.adapters.latest.layout import Layout, Span
from mainspring.features.keys import encode_key
from mainspring.features.ports import FeatureRow
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, Unavailable
from mainspring.kernel.ids import digest

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2  # of what lies in the folder; the folder of another one is built again
KEEP_US = 25 * 3_600_000_000  # the oldest decision time that a gateway takes is a day ago; an hour is slack
_MAP_BYTES = 64 << 30  # address space, not disk
_LONGEST_KEY_BYTES = 400
_MOST_KNOWN = 50_000  # keys of a view; then they are read anew
_FOR_EVER = 1 << 62
_BESIDE = "beside"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class _View(msgspec.Struct, frozen=True):
    """What the store knows of a view: the greatest known-at seen, and up to where old rows were let go."""

    spec: ViewSpec
    codes: str
    position: str = ""
    newest_us: int = 0
    trimmed_us: int = 0


class LmdbLatest:
    """The embedded ``Latest``. Open it after a process was spawned, never before a fork."""

    def __init__(self, path: Path, *, read_only: bool = False, keep_us: int = KEEP_US) -> None:
        self._path = path
        self._read_only = read_only
        self._keep_us = keep_us
        self._layouts: dict[str, Layout] = {}
        self._rows: dict[str, pl.DataFrame] = {}
        self._turn = threading.Lock()
        self._read_spans: dict[str, dict[str, Span]] = {}
        self._newest_read = 0
        self._newest: Callable[[], int] = _unknown
        self._env: Any = None
        self._opened_inode = 0
        if not read_only:
            path.mkdir(parents=True, exist_ok=True)
            durable = _forget_after_restart(path)
            self._env = _open(path, readonly=False, sync=durable, metasync=durable)
            self._env.reader_check()
            self._newest = newest_commit(path, self._env) or _unknown

    def get(self, view_digest: str, keys: Sequence[str], at_us: int) -> list[FeatureRow | None]:
        known = self._known(view_digest)
        found: list[FeatureRow | None] = []
        for key in keys:
            span = known.get(key)
            if span is None or not span[1] <= at_us <= span[2]:
                return self._read(view_digest, keys, at_us, known)
            found.append(span[0])
        return found

    def _known(self, view_digest: str) -> dict[str, Span]:
        """Return what was read of a view and still holds: nothing was committed since.

        Whoever asks for the same keys again, as most do, is answered without a transaction. Every call to LMDB lets go
        of the interpreter, and on a busy core getting it back costs far more than the call.
        """
        newest = self._newest()
        if newest != self._newest_read or newest == 0:
            self._read_spans.clear()
            self._newest_read = newest
        return self._read_spans.setdefault(view_digest, {})

    def _read(
        self, view_digest: str, keys: Sequence[str], at_us: int, known: dict[str, Span]
    ) -> list[FeatureRow | None]:
        env = self._env or self._open_to_read()
        if env is None:
            return [None] * len(keys)
        if len(known) > _MOST_KNOWN:
            known.clear()
        with env.begin(buffers=True) as reading:
            if reading.id() != self._newest_read:  # committed meanwhile: what is read now holds from the next time on
                known = {}
            layout = self._layouts.get(view_digest) or self._load_layout(reading, view_digest)
            if layout is None:
                return [None] * len(keys)
            prefix, look, nothing = _prefix(b"t", view_digest), reading.get, (layout.nothing, -_FOR_EVER, _FOR_EVER)
            found: dict[str, FeatureRow | None] = {}
            for key in dict.fromkeys(keys):  # many rows ask for the same few
                data = key.encode()
                tile = look(prefix + data if len(data) <= _LONGEST_KEY_BYTES else prefix + _short(key))
                span = nothing if tile is None else layout.span(tile, at_us)
                if span is None:
                    layout = self._load_layout(reading, view_digest) or layout
                    span = layout.span(tile, at_us)
                if span is None:
                    found[key] = None
                else:
                    known[key] = span
                    found[key] = span[0]
            return [found[key] for key in keys]

    def put(self, view_digest: str, spec: ViewSpec, source: SourceSpec, rows: pl.DataFrame) -> None:
        from mainspring.adapters.latest import feeding

        with self._turn, self._env.begin(write=True) as writing:
            view = self._view(writing, view_digest) or _View(spec, "")
            before = self._kept(writing, view_digest)
            brought = feeding.brought_by(spec, source, rows)
            whole = feeding.with_before(spec, source, before, brought)
            newest_us = max(view.newest_us, feeding.greatest(brought))
            cut_us = newest_us - self._keep_us
            codes = self._write_tiles(writing, view_digest, spec, whole, brought, cut_us) or view.codes
            trimmed_us = view.trimmed_us
            if cut_us - trimmed_us > self._keep_us // 2:
                whole, trimmed_us = self._trim(writing, view_digest, spec, whole, cut_us), cut_us
            kept = feeding.without_ends(whole)
            writing.put(_prefix(b"r", view_digest), feeding.to_bytes(kept))
            put = _View(spec, codes, view.position, newest_us, trimmed_us)
            writing.put(_prefix(b"v", view_digest), msgspec.msgpack.encode(put))
            reached("latest.before_commit")
        self._rows[view_digest] = kept
        self._layouts.pop(view_digest, None)

    def position(self, view_digest: str) -> str:
        env = self._env or self._open_to_read()
        if env is None:
            return ""
        with env.begin() as reading:
            view = self._view(reading, view_digest)
            return view.position if view else ""

    def mark(self, view_digest: str, position: str) -> None:
        with self._turn, self._env.begin(write=True) as writing:
            view = self._view(writing, view_digest)
            if view is not None and view.position != position:
                moved = msgspec.structs.replace(view, position=position)
                writing.put(_prefix(b"v", view_digest), msgspec.msgpack.encode(moved))

    def drop(self, view_digest: str) -> None:
        with self._turn, self._env.begin(write=True) as writing:
            prefix = _prefix(b"t", view_digest)
            cursor = writing.cursor()
            more = cursor.set_range(prefix)
            while more and cursor.key().startswith(prefix):
                more = cursor.delete()
            writing.delete(_prefix(b"r", view_digest))
            writing.delete(_prefix(b"v", view_digest))
            self._rows.pop(view_digest, None)
        self._layouts.pop(view_digest, None)

    def beside(self) -> LmdbLatest:
        shutil.rmtree(self._path / _BESIDE, ignore_errors=True)
        return LmdbLatest(self._path / _BESIDE, keep_us=self._keep_us)

    def take(self, other: LmdbLatest) -> None:
        with self._turn:
            other.close()
            self.close()
            for name in ("lock.mdb", "data.mdb"):  # readers look for another data.mdb, and open both then
                (other._path / name).replace(self._path / name)
            shutil.rmtree(other._path, ignore_errors=True)
            self._rows.clear()
            self._layouts.clear()
            durable = _forget_after_restart(self._path)
            self._env = _open(self._path, readonly=False, sync=durable, metasync=durable)
            self._newest = newest_commit(self._path, self._env) or _unknown

    def follow(self) -> None:
        """Open what was put in the place of the store that is read, if anything was."""
        if self._env is not None and self._read_only and self._inode() not in (0, self._opened_inode):
            self.close()
            self._layouts.clear()
            self._open_to_read()

    def _inode(self) -> int:
        try:
            return (self._path / "data.mdb").stat().st_ino
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Let go of the files."""
        if self._env is not None:
            self._env.close()
            self._env, self._newest = None, _unknown
            self._read_spans.clear()

    def _open_to_read(self) -> Any:
        if not self._read_only or not (self._path / "data.mdb").exists():
            return None
        self._opened_inode = self._inode()
        self._env = _open(self._path, readonly=True)
        self._newest = newest_commit(self._path, self._env) or _unknown
        self._newest_read = self._newest()
        return self._env

    def _view(self, reading: Any, view_digest: str) -> _View | None:
        data = reading.get(_prefix(b"v", view_digest))
        return msgspec.msgpack.decode(data, type=_View) if data is not None else None

    def _load_layout(self, reading: Any, view_digest: str) -> Layout | None:
        view = self._view(reading, view_digest)
        if view is None:
            return None
        self._layouts[view_digest] = layout = Layout(view.spec, view.codes)
        return layout

    def _kept(self, reading: Any, view_digest: str) -> pl.DataFrame | None:
        if view_digest not in self._rows:
            data = reading.get(_prefix(b"r", view_digest))
            if data is None:
                return None
            from mainspring.adapters.latest import feeding

            self._rows[view_digest] = feeding.from_bytes(bytes(data))
        return self._rows[view_digest]

    def _write_tiles(
        self, writing: Any, view_digest: str, spec: ViewSpec, whole: pl.DataFrame, brought: pl.DataFrame, cut_us: int
    ) -> str:
        """Write the tiles of keys that changed; return how their values are written."""
        from mainspring.adapters.latest import feeding

        prefix = _prefix(b"t", view_digest)
        codes, tiles = feeding.tiles(spec, whole, brought, cut_us)
        for key, tile in tiles:
            writing.put(prefix + _short(encode_key(key)), tile)
        return codes

    def _trim(self, writing: Any, view_digest: str, spec: ViewSpec, whole: pl.DataFrame, cut_us: int) -> pl.DataFrame:
        """Let go of rows that no moment after the cut can see, and of the tiles of keys that have no other."""
        from mainspring.adapters.latest import feeding

        kept = feeding.needed_after(spec, whole, cut_us)
        gone = whole.select(spec.key).unique().join(kept.select(spec.key).unique(), on=spec.key, how="anti")
        for key in gone.iter_rows():
            writing.delete(_prefix(b"t", view_digest) + _short(encode_key(key)))
        return kept


def _unknown() -> int:
    return 0


def _open(path: Path, **options: Any) -> Any:
    try:
        return lmdb.open(str(path), map_size=_MAP_BYTES, max_readers=512, **options)
    except lmdb.LockError as error:
        raise Unavailable("latest features are held by another process", field="latest") from error
    except lmdb.Error as error:
        remedy = "remove the folder, it is built again; one process opens it once"
        what = f"the store of latest features cannot be opened ({error})"
        raise Damaged(what, field="latest", remedy=remedy) from error


def _forget_after_restart(path: Path) -> bool:
    """Empty the folder if the machine was restarted since, or if another format was written to it.

    Return whether writes must be synced, because a restart cannot be told.
    """
    known = _BOOT.exists()
    boot, noted = f"format {FORMAT} {_BOOT.read_text().strip() if known else ''}", path / "boot"
    if noted.exists() and noted.read_text() == boot:
        return not known
    for name in ("data.mdb", "lock.mdb"):
        (path / name).unlink(missing_ok=True)
    noted.write_text(boot)
    return not known


def _prefix(kind: bytes, view_digest: str) -> bytes:
    return kind + view_digest[:32].encode()


def _short(key: str) -> bytes:
    """Return a key that LMDB takes: long ones by digest, behind a byte that no text begins with."""
    data = key.encode()
    return data if len(data) <= _LONGEST_KEY_BYTES else b"\xff" + digest(data).encode()
