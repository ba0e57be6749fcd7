"""Reading the JSON that wraps rows in other protocols; within it, as JSON has it, the last of two equal names wins."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from mainspring.serving.decode import Malformed

_T = TypeVar("_T")


def read(decoder: msgspec.json.Decoder[_T], body: bytes | msgspec.Raw, shape: str, within: str = "") -> _T:
    """Return the decoded body; whatever is wrong with it is a ``Malformed`` whose remedy is ``shape``."""
    try:
        return decoder.decode(body)
    except RecursionError:
        raise Malformed("too_deep", "is nested too deep", field=within or "body", remedy=shape) from None
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        where = path.strip("`").removeprefix("$").removeprefix(".")
        kind = "unknown_field" if "unknown field" in what else "wrong_type"
        field = ".".join(filter(None, (within, where))) or "body"
        raise Malformed(kind, what[0].lower() + what[1:], field=field, remedy=shape) from None
    except UnicodeDecodeError:
        raise Malformed("not_json", "the body is not UTF-8 text", remedy=shape) from None
    except msgspec.DecodeError as error:
        what = f"the body is not JSON: {error}" if bytes(body).strip() else "the body is empty"
        raise Malformed("not_json", what, remedy=shape) from None


def first_byte(raw: msgspec.Raw | bytes) -> bytes:
    """Return the first byte that says what kind of JSON this is."""
    return bytes(raw).lstrip(b" \t\r\n")[:1]
