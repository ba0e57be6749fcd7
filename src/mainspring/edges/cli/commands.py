"""Commands, derived from the table of verbs."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec

from mainspring import __version__
from mainspring.edges.cli.asking import ask, home_folder
from mainspring.edges.cli.contents import Contents, Subject
from mainspring.edges.cli.faults import debugging, told
from mainspring.edges.verbs import GROUPS, VERBS
from mainspring.edges.verbs.verb import Verb, is_path
from mainspring.kernel.errors import InvalidInput, MainspringError, Misconfigured

_MISCONFIGURED = 78  # as sysexits has it; a supervisor need not try again


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code: 0, 1 for an error, 2 for a wrong use, 78 for wrong settings.

    Others are a command's own answer, such as that of ``release wait``.
    """
    as_json, debug = "--json" in arguments, debugging(arguments)
    arguments = [word for word in arguments if word != "--debug"]
    try:
        ended = command_line().main(args=arguments, prog_name="mainspring", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return _fail({"code": "interrupted", "message": "interrupted"}, as_json, 1)
    except click.exceptions.NoArgsIsHelpError as help_asked:
        sys.stdout.write(help_asked.format_message() + "\n")
        return 2
    except click.ClickException as error:
        return _fail({"code": "usage", "message": _sentence(error)}, as_json, error.exit_code)
    except MainspringError as error:
        return _fail(error.as_dict(), as_json, _MISCONFIGURED if isinstance(error, Misconfigured) else 1)
    except BrokenPipeError:
        return 1
    except Exception as error:
        if debug:
            raise
        return _fail({"code": "fault", "message": told(error, arguments, _named_home(arguments))}, as_json, 1)
    return ended if isinstance(ended, int) else 0  # what a command exited with is handed back here, not raised


def _named_home(arguments: list[str]) -> Path | None:
    """Return the home that was asked for, if there is one."""
    after = [following for word, following in pairwise(arguments) if word == "--home"]
    folder = home_folder(after[-1] if after else None)
    return folder if (folder / "home.json").is_file() else None


def _sentence(error: click.ClickException) -> str:
    text = error.format_message()
    text = (text[:1].lower() + text[1:]).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{text}; see: {context.command_path} --help" if context is not None and "; did you" not in text else text


def _fail(body: dict[str, Any], as_json: bool, code: int) -> int:
    text = msgspec.json.encode(body).decode() if as_json else f"error: {body['message']}"
    sys.stderr.write(text + "\n")
    return code


def command_line() -> Contents:
    """Return the whole command line."""
    from mainspring.edges.cli.processes import COMMANDS

    contents = Contents(
        name="mainspring",
        groups=(*GROUPS, "Demo"),
        help="Keep machine-learning models healthy in production: releases that decide with a stated "
        "error, and can be explained to the last prediction.",
        params=[
            click.Option(["--home"], help="the home's folder [MAINSPRING_HOME, else ./mainspring-home]"),
            click.Option(["--by"], help="who asks [MAINSPRING_ACTOR, else the user's name]"),
            click.Option(["--debug"], is_flag=True, expose_value=False, help="show tracebacks [MAINSPRING_DEBUG=1]"),
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_version,
                help="show the version",
            ),
        ],
        callback=_remember,
    )
    for verb in VERBS:
        contents.add(verb.name, verb.group, _command(verb))
    for name, group, command in COMMANDS:
        contents.add(name, group, command)
    return contents


def _show_version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"mainspring {__version__}")
        context.exit()


@click.pass_context
def _remember(context: click.Context, home: str | None, by: str | None) -> None:
    context.obj = {"home": home, "by": by}


def _command(verb: Verb) -> click.Command:
    parameters = [_parameter(verb, field) for field in _fields(verb)]
    parameters.sort(
        key=lambda found: verb.positional.index(found.name or "") if isinstance(found, click.Argument) else 99
    )
    common: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="give everything, as JSON"),
        click.Option(["--home", "home"], help="the home's folder"),
    ]
    if verb.mutates:
        common.append(click.Option(["--by", "said_by"], help="who asks"))
    return Subject(
        name=verb.name.split()[-1],
        short_help=verb.summary,
        help=verb.summary + ".",
        about=[
            (field.encode_name, _description(field)) for field in _fields(verb) if field.encode_name in verb.positional
        ],
        params=[*parameters, *common],
        callback=_callback(verb),
    )


