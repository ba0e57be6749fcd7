"""Wait for a release from a script: what it does is told line by line, and the exit code says how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mainspring.edges.api.address import read_address
from mainspring.edges.cli.asking import ask, home_folder
from mainspring.edges.verbs import find
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import Conflict, Unavailable

NOT_PROMOTED, NOT_OVER = 3, 4
_FIRST_S, _LONGEST_S = 0.2, 10.0
_AWAY_S = 60.0  # so long may a control that was there be away: it is started again


@click.command("wait", short_help="Wait until a release is over; the exit code says how it ended")
@click.argument("release")
@click.option("--at-most", default="1h", show_default=True, help="for how long, such as 90s or 14d")
@click.option("--home", help="the home's folder")
@click.pass_context
def wait(context: click.Context, release: str, at_most: str, home: str | None) -> None:
    """Wait until a release is over, by its id or its model's name, and tell what it does meanwhile.

    Ends with 0 where it was promoted, 3 where it was not, and 4 where it is not over in that time.
    """
    folder = home_folder(home or (context.obj or {}).get("home"))
    until_s = time.monotonic() + parse_duration(at_most, field="at-most").total_seconds()
    found: dict[str, Any] = ask(find("release show"), {"release": release}, home=folder, by=None)
    told, there_s = "", None
    for pause_s in _pauses():
        said = _said(found)
        if said != told:
            click.echo(f"{found['id']}  {said}")
            told = said
        if found["ended_us"] is not None:
            context.exit(0 if found["status"] == "promoted" else NOT_PROMOTED)
        now_s = time.monotonic()
        if now_s >= until_s:
            context.exit(NOT_OVER)
        if read_address(folder) is not None:
            there_s = now_s
        elif there_s is None or now_s - there_s > _AWAY_S:
            remedy = "start it with: mainspring up"
            raise Unavailable("does not run, so nothing would be decided", field="control", remedy=remedy)
        time.sleep(min(pause_s, until_s - now_s))
        found = _again(found, folder)


def _again(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the release as it is now; as it was where control is silent or away for a moment."""
    if read_address(folder) is None:
        return found
    try:
        return dict(ask(find("release show"), {"release": found["id"]}, home=folder, by=None))
    except (Conflict, Unavailable):  # it ends or begins just now
        return found


def _pauses() -> Iterator[float]:
    pause_s = _FIRST_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_S)


def _said(found: dict[str, Any]) -> str:
    decision = found.get("decision") or {}
    sentence = decision.get("sentence") or "it has just begun"
    if found["ended_us"] is not None:
        return f"{found['status'].replace('_', ' ')}: {sentence}"
    share = f" at {100 * found['share']:.3g} %" if found["share"] else ""
    return f"{found['status']} in {found['stage']}{share}: {sentence}"
