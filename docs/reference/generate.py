"""Write the reference of commands and of the HTTP interface from the table of verbs.

Run ``python docs/reference/generate.py``; with ``--check`` it only tells whether the pages are up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from mainspring.edges.cli.processes import COMMANDS
from mainspring.edges.verbs import GROUPS, VERBS
from mainspring.edges.verbs.verb import Verb

HERE = Path(__file__).parent
NOTE = "<!-- written by docs/reference/generate.py from the table of verbs; do not edit -->"
COMMON = """\
Every verb takes `--home FOLDER` (else `MAINSPRING_HOME`, else `./mainspring-home`) and `--json`; one that changes state
takes `--by NAME` (else `MAINSPRING_ACTOR`), what the caller says of itself beside the system's user, whom the ledger names
all the same. A key in `MAINSPRING_KEY` asks control in its holder's name. When control runs, the command asks it; else it takes
the home's lock and opens the home itself: the same verbs, the same results. Errors are one sentence on the standard
error; the exit code is 1, 2 for a wrong use, or 78 where `up` cannot work by its settings; `release wait` has two more of its own."""
DOOR = """\
Control answers on loopback, or where `--control-host` says: then by
[keys](../howto/run-it-on-a-network.md) and encrypted. Address and token stand in `run/control.json` of the home, readable by its owner; the
token is new at each start, and so is the page's own, which opens no verb of the owner. Every verb needs `Authorization: Bearer TOKEN`. A `POST` also needs
`X-Mainspring-Request: 1`, `X-Mainspring-Actor: NAME` (percent-encoded) and a JSON object as its body; a `GET` takes its
arguments from the query. Errors are `{code, message, field, remedy}`; what is no HTTP, such as a target with signs that none
may hold (`/models/<x>`), is refused by the server in front with an empty 400, before anything here is asked. It takes lines that
end in a bare line feed. The full description is at
`GET /api/openapi.json`. [The page](../howto/read-the-page.md) at `/` and most of what it leads to is
read without a token on this machine, as is `GET /live`; what is ordered on it needs one, and so do pages of people's data."""
LIMITS_NOTE = "<!-- written by docs/reference/generate.py from mainspring.serving.limits; do not edit -->"
LIMITS = """\
Each can be set under `[limits]` in the home's `settings.toml`, or by a variable such as `MAINSPRING_LIMITS_ROWS`;
`mainspring config` shows what holds and where it came from. A gateway takes up what changed when it starts again. What is
refused for the moment carries `Retry-After`."""
FIXED = """\
These are not set but follow from what a request is. A body is a JSON object or a list of them whose values are plain, so it
nests two deep at most; a protocol that nests deeper is read by a decoder of its own shape. Compressed bodies are refused
unread (415). A request has the model's deadline; `x-mainspring-deadline-ms` may shorten it and never lengthens it; work that
could only be late is refused before it begins, and half of the deadline may go by in a model's queue. Heads that leave a
body's length unclear are refused, a length beside chunks among them, and the connection is closed."""
METRICS_NOTE = "<!-- written by docs/reference/generate.py from mainspring.edges.gateway.metrics; do not edit -->"
METRICS_TEXT = """\
`GET /metrics` tells them, as Prometheus text or as OpenMetrics by what the scraper accepts. Beyond this machine it needs a
key with the role `read`. Every series also has the label `worker`: workers share one port, so that a scrape reaches one of
them, which tells what the others have left in `run/` too, at most two seconds old. Series of a version live as long as the
gateway holds it, so that their number is bounded by what is loaded."""
WORDS = {
    "read": "changes nothing",
    "operate": "changes state",
    "approve": "signs a release off",
    "owner": "changes state or names a path on this machine",
}


def commands() -> str:
    """Return the page of commands."""
    parts = [
        NOTE,
        "# Commands",
        COMMON,
    ]
    for group in (*GROUPS, "Demo"):
        parts.append(f"## {group}")
        parts += [_command(verb) for verb in VERBS if verb.group == group]
        for name, owner, command in COMMANDS:
            if owner == group:
                parts.append(_process(name, command))
    return "\n\n".join(parts) + "\n"


