"""The home at a glance: what a person on call needs in some ten lines, what to look at first."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from mainspring.edges.verbs.serving import process_state
from mainspring.edges.verbs.standing import said_of, troubles
from mainspring.edges.verbs.verb import Nothing, Verb
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.loop.act import Acknowledged
    from mainspring.monitoring.alarms import Alarm
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow
    from mainspring.serving.routing import Routing

_LITTLE_SHARE, _LITTLE_BYTES = 0.05, 1 << 30  # of a disk: below both, or below a tenth of the latter, it is nearly full
_MANY_BYTES = 64 << 20  # that wait to be read
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def status(platform: Platform, asked: Nothing, by: str) -> Any:
    from mainspring.edges.api.address import read_address
    from mainspring.ledger.queries import newest_head

    home, counts, alarms = platform.home, platform.log.counts(), platform.monitoring.alarms()
    with platform.store.read() as connection:
        head = newest_head(connection)
    address, routing, said = read_address(home.root), platform.routing.read(), platform.acknowledged()
    disk = shutil.disk_usage(home.root)
    models = [_model(platform, row, alarms) for row in platform.registry.models()]
    return {
        "home": str(home.root),
        "id": home.file.id,
        "now_us": platform.clock.now_us(),
        "simulated": home.simulated,
        "look_at": [
            *([] if address else ["control does not run"]),
            *troubles(home.run),
            *_gateway_troubles(platform, routing, said),
            *(
                f"{one['model']}: {one['served']}"
                for one in models
                if said.generation and "its process" in one["served"]
            ),
            *([f"{_bytes(counts['spool_lag_bytes'])} wait to be read"] if _lags(counts) else []),
            *(
                [f"the disk is nearly full: {_bytes(disk.free)} are free"]
                if _nearly_full(disk.free, disk.total)
                else []
            ),
            *([f"{_count(len(alarms), 'alarm')} {'is' if len(alarms) == 1 else 'are'} open"] if alarms else []),
        ]
        or ["nothing: all is well"],
        "control": f"runs as process {address.process}" if address else _AWAY,
        "gateways": _gateways(routing, said),
        "processes": said_of(home.run),
        "log": counts,
        "records": _records(counts),
        "disk": f"{_bytes(disk.free)} free of {_bytes(disk.total)}",
        "ledger": _count(head.seq, "entry", "entries"),
        "alarms": len(alarms),
        "models": models,
    }


_AWAY = "does not run: nothing is read, decided or promoted; gateways answer as before (start it: mainspring up)"


def _gateway_troubles(platform: Platform, routing: Routing | None, said: Acknowledged) -> list[str]:
    if routing is None or not routing.models:
        return []
    if said.generation is None:
        return ["no gateway answers"]
    behind = [] if said.generation >= routing.generation else ["a gateway answers by an older generation"]
    return [*behind, *(f"a gateway took out {_named(platform, id)}: {why}" for id, why in said.disabled.items())]


def _named(platform: Platform, version: str) -> str:
    from mainspring.kernel.errors import NotFound

    try:
        found = platform.registry.version(version)
    except NotFound:
        return version
    return f"version {found.number} of {platform.registry.model(None, found.model).name}"


def _gateways(routing: Routing | None, said: Acknowledged) -> str:
    if routing is None:
        return "nothing was published yet for gateways to answer by"
    if said.generation is None:
        return f"none answers; generation {routing.generation} is published"
    taken = f", {_count(len(said.disabled), 'version')} taken out" if said.disabled else ""
    return f"answer by generation {said.generation} of {routing.generation}{taken}"


def _records(counts: dict[str, int]) -> str:
    outcomes = f"{_count(counts['outcomes'], 'outcome')} ({counts['parked']} for no prediction yet)"
    predictions = _count(counts["predictions"], "prediction")
    fell_back = f", {counts['fallback']} fell back" if counts.get("fallback") else ""
    lag = counts["spool_lag_bytes"]
    return f"{predictions}{fell_back}; {outcomes}; {f'{_bytes(lag)} wait to be read' if lag else 'all is read'}"


def _lags(counts: dict[str, int]) -> bool:
    return counts["spool_lag_bytes"] > _MANY_BYTES


def _nearly_full(free_bytes: int, total_bytes: int) -> bool:
    """Say so only where little is left both of this disk and of any: 1 % of a great one may be plenty.

    >>> _nearly_full(2 << 30, 100 << 30), _nearly_full(500 << 20, 100 << 30), _nearly_full(50 << 20, 1 << 30)
    (False, True, True)
    """
    return free_bytes < _LITTLE_BYTES // 10 or (free_bytes < _LITTLE_BYTES and free_bytes < _LITTLE_SHARE * total_bytes)


def _bytes(count: int) -> str:
    """Return a number of bytes in a unit that a person reads.

    >>> _bytes(0), _bytes(2_500_000), _bytes(12_345_678_901)
    ('0 bytes', '2.5 MB', '12.3 GB')
    """
    size, unit = float(count), 0
    while size >= 1_000 and unit < len(_UNITS) - 1:
        size, unit = size / 1_000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def _model(platform: Platform, row: ModelRow, alarms: list[Alarm]) -> dict[str, Any]:
    champion = platform.registry.alias(row.id, CHAMPION)
    return {
        "project": row.project_name,
        "model": row.name,
        "champion": champion.number if champion else None,
        "since_us": platform.registry.latest_alias_us(row.id, CHAMPION),
        "served": process_state(platform, champion.id) if champion else "has no champion",
        "releases": "; ".join(_release(one) for one in platform.releases.running(row.id)) or _last(platform, row),
        "alarms": "; ".join(f"{one.monitor} {one.subject}: {one.reason}" for one in alarms if one.model == row.id)
        or "none",
    }


def _release(release: Any) -> str:
    several = [one for one in release.contenders if one.status == "running"]
    who = ", ".join(f"v{one.number}" for one in several) or f"v{release.challenger_number}"
    where = "in shadow" if release.stage == "shadow" else f"at {100 * release.share:.3g} %"
    said = release.decision.sentence if release.decision is not None else "it has just begun"
    held = ", held" if release.status == "held" else ""
    return f"{who} {where}{held}: {said}"


def _last(platform: Platform, row: ModelRow) -> str:
    """Return how the last release ended: on call one asks first what was just changed."""
    for one in platform.releases.list(row.id, False, newest=1):
        said = one.decision.sentence if one.decision is not None else one.reason
        return f"none runs; v{one.challenger_number} was {one.status.replace('_', ' ')}: {said}"
    return "none runs"


VERBS = (
    Verb(
        name="status",
        group="Home",
        summary="Show the home at a glance: what to look at first, who answers, what waits, what is being released",
        call=status,
        columns=("home", "look_at", "control", "gateways", "records", "disk", "models"),  # in ten lines; all in JSON
    ),
)
