"""Classes of what may come true: texts, whole numbers or truth values, in an order that a version keeps for good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Kind, Label

FEWEST = 2
MOST = 1_000
_KINDS: dict[type, Kind] = {str: "str", int: "int", bool: "bool"}


def class_text(label: Label) -> str:
    """Return a class as the log and JSON keys write it.

    >>> class_text("JFK"), class_text(3), class_text(True)
    ('JFK', '3', 'true')
    """
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)


def class_texts(labels: Iterable[Label]) -> tuple[str, ...]:
    """Return every class as the log writes it."""
    return tuple([class_text(label) for label in labels])


def class_kind(labels: Sequence[Label]) -> Kind:
    """Return the kind of a column that holds these classes.

    >>> class_kind(("a", "b")), class_kind((1, 2)), class_kind((False, True))
    ('str', 'int', 'bool')
    """
    return _KINDS[type(labels[0])] if labels else "str"


def checked_classes(labels: Sequence[Label], field: str) -> tuple[Label, ...]:
    """Return classes if they can be told apart: of one kind, each once, no empty text, and not one alone."""
    kinds = {type(label) for label in labels}
    if len(kinds) > 1 or not kinds <= _KINDS.keys():
        remedy = "use texts alone, whole numbers alone, or truth values alone"
        raise InvalidInput("are not of one kind", field=field, value=list(labels), remedy=remedy)
    twice = next((label for place, label in enumerate(labels) if label in labels[:place]), None)
    if twice is not None:
        raise InvalidInput("is given twice", field=field, value=twice, remedy="give each class once")
    if "" in labels:
        raise InvalidInput("holds an empty text", field=field, remedy="name every class")
    if not FEWEST <= len(labels) <= MOST:
        raise InvalidInput(f"must be {FEWEST} to {MOST:,}", field=field, value=len(labels))
    return tuple(labels)
