"""JSON as control reads it: no duplicate keys, no NaN or infinity, no lone surrogates, no endless nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from mainspring.kernel.errors import InvalidInput


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that ``body`` is, or refuse it in one sentence.

    >>> read_object(b'{"a": 1}')
    {'a': 1}
    """
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except InvalidInput:
        raise
    except (ValueError, RecursionError):  # not UTF-8, not JSON, 1e400, a lone surrogate, too deep
        raise InvalidInput("is not JSON", field="body", remedy="send one JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise InvalidInput("must be one JSON object", field="body", value=type(value).__name__)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput("is given twice", field=twice, remedy="give each key once")
    return found


def _no_constant(word: str) -> NoReturn:
    raise InvalidInput("is not a number that JSON knows", field="body", value=word)
