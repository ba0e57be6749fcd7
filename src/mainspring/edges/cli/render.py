"""Results for people: tables for lists, lines for single things; times and numbers as they are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from mainspring.edges.verbs.verb import Verb

_WIDEST, _FEW_ROWS, _LONG = 9, 3, 40
_FIRST_DAY_US = 10**14  # below 1973 a count of microseconds is a span, not a moment


def show(verb: Verb, result: Any, *, as_json: bool) -> None:
    """Write a result to standard output."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    console = Console(width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)
    with console.capture() as drawn:
        for piece in _pieces(verb.columns, result):
            console.print(piece)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _pieces(columns: Sequence[str], result: Any, title: str | None = None) -> list[Any]:
    if isinstance(result, list):
        return _list(columns, result, title) if result else [f"{title}: none" if title else "none"]
    if isinstance(result, dict):
        chosen = {name: _at(result, name) for name in columns if _at(result, name) is not None}
        return _lines(chosen or result, title)
    return [text_of("", result)]


def _list(columns: Sequence[str], rows: list[Any], title: str | None) -> list[Any]:
    """Return a table; a few rows that are too wide for one stand below each other."""
    wide = not columns and isinstance(rows[0], dict) and len(rows[0]) > _WIDEST
    if not wide or len(rows) > _FEW_ROWS:
        return [_table(columns, rows, title)]
    pieces: list[Any] = []
    for row in rows:
        pieces += ["", *_lines(row, title)] if pieces else _lines(row, title)
    return pieces


def _table(columns: Sequence[str], rows: list[Any], title: str | None) -> Any:
    from rich.table import Table
    from rich.text import Text

    if not isinstance(rows[0], dict):
        return "\n".join(text_of("", row) for row in rows)
    names = [name for name in (columns or _short_columns(rows)) if any(name.split(".")[0] in row for row in rows)]
    table = Table(
        box=None, pad_edge=False, title=title, title_justify="left", header_style="bold", padding=(0, 2, 0, 0)
    )
    met = [_heading(name) for name in names]
    for name in names:
        numeric = all(isinstance(_at(row, name), int | float) and not name.endswith("_us") for row in rows)
        heading = _heading(name) if met.count(_heading(name)) == 1 else _whole(name)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text_of(name, _at(row, name))) for name in names))
    return table


def _short_columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [name for name in names if not any(isinstance(row.get(name), dict | list) for row in rows)] or names


def _lines(result: dict[str, Any], title: str | None) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left", padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    below: list[Any] = []
    met = [_heading(name) for name, _ in _flat(result)]
    for name, value in _flat(result):
        heading = _heading(name) if met.count(_heading(name)) == 1 else _whole(name)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            below += ["", *_pieces((), value, heading)]
        else:
            grid.add_row(heading, Text(text_of(name, value)))
    return [grid, *below]


def _flat(result: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a result holds, with the names of what it stands in before each name."""
    for name, value in result.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name} ")
        else:
            yield before + name, value


def _at(row: dict[str, Any], place: str) -> Any:
    """Return the value at a place such as ``lineage.recipe``."""
    value: Any = row
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _heading(name: str) -> str:
    """Return what stands over or before values; the name of a file stays as it is.

    >>> _heading("lineage.recipe"), _heading("created_us"), _heading("files model.onnx")
    ('recipe', 'created', 'files model.onnx')
    """
    shown = name if " " in name else name.rpartition(".")[2]
    return shown.removesuffix("_us").replace("_", " ")


def _whole(name: str) -> str:
    """Return a heading with what its value stands in, where two would be the same: ``forecast reason``."""
    return name.removesuffix("_us").replace(".", " ").replace("_", " ")


def text_of(name: str, value: Any) -> str:
    """Return one value as people read it.

    >>> text_of("created_us", 1367582400000000), text_of("latency_us", 900000), text_of("share", 0.25)
    ('2013-05-03T12:00:00Z', '900ms', '0.25')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_us") and isinstance(value, int):
        return _time_text(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key.removesuffix('_us')}={text_of(key, item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        between = "\n" if any(_is_sentence(item) for item in value) else ", "
        return between.join(text_of(name, item) for item in value) or "–"
    return str(value)


def _is_sentence(value: Any) -> bool:
    return isinstance(value, str) and " " in value and len(value) > _LONG


def _time_text(value_us: int) -> str:
    from datetime import timedelta

    from mainspring.kernel.clock import from_us, show_time
    from mainspring.kernel.duration import show_duration

    if abs(value_us) >= _FIRST_DAY_US:
        return show_time(from_us(value_us))
    if abs(value_us) < 1_000_000:
        return f"{value_us / 1_000:g}ms"
    return show_duration(timedelta(microseconds=value_us))
