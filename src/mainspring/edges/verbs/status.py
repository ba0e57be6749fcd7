"""The home at a glance: what a person on call needs in some ten lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainspring.edges.verbs.serving import process_state
from mainspring.edges.verbs.verb import Nothing, Verb
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.monitoring.alarms import Alarm
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow


def status(platform: Platform, asked: Nothing, by: str) -> Any:
    from mainspring.ledger.queries import newest_head

    home, counts, alarms = platform.home, platform.log.counts(), platform.monitoring.alarms()
    with platform.store.read() as connection:
        head = newest_head(connection)
    return {
        "home": str(home.root),
        "id": home.file.id,
        "now_us": platform.clock.now_us(),
        "simulated": home.simulated,
        "gateways": _gateways(platform),
        "log": counts,
        "records": _records(counts),
        "ledger": _count(head.seq, "entry", "entries"),
        "alarms": len(alarms),
        "models": [_model(platform, row, alarms) for row in platform.registry.models()],
    }


def _gateways(platform: Platform) -> str:
    routing, said = platform.routing.read(), platform.acknowledged()
    if routing is None:
        return "nothing was published yet"
    if said.generation is None:
        return f"none answers; generation {routing.generation} is published"
    taken = f", {len(said.disabled)} versions taken out" if said.disabled else ""
    return f"answer by generation {said.generation} of {routing.generation}{taken}"


def _records(counts: dict[str, int]) -> str:
    outcomes = f"{_count(counts['outcomes'], 'outcome')} ({counts['parked']} for no prediction yet)"
    predictions = _count(counts["predictions"], "prediction")
    fell_back = f", {counts['fallback']} fell back" if counts.get("fallback") else ""
    return f"{predictions}{fell_back}; {outcomes}; {counts['spool_lag_bytes']} bytes wait"


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
        "releases": "; ".join(_release(one) for one in platform.releases.running(row.id)) or "none runs",
        "alarms": "; ".join(f"{one.monitor} {one.subject}: {one.reason}" for one in alarms if one.model == row.id)
        or "none",
    }


def _release(release: Any) -> str:
    where = "in shadow" if release.stage == "shadow" else f"at {100 * release.share:.3g} %"
    said = release.decision.sentence if release.decision is not None else "it has just begun"
    held = ", held" if release.status == "held" else ""
    return f"{release.challenger_number} {where}{held}: {said}"


VERBS = (
    Verb(
        name="status",
        group="Home",
        summary="Show the home at a glance",
        call=status,
        columns=("home", "now_us", "gateways", "records", "ledger", "alarms", "models"),
    ),
)
