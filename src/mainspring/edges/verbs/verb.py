"""What a verb is: the one description from which the command, the HTTP route and OpenAPI derive."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from mainspring.kernel.errors import InvalidInput, nearest

Permission = Literal["read", "operate", "approve", "owner"]
"""``read`` changes nothing; ``operate`` changes state and is recorded with a reason; ``approve`` signs a
release off; ``owner`` also names a path on this machine, so it needs the token that only whoever can read the home
has."""

Group = Literal[
    "Project", "Data", "Training", "Checks", "Registry", "Release", "Serving", "Monitoring", "Ledger", "Keys", "Home"
]


def machine_path(description: str) -> msgspec.Meta:
    """Describe an argument that is a path on this machine; the command line makes it absolute."""
    return msgspec.Meta(description=description, extra_json_schema={"format": "path"})


def is_path(field: msgspec.inspect.Field) -> bool:
    """Tell whether an argument is a path on this machine."""
    extra = field.type.extra_json_schema if isinstance(field.type, msgspec.inspect.Metadata) else None
    return (extra or {}).get("format") == "path"


def _must_be_a_path(field: str, value: str | None) -> None:
    """Refuse what no file can be called, and what would be waited for; the rest is for the verb to say."""
    if value is None:
        return
    remedy = "name a file or folder of this machine"
    try:
        mode = os.stat(value).st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError):  # too long, a circle of links, a zero byte
        raise InvalidInput("is not a path", field=field, value=value, remedy=remedy) from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InvalidInput("is neither a file nor a folder", field=field, value=value, remedy=remedy)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


Why = Annotated[str, msgspec.Meta(description="why, in a few words; kept in the ledger")]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What everybody is asked who decides what answers, who may ask, or what is kept: why; the ledger keeps it."""

    reason: Why


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What makes something new, or does now what the loop does by itself: the ledger keeps why, if that is said.

    What neither decides nor makes anything that stays (a check, a batch of scores, a turn of the loop) is not asked.
    """

    reason: Why = "asked for by hand"


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be asked of a platform.

    ``positional`` are the arguments that the command line takes without an option's name, in this order. ``columns``
    are those that a list shows to people, in this order; ``--json`` and HTTP give everything.
    """

    name: str
    group: Group
    summary: str
    call: Callable[[Any, Any, str], Any]
    arguments: type[msgspec.Struct] = Nothing
    permission: Permission = "read"
    positional: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    limit_bytes: int = 64 * 1024
    long_running: bool = False

    @property
    def mutates(self) -> bool:
        return self.permission != "read"

    @property
    def path(self) -> str:
        """Return the HTTP path: ``release start`` is ``/api/release/start``."""
        return "/api/" + self.name.replace(" ", "/")

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the names of the arguments that are paths on this machine."""
        found = msgspec.inspect.type_info(self.arguments)
        fields = found.fields if isinstance(found, msgspec.inspect.StructType) else ()
        return tuple(field.encode_name for field in fields if is_path(field))

    def read(self, values: dict[str, Any], *, strict: bool = True) -> Any:
        """Return ``values`` as this verb's arguments; unknown, missing and mistyped ones are refused by name."""
        try:
            asked = msgspec.convert(values, self.arguments, strict=strict)
        except msgspec.ValidationError as error:
            raise argument_fault(error, values, self.arguments) from None
        for field in self.paths:
            _must_be_a_path(field, getattr(asked, field))
        if isinstance(asked, Change | Work) and not asked.reason.strip():
            raise InvalidInput("is empty", field="reason", remedy="say why in a few words; the ledger keeps it")
        return asked


def argument_fault(
    error: msgspec.ValidationError, values: dict[str, Any], arguments: type[msgspec.Struct]
) -> InvalidInput:
    """Return a decoding error as one sentence with the argument's name and the nearest right word."""
    from mainspring.kernel.misfit import misfit

    text = str(error)
    known = arguments.__struct_encode_fields__
    if text.startswith("Object contains unknown field"):
        word = text.split("`")[1]
        return InvalidInput("there is no such argument", field=word, remedy=nearest(word, known))
    if text.startswith("Object missing required field"):
        return InvalidInput("is missing", field=text.split("`")[1], remedy="give it a value")
    return misfit(error, values, arguments)


def plain(result: Any) -> Any:
    """Return a result as JSON values, the same whether it was asked for over HTTP or in this process."""
    return msgspec.json.decode(encode(result))


def encode(result: Any) -> bytes:
    """Return a result as JSON."""
    return msgspec.json.encode(result, enc_hook=_foreign)


def _foreign(value: Any) -> Any:
    if hasattr(value, "to_dicts"):  # a Polars frame
        return value.to_dicts()
    if hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    if hasattr(value, "as_posix"):
        return str(value)
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")