def _process(name: str, command: click.Command) -> str:
    """Describe a command that is no verb, from its own options."""
    words = [_word(one) for one in command.params if isinstance(one, click.Argument)]
    lines = [f"### `{' '.join(['mainspring', name, *words])}`", "", f"{command.short_help}."]
    rows = [f"- `{one.opts[0]}`: {_about(one)}" for one in command.params if isinstance(one, click.Option)]
    return "\n".join(lines + (["", *rows] if rows else []))


def _word(argument: click.Argument) -> str:
    shown = (argument.name or "").upper()
    return shown if argument.required else f"[{shown}]"


def _about(option: click.Option) -> str:
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    said = option.help or ", ".join(str(one) for one in choices)
    return f"{said} (default {option.default!r})" if option.show_default else said


def _command(verb: Verb) -> str:
    fields = _fields(verb)
    required = {field.encode_name for field in fields if field.required}
    words = [name.upper() if name in required else f"[{name.upper()}]" for name in verb.positional]
    lines = [f"### `{' '.join(['mainspring', verb.name, *words])}`", "", f"{verb.summary}."]
    rows = [_argument(verb, field) for field in fields]
    return "\n".join(lines + (["", *rows] if rows else []))


def _argument(verb: Verb, field: msgspec.inspect.Field) -> str:
    name = (
        field.encode_name.upper()
        if field.encode_name in verb.positional
        else f"--{field.encode_name.replace('_', '-')}"
    )
    shown = field.default not in (None, "", False, msgspec.NODEFAULT)
    default = f" (default {field.default!r})" if shown else " (required)" if field.required else ""
    return f"- `{name}`: {_description(field)}{default}"


def http() -> str:
    """Return the page of the HTTP interface."""
    rows = [f"| `{'POST' if v.mutates else 'GET'} {v.path}` | {v.summary} | {WORDS[v.permission]} |" for v in VERBS]
    return "\n".join(
        [
            NOTE,
            "",
            "# HTTP interface of control",
            "",
            DOOR,
            "",
            "| route | what it does | |",
            "| --- | --- | --- |",
            *rows,
            "",
            "| code | status |",
            "| --- | --- |",
            *(f"| `{code}` | {status} |" for code, status in _statuses().items()),
            "",
        ]
    )


def limits() -> str:
    """Return the page of limits."""
    from mainspring.serving.limits import Limits

    found = msgspec.inspect.type_info(Limits)
    assert isinstance(found, msgspec.inspect.StructType)
    rows = [f"| `{field.name}` | {field.default:,} | {_description(field)} |" for field in found.fields]
    return (
        "\n\n".join([LIMITS_NOTE, "# Limits of a gateway worker", LIMITS, _table("limit", "default", rows), FIXED])
        + "\n"
    )


def metrics() -> str:
    """Return the page of metrics."""
    from mainspring.edges.gateway.metrics import BOUNDS_S, METRICS

    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.about} |"
        for one in METRICS
    ]
    table = "\n".join(["| metric | kind | labels | |", "| --- | --- | --- | --- |", *rows])
    bounds = f"Histograms have the bounds {', '.join(str(bound) for bound in BOUNDS_S)} seconds."
    return "\n\n".join([METRICS_NOTE, "# Metrics of gateways", METRICS_TEXT, table, bounds]) + "\n"


def _table(name: str, value: str, rows: list[str]) -> str:
    return "\n".join([f"| {name} | {value} | |", "| --- | ---: | --- |", *rows])


def _statuses() -> dict[str, int]:
    from mainspring.edges.api.errors import STATUS

    return {"refused (no valid token)": 401, **STATUS, "fault (its id is in control's log)": 500}


def _fields(verb: Verb) -> tuple[msgspec.inspect.Field, ...]:
    found = msgspec.inspect.type_info(verb.arguments)
    return found.fields if isinstance(found, msgspec.inspect.StructType) else ()


def _description(field: msgspec.inspect.Field) -> str:
    extra = field.type.extra_json_schema if isinstance(field.type, msgspec.inspect.Metadata) else None
    return str((extra or {}).get("description", ""))


PAGES = {"commands.md": commands, "http.md": http, "limits.md": limits, "metrics.md": metrics}


def main() -> int:
    """Write the pages, or check them."""
    stale = [name for name, page in PAGES.items() if not _written(HERE / name, page())]
    if "--check" in sys.argv:
        if stale:
            sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/reference/generate.py\n")
        return 1 if stale else 0
    for name in stale:
        (HERE / name).write_text(PAGES[name]())
    return 0


def _written(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
