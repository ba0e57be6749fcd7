"""Commands that start processes or stand outside a home: they are not verbs of a platform."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring.edges.cli.asking import home_folder
from mainspring.edges.cli.waiting import wait
from mainspring.kernel.errors import InvalidInput, Refused, Unavailable

_EXAMPLES = {"int": "1", "float": "1.0", "bool": "true", "str": '"a"', "time": '"2013-05-03T12:00Z"'}


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


_HERE = "127.0.0.1"
_PORT = Whole(0, 65_535)


def _home_of(context: click.Context, home: str | None) -> Path:
    return home_folder(home or (context.obj or {}).get("home"))


@click.command("up", short_help="Run control, gateways and model processes until stopped")
@click.option("--home", help="the home's folder; made if there is none")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="where predictions are asked")
@click.option("--control-port", type=_PORT, default=8081, show_default=True, help="where the page and the API are")
@click.option("--host", default=_HERE, show_default=True, help="the address of gateways; see the manual on networks")
@click.option("--control-host", default=_HERE, show_default=True, help="the address of the page and the API")
@click.option("--workers", type=Whole(1, 64), default=1, show_default=True, help="gateway processes")
@click.option("--store", help="a PostgreSQL database for the metadata: postgresql://user@host/name")
@click.option("--standby", is_flag=True, help="wait for as long as another has the home, then take over")
@click.pass_context
def up(
    context: click.Context,
    home: str | None,
    port: int,
    control_port: int,
    host: str,
    control_host: str,
    workers: int,
    store: str | None,
    standby: bool,
) -> None:
    """Run control, gateways and model processes of a home until Ctrl-C.

    --store is kept in the home's settings. A new folder with the database of a home becomes another place of that home.
    """
    from mainspring.edges.up import up as run

    folder = _home_of(context, home)
    if store:
        from mainspring.adapters.stores.opening import make_home

        make_home(folder, store)
    run(
        folder,
        host=host,
        port=port,
        control_host=control_host,
        control_port=control_port,
        workers=workers,
        standby=standby,
        say=click.echo,
    )


@click.command("page", short_help="Show the address of the page, with which a person can act on it")
@click.option("--home", help="the home's folder")
@click.pass_context
def page(context: click.Context, home: str | None) -> None:
    """Show the address of the page of a running home. What follows the # lets its reader act.

    A browser sends that part to nobody; the page keeps it until its tab is closed.
    """
    from mainspring.edges.api.address import read_address

    folder = _home_of(context, home)
    found = read_address(folder)
    if found is None:
        raise Unavailable("no control runs", field="home", value=str(folder), remedy="start one with: mainspring up")
    click.echo(f"http://{found.host}:{found.port}/#token={found.page_token}")


@click.command("serve", short_help="Serve the champions of a home, and say how they are asked")
@click.option("--home", help="the home's folder")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="where predictions are asked")
@click.option("--control-port", type=_PORT, default=8081, show_default=True, help="where the page and the API are")
@click.pass_context
def serve(context: click.Context, home: str | None, port: int, control_port: int) -> None:
    """Serve what a home holds until Ctrl-C; a notebook's ms.register is enough, no project is needed."""
    from mainspring.adapters.disk import LocalDisk
    from mainspring.adapters.home import Home
    from mainspring.adapters.routing import RoutingFile
    from mainspring.edges.up import up as run

    folder = _home_of(context, home)
    place = Home(folder)
    if place.simulated:
        raise Refused("plays on a simulated clock, which only a demo turns", field="home", value=str(folder))
    routing = RoutingFile(place.routing, LocalDisk()).read()
    if routing is None or not routing.models:
        remedy = "register one with ms.register, or train one and start its release"
        raise Refused("has no champion to serve", field="home", value=str(folder), remedy=remedy)
    for model in routing.models:
        body = ", ".join(f'"{column.name}": {_EXAMPLES[column.kind]}' for column in model.columns)
        click.echo(f"ask      POST http://127.0.0.1:{port}/predict/{model.name}  {{{body}}}")
    run(folder, port=port, control_port=control_port, say=click.echo)


@click.command("control", short_help="Run control alone: API, page, loop")
@click.option("--home", help="the home's folder")
@click.option("--port", type=_PORT, default=8081, show_default=True, help="where the page and the API are")
@click.option("--host", default=_HERE, show_default=True, help="the address of the page and the API")
@click.option("--standby", is_flag=True, help="wait for as long as another has the home, then take over")
@click.pass_context
def control(context: click.Context, home: str | None, port: int, host: str, standby: bool) -> None:
    """Run control alone, for supervisors of one's own."""
    from mainspring.adapters.home import Home
    from mainspring.edges.control import serve

    serve(Home(_home_of(context, home)), port, host=host, standby=standby)


@click.command("gateway", short_help="Run one gateway alone: answers by the last routing snapshot")
@click.option("--home", help="the home's folder")
@click.option("--port", type=_PORT, default=8080, show_default=True, help="where predictions are asked")
@click.option("--host", default=_HERE, show_default=True, help="its address")
@click.pass_context
def gateway(context: click.Context, home: str | None, port: int, host: str) -> None:
    """Run one gateway alone, for supervisors of one's own."""
    import os
    import sys

    arguments = ["-m", "mainspring.edges.gateway", "--home", str(_home_of(context, home)), "--port", str(port)]
    arguments += ["--host", host]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  (becomes the gateway: signals reach it)


