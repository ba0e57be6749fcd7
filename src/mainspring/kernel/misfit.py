"""From a decoding error to one sentence: which field, what it must be, what it is, and the nearest right word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.kernel.errors import InvalidInput, nearest

_EXPECTED = re.compile(r"Expected `([^`]+)`(?: (.+?))?(?:, got `[^`]*`)?")
_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "bytes": "bytes in base64",
    "array": "a list", "object": "a table", "null": "nothing",
}  # fmt: skip


def misfit(error: msgspec.ValidationError, values: Mapping[str, Any], kind: type[msgspec.Struct]) -> InvalidInput:
    """Return what is wrong with ``values``, which do not convert to ``kind``.

    >>> class Shown(msgspec.Struct):
    ...     limit: int
    >>> try:
    ...     msgspec.convert({"limit": "ten"}, Shown)
    ... except msgspec.ValidationError as error:
    ...     print(misfit(error, {"limit": "ten"}, Shown))
    limit: must be a whole number (got 'ten')
    """
    field = str(error).partition(" - at `$")[2].rstrip("`").lstrip(".")
    name = re.split(r"[.\[]", field)[0]
    about = msgspec.inspect.type_info(kind)
    assert isinstance(about, msgspec.inspect.StructType)  # noqa: S101  (it is by the argument's type)
    wanted = next((one.type for one in about.fields if one.encode_name == name), None)
    return mistyped(error, field, values.get(name), wanted)


def mistyped(
    error: msgspec.ValidationError, field: str, value: Any, wanted: msgspec.inspect.Type | None
) -> InvalidInput:
    """Return what is wrong with one value that is not of the type that is wanted."""
    choices = _choices(wanted)
    if str(error).startswith("Invalid enum value") and choices:
        remedy = f"use {' or '.join(choices)}" if len(choices) < 3 else nearest(str(value), choices)
        return InvalidInput("is not one of the known words", field=field, value=value, remedy=remedy)
    return InvalidInput(_demand(str(error).partition(" - at `$")[0]), field=field or None, value=value)


def _demand(text: str) -> str:
    found = _EXPECTED.fullmatch(text)
    if found is None:
        return (text[:1].lower() + text[1:]).replace("`", "")
    words = " or ".join(_WORDS.get(word, word) for word in found[1].split(" | "))
    return f"must be {words}{' ' + found[2] if found[2] else ''}"


def _choices(found: msgspec.inspect.Type | None) -> list[str]:
    """Return the words that a value of a type may be; none if it may be any."""
    if isinstance(found, msgspec.inspect.Metadata):
        found = found.type
    inner = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    return [str(value) for one in inner if isinstance(one, msgspec.inspect.LiteralType) for value in one.values]