def _callback(verb: Verb) -> Any:
    @click.pass_context
    def call(
        context: click.Context, /, as_json: bool, home: str | None, said_by: str | None = None, **given: Any
    ) -> None:
        remembered = context.obj or {}
        values = {name: value for name, value in given.items() if value is not None}
        _ask_reason(verb, values)
        try:
            verb.read(values)
        except InvalidInput as error:
            raise click.UsageError(_usage(verb, error, values), context) from None
        folder = home_folder(home or remembered.get("home"))
        result = ask(verb, values, home=folder, by=said_by or remembered.get("by"))
        from mainspring.edges.cli.render import show

        show(verb, result, as_json=as_json)

    return call


def _usage(verb: Verb, error: InvalidInput, values: dict[str, Any]) -> str:
    """Return the sentence with the way in which this command takes the argument; the first word that lacks is named."""
    if error.what != "is missing" or not error.field or error.field in verb.positional:
        return error.sentence()
    required = {field.encode_name for field in _fields(verb) if field.required}
    for name in verb.positional:
        if name in required and name not in values:
            return f"{name}: is missing; give it a value"
    return f"{error.field}: is missing; give it with --{error.field.replace('_', '-')}"


def _ask_reason(verb: Verb, values: dict[str, Any]) -> None:
    required = any(field.encode_name == "reason" and field.required for field in _fields(verb))
    if required and not values.get("reason") and sys.stdin.isatty():
        values["reason"] = click.prompt("Reason", err=True)


def _fields(verb: Verb) -> tuple[msgspec.inspect.Field, ...]:
    found = msgspec.inspect.type_info(verb.arguments)
    assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101  (arguments are Structs by the table's type)
    return found.fields


def _description(field: msgspec.inspect.Field) -> str:
    extra = field.type.extra_json_schema if isinstance(field.type, msgspec.inspect.Metadata) else None
    return str((extra or {}).get("description", ""))


def _parameter(verb: Verb, field: msgspec.inspect.Field) -> click.Parameter:
    default = None if field.required or field.default in (None, "", b"", False) else field.default
    kind, is_flag = _kind(field)
    if field.encode_name in verb.positional:
        return click.Argument([field.encode_name], required=False, metavar=_metavar(field), type=kind, default=default)
    shown = " [required]" if field.required else f" [{default}]" if default is not None else ""
    return click.Option(
        ["--" + field.encode_name.replace("_", "-"), field.encode_name],
        is_flag=is_flag,
        type=None if is_flag else kind,
        default=default,
        help=_description(field) + shown,
    )


def _metavar(field: msgspec.inspect.Field) -> str:
    return field.encode_name.upper() if field.required else f"[{field.encode_name.upper()}]"


def _kind(field: msgspec.inspect.Field) -> tuple[click.ParamType[Any], bool]:
    inner = field.type.type if isinstance(field.type, msgspec.inspect.Metadata) else field.type
    if isinstance(inner, msgspec.inspect.UnionType):
        inner = next(kind for kind in inner.types if not isinstance(kind, msgspec.inspect.NoneType))
    match inner:
        case msgspec.inspect.BoolType():
            return click.BOOL, True
        case msgspec.inspect.IntType():
            return click.INT, False
        case msgspec.inspect.FloatType():
            return click.FLOAT, False
        case msgspec.inspect.LiteralType():
            return click.Choice([str(value) for value in inner.values]), False
        case msgspec.inspect.BytesType():
            return FileBytes(), False
    return (AbsolutePath() if is_path(field) else click.STRING), False


class FileBytes(click.ParamType[bytes]):
    """A file whose bytes are sent: what is asked never names a place on the other side."""

    name = "file"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return Path(value).read_bytes()
        except OSError as error:
            self.fail(f"cannot be read: {error.strerror} (got {str(value)!r})", parameter, context)


class AbsolutePath(click.ParamType[str]):
    """A path, made absolute from where the command was typed."""

    name = "path"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        return str(Path(value).absolute())
