"""What an entry is about, in words: which alias moved from where to where, which versions a release compared."""

from __future__ import annotations

from typing import Any

from mainspring.ledger.chain import Entry


def about(entry: Entry) -> str:
    """Return what was changed, as a person would call it; the subject's id where nothing better is known.

    >>> moved = {"model": "late", "alias": "champion", "from": 1, "to": 2}
    >>> about(Entry(7, 0, "loop", "alias.moved", "", "ver_1", "better", moved, "", ""))
    'champion of late: 1 → 2'
    """
    numbers = entry.numbers
    model = numbers.get("model")
    if entry.kind == "alias.moved":
        return f"{numbers.get('alias')} of {model}: {_number(numbers.get('from'))} → {_number(numbers.get('to'))}"
    if isinstance(model, str) and isinstance(numbers.get("challenger"), int):
        return f"{model} {numbers['challenger']} against {_number(numbers.get('champion'))}"
    if isinstance(model, str) and isinstance(numbers.get("version"), int):
        return f"{model} {numbers['version']}"
    if isinstance(model, str):
        return model
    name = numbers.get("name")
    return name if isinstance(name, str) else entry.subject


def _number(version: Any) -> str:
    return "none" if version is None else str(version)