@click.command("restore", short_help="Make a home from a backup, verifying every digest")
@click.argument("backup", type=click.Path(path_type=Path))
@click.option("--home", help="the home's folder, which must not exist yet")
@click.option("--erased", type=click.Path(path_type=Path), help="the file that the setting erased_subjects named")
@click.option("--without-erased-list", is_flag=True, help="restore although the list of who was erased is missing")
@click.pass_context
def restore(
    context: click.Context, backup: Path, home: str | None, erased: Path | None, *, without_erased_list: bool
) -> None:
    """Make a home from a backup; every file's digest is verified before the home stands.

    Who was erased after the backup was made is erased again, by the list of them: where the backup's settings say, or
    where --erased does. Where it is missing nothing is restored, unless --without-erased-list says that this is known.
    """
    from mainspring.adapters.backup import restore as run
    from mainspring.adapters.backup import written_by_both
    from mainspring.adapters.erased import knows_subjects
    from mainspring.adapters.home import Home
    from mainspring.edges.cli.opening import erased_again

    if erased is not None and without_erased_list:
        raise InvalidInput("goes not with --erased", field="without_erased_list", remedy="say one of the two")
    folder = _home_of(context, home)
    made = run(backup.absolute(), folder, erased=erased, without_erased_list=without_erased_list)
    click.echo(f"restored {made.path}: {made.files} files, {made.bytes} bytes, verified")
    for name, place in written_by_both(folder).items():
        click.echo(f"{name} = {place} is where the home of the backup writes, too: change it in settings.toml first")
    again = erased_again(folder)
    if again is not None:
        click.echo(f"erased again: {len(again)} subjects, {sum(one.gone for one in again)} of them gone")
    elif knows_subjects(Home(folder).database):
        click.echo("who was erased after this backup was made is in this home again: there was no list of them")


@click.command("move", short_help="Move a home's metadata, blobs and parts to PostgreSQL and S3")
@click.option("--home", help="the home's folder")
@click.option("--store", help="an empty PostgreSQL database: postgresql://user@host/name")
@click.option("--blobs", help="a place in a bucket: s3://bucket/prefix")
@click.option("--tables", help="a place in a bucket, which may be the same")
@click.pass_context
def move(context: click.Context, home: str | None, store: str | None, blobs: str | None, tables: str | None) -> None:
    """Copy what a home keeps in its folder to servers, verify it, and only then switch the home's settings.

    The home must not be up. Interrupted, the same command ends the work.
    """
    from mainspring.adapters.home import Home, HomeLock
    from mainspring.adapters.moving import move_files, move_store
    from mainspring.edges.person import local_actor

    place = Home(_home_of(context, home))
    if not (store or blobs or tables):
        raise InvalidInput("nothing is named to be moved", field="move", remedy="say --store, --blobs or --tables")
    with HomeLock(place.root, "mainspring move"):
        if blobs or tables:
            files = move_files(place, blobs=blobs or "", tables=tables or "")
            click.echo(f"moved {files.blobs} blobs and {files.parts} parts; the folder keeps copies as a cache")
        if store:
            rows = move_store(place, store, by=local_actor(None))
            click.echo(f"moved {rows.rows} rows; the ledger's {rows.entries} entries are verified")


@click.command("init", short_help="Make a small project of your own that runs at once")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="the project's name; the folder's if not said")
@click.option("--kind", type=click.Choice(["binary", "regression", "multiclass"]), default="binary", show_default=True)
def init(path: Path, name: str | None, kind: str) -> None:
    """Make a small project of your own: data, model, trainer and tests that run at once."""
    from mainspring.project.template import write_template

    for written in write_template(path.absolute(), name or path.absolute().name, kind):
        click.echo(written)
    click.echo(f"next: mainspring apply {path}")


@click.command("demo", short_help="Play flights of 2013 from data to a champion that renews itself")
@click.option("--home", help="where to play it; resumed if it was interrupted [./demo-home]")
@click.option("--until", default="june", show_default=True, help="last month to play")
@click.option("--keep", is_flag=True, help="stay up afterwards for looking around")
@click.option("--report", type=click.Path(path_type=Path), help="write the numbers as JSON")
@click.pass_context
def demo(context: click.Context, home: str | None, until: str, keep: bool, report: Path | None) -> None:
    """Play flights of 2013 on a simulated clock; everything else is real: files, processes, HTTP."""
    from mainspring.edges.demo import run

    run(home or (context.obj or {}).get("home") or "demo-home", until=until, keep=keep, report=report)


COMMANDS: tuple[tuple[str, str, click.Command], ...] = (
    ("init", "Project", init),
    ("release wait", "Release", wait),
    ("up", "Serving", up),
    ("serve", "Serving", serve),
    ("page", "Serving", page),
    ("control", "Serving", control),
    ("gateway", "Serving", gateway),
    ("restore", "Home", restore),
    ("move", "Home", move),
    ("demo", "Demo", demo),
)
