"""How the tiles of a view are written; ``layout`` says what they look like, and reads them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.adapters.latest.layout import FORMAT, NO_BOOL, NO_INT, NO_TEXT, Layout
from mainspring.features.rows import KNOWN
from mainspring.features.spec import ViewSpec
from mainspring.features.windows import AT, GROUP, LAST_TIME

Records = NDArray[np.void]


class TileWriter:
    """Writes the tiles of one view."""

    def __init__(self, view: ViewSpec, codes: str) -> None:
        self._view = view
        self._layout = Layout(view, codes)

    def pack(self, steps: pl.DataFrame, cut_us: int) -> Iterator[tuple[int, bytes]]:
        """Give each group of ``steps`` as a tile, without what ended before the cut."""
        layout = self._layout
        texts: list[str] = []
        records = self._records(steps, texts)
        moments = steps.get_column(AT).to_numpy().astype("<i8")
        group = steps.get_column(GROUP).to_numpy()
        bounds = [0, *(np.flatnonzero(group[1:] != group[:-1]) + 1).tolist(), len(group)]
        for first, end in pairwise(bounds):
            start = first + max(0, int(np.searchsorted(moments[first:end], cut_us, side="right")) - 1)
            piece, own = self._with_own_texts(records[start:end], texts)
            newest = piece[-1].item()
            head = layout.pack_head(FORMAT, end - start, len(own), layout.crc, int(moments[end - 1]), *newest)
            tile = b"".join((head, layout.padding, moments[start:end].tobytes(), piece.tobytes(), _texts(own)))
            yield int(group[first]), tile + bytes(-len(tile) % 8)

    def _records(self, steps: pl.DataFrame, texts: list[str]) -> Records:
        fields = {"q": "<i8", "f": "<f8", "b": "i1", "t": "<i4"}
        form = [("known", "<i8"), ("last", "<i8")]
        form += [(f"f{place}", fields[code]) for place, code in enumerate(self._layout.codes)]
        records: Records = np.zeros(steps.height, np.dtype(form))
        records["known"] = steps.get_column(KNOWN).to_numpy()
        if LAST_TIME in steps.columns:
            records["last"] = steps.get_column(LAST_TIME).to_numpy()
        for place, (feature, code) in enumerate(zip(self._view.features, self._layout.codes, strict=True)):
            records[f"f{place}"] = _packed(steps.get_column(feature.name), code, texts)
        return records

    def _with_own_texts(self, records: Records, texts: list[str]) -> tuple[Records, list[str]]:
        own: list[str] = []
        if not texts:
            return records, own
        piece = records.copy()
        for place, code in enumerate(self._layout.codes):
            if code == "t":
                used, local = np.unique(piece[f"f{place}"], return_inverse=True)
                missing = int(np.searchsorted(used, 0))  # 1 if the first used code is the missing one
                piece[f"f{place}"] = np.where(local < missing, NO_TEXT, local - missing + len(own))
                own.extend(texts[code] for code in used[missing:].tolist())
        return piece, own


def codes_of(view: ViewSpec, schema: pl.Schema) -> str:
    """Return one letter a feature for how its values are written: f float, q integer, b truth, t text."""
    return "".join(_code(schema[feature.name]) for feature in view.features)


def _code(dtype: pl.DataType) -> str:
    if dtype.is_float():
        return "f"
    if dtype == pl.Boolean:
        return "b"
    return "t" if dtype == pl.String else "q"


def _packed(values: pl.Series, code: str, texts: list[str]) -> Any:
    if code == "f":
        return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if code == "b":
        return values.cast(pl.Int8).fill_null(NO_BOOL).to_numpy()
    if code == "q":
        return values.cast(pl.Int64).fill_null(NO_INT).to_numpy()
    known = {text: len(texts) + place for place, text in enumerate(values.drop_nulls().unique(maintain_order=True))}
    texts.extend(known)
    return [known.get(text, NO_TEXT) for text in values]


def _texts(texts: list[str]) -> bytes:
    """Return an index of ends and the texts, so that one is read without the others."""
    pieces = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    return ends + b"".join(pieces)
