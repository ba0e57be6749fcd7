"""Verbs of the home as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from mainspring.edges.verbs.verb import Nothing, Verb, machine_path

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to."""

    to: Annotated[str, machine_path("a folder that does not exist yet")]


def config(platform: Platform, asked: Nothing, by: str) -> Any:
    home = platform.home
    inside = {"store": f"sqlite:///{home.database}", "blobs": str(home.blobs), "tables": str(home.parts)}
    settings = [
        {"setting": one.name, "value": one.value or inside.get(one.name, one.value), "from": one.origin}
        for one in platform.settings_shown
    ]
    return [
        *settings,
        {"setting": "home", "value": str(home.root), "from": "--home, MAINSPRING_HOME or ./mainspring-home"},
        {"setting": "format", "value": home.file.format, "from": "home.json"},
        {"setting": "clock", "value": home.file.clock, "from": "home.json"},
        {"setting": "latest", "value": f"lmdb://{home.latest}", "from": "default"},
    ]


def backup(platform: Platform, asked: Backup, by: str) -> Any:
    from mainspring.adapters.backup import backup as make

    to = Path(asked.to).resolve()
    return make(platform.home.root, to, platform.store, blobs=platform.blobs, tables=platform.tables)


def loop_step(platform: Platform, asked: Nothing, by: str) -> Any:
    return platform.loop.step()


def loop_ingest(platform: Platform, asked: Nothing, by: str) -> Any:
    return {"records": platform.loop.ingest()}


VERBS = (
    Verb(
        name="config",
        group="Home",
        summary="Show each setting and where it came from",
        call=config,
        columns=("setting", "value", "from"),
    ),
    Verb(
        name="loop step",
        group="Home",
        summary="Look once at everything and do what is due",
        call=loop_step,
        permission="operate",
        long_running=True,
    ),
    Verb(
        name="loop ingest",
        group="Home",
        summary="Take in what gateways have spooled, and nothing else",
        call=loop_ingest,
        permission="operate",
        long_running=True,
    ),
    Verb(
        name="backup",
        group="Home",
        summary="Copy the whole home, consistent and verified, while it runs",
        arguments=Backup,
        call=backup,
        permission="owner",
        positional=("to",),
        long_running=True,
    ),
)
