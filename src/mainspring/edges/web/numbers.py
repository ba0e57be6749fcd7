"""The numbers of a decision or an entry as people read them: single ones by name, and what is alike in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mainspring.edges.web.words import item, moment, plain_words

_FIRST_DAY_US = 10**14  # below 1973 a count of microseconds is a span, not a moment


class Table(NamedTuple):
    """Things that are alike, one a line; the first column names them."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class Numbers(NamedTuple):
    """Single values by their names in words, and tables."""

    pairs: list[tuple[str, str]]
    tables: list[Table]


def grouped(values: Mapping[str, Any]) -> Numbers:
    """Return numbers as they are shown.

    >>> grouped({"n": 3, "measured": {"quality": {"low": 0.1}, "late": {"low": 0.0, "e": None}}}).tables
    [Table(title='measured', columns=['low'], rows=[['quality', '0.1'], ['late', '0']])]
    """
    pairs: list[tuple[str, str]] = []
    tables: list[Table] = []
    for name, value in values.items():
        rows = _rows(value)
        if rows:
            tables += _tables(plain_words(name), rows)
        elif isinstance(value, dict) and value:
            inner = grouped(value)
            pairs += [(f"{plain_words(name)} {under}", text) for under, text in inner.pairs]
            tables += [one._replace(title=f"{plain_words(name)}: {one.title}") for one in inner.tables]
        else:
            pairs.append(_pair(name, value))
    return Numbers(pairs, tables)


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return things that are alike with their names, if that is what a value holds."""
    if isinstance(value, dict) and value and all(isinstance(one, dict) and one for one in value.values()):
        return [(plain_words(name), one) for name, one in value.items()]
    if isinstance(value, list | tuple) and value and all(isinstance(one, dict) and "type" not in one for one in value):
        return [(_called(one, place), one) for place, one in enumerate(value)]
    return []


def _called(one: Mapping[str, Any], place: int) -> str:
    if isinstance(one.get("number"), int):
        return f"v{one['number']}"
    name = one.get("name")
    return plain_words(name) if isinstance(name, str) else str(place + 1)


def _tables(title: str, rows: list[tuple[str, Mapping[str, Any]]]) -> Iterator[Table]:
    """Yield a table of the single values, without columns that are empty all the way, and one for each that is none."""
    rows = [(called, _flat(one)) for called, one in rows]
    columns = list(dict.fromkeys(name for _, one in rows for name in one))
    columns = [name for name in columns if name not in ("name", "number")]
    deep = [name for name in columns if any(isinstance(one.get(name), dict) or _rows(one.get(name)) for _, one in rows)]
    flat = [
        name for name in columns if name not in deep and any(one.get(name) not in (None, "", [], ()) for _, one in rows)
    ]
    if flat:
        yield Table(
            title,
            [_pair(name, None)[0] for name in flat],
            [[called, *(_pair(name, one.get(name))[1] for name in flat)] for called, one in rows],
        )
    for called, one in rows:
        for name in deep:
            if one.get(name):
                inner = grouped({name: one[name]})
                if inner.pairs:
                    yield Table(f"{title}: {called}", [], [[under, text] for under, text in inner.pairs])
                for table in inner.tables:
                    yield table._replace(title=f"{title}: {called}, {table.title}")


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a thing with what its parts hold beside its own values."""
    found: dict[str, Any] = {}
    for name, value in one.items():
        if isinstance(value, dict) and value:
            found |= {f"{name} {under}": known for under, known in _flat(value).items()}
        else:
            found[name] = value
    return found


def _pair(name: str, value: Any) -> tuple[str, str]:
    if name.endswith("_us"):
        named = plain_words(name.removesuffix("_us"))
        if isinstance(value, int) and value > _FIRST_DAY_US:
            return named, moment(value)
        if isinstance(value, list | tuple):
            return named, ", ".join(moment(one) if one > _FIRST_DAY_US else item(one) for one in value) or "none"
        return named, item(value)
    return plain_words(name), item(value)
