"""Reads what the page shows of rehearsals, and which of them a release had before it began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainspring.edges.web import views
from mainspring.edges.web.words import day, how_many, number, plain_words, share
from mainspring.kernel.duration import DAY_US

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow
    from mainspring.release.rehearsal.report import Chance, Rehearsal, Spread
    from mainspring.release.release import Release

_MOST = 8
_SEARCHED = 200
_ENDED = {"promoted": "promoted", "rolled_back": "rolled back", "returned": "no decision", "held": "no decision"}


def read_rehearsals(platform: Platform, model_id: str) -> tuple[views.Rehearsal, ...]:
    """Return the newest rehearsals of a model."""
    return tuple(_rehearsal(one) for one in platform.rehearsals.kept.list(model_id, newest=_MOST))


def read_rehearsal(platform: Platform, id: str) -> tuple[ModelRow, views.Rehearsal]:
    """Return one rehearsal and its model."""
    found = platform.rehearsals.kept.get(id)
    return platform.registry.model(None, found.model), _rehearsal(found)


def rehearsal_of(platform: Platform, release: Release) -> views.Rehearsal | None:
    """Return the newest rehearsal of a release's challenger before it began: one by its policy, if there is any."""
    mine = sorted({one.number for one in release.contenders} or {release.challenger_number})
    known = [
        one
        for one in platform.rehearsals.kept.list(release.model, newest=_SEARCHED)
        if sorted(one.challengers) == mine and one.at_us <= release.started_us and not one.injected
    ]
    found = next((one for one in known if one.policy_digest == release.policy_digest), next(iter(known), None))
    if found is None:
        return None
    took_us = release.ended_us - release.started_us if release.ended_us is not None else None
    after = f" after {number(round(took_us / DAY_US, 1))} days" if took_us is not None else ""
    ended = _ENDED.get(release.status, "ended by hand")
    happened = f"it was {ended}{after}" if ended != "no decision" else f"there was no decision{after}"
    return _rehearsal(
        found,
        happened=happened if release.over else "it still runs",
        ended=ended if release.over else "",
        days=took_us / DAY_US if took_us is not None else None,
        same=found.policy_digest == release.policy_digest,
    )


def _rehearsal(
    one: Rehearsal, *, happened: str = "", ended: str = "", days: float | None = None, same: bool = True
) -> views.Rehearsal:
    return views.Rehearsal(
        id=one.id,
        at_us=one.at_us,
        by=one.by,
        reason=one.reason,
        challenger=", ".join(f"v{number}" for number in one.challengers),
        champion=f"v{one.champion}",
        policy=plain_words(one.policy),
        chances=(
            _chance("promoted", one.promotion),
            _chance("no decision", one.inconclusive),
            _chance("rolled back", one.rollback),
        ),
        given=_given(one),
        injected=one.injected,
        assumed=one.assumed,
        spreads=_spreads(one, days),
        reasons={plain_words(name): times for name, times in one.reasons.items()},
        happened=happened,
        ended=ended,
        same_policy=same,
    )


def _chance(name: str, chance: Chance) -> views.Chance:
    return views.Chance(name, chance.share, chance.low, chance.high)


def _given(one: Rehearsal) -> str:
    """Return of which rows all of it is said; it holds for no others."""
    asked = f"{how_many(one.rows, 'row')} of {day(one.from_us)} to {day(one.until_us)}"
    known = f"{share(one.labelled_rows / one.rows) if one.rows else 'none'} with an outcome"
    anew = f", {number(one.recomputed_rows)} answers worked out anew" if one.recomputed_rows else ""
    left = f", {number(one.left_out_rows)} left out" if one.left_out_rows else ""
    return f"given {asked}, {known}{anew}{left}; {how_many(one.plays, 'play')}"


def _spreads(one: Rehearsal, days: float | None) -> tuple[views.Spread, ...]:
    decided = one.decided_days or one.days
    found = [
        _spread("days to a decision" if one.decided_days else "days to the end", decided, days) if decided else None,
        _spread("callers that meet a challenger", one.exposed_units, None),
    ]
    return tuple(one for one in found if one is not None)


def _spread(name: str, spread: Spread, happened: float | None) -> views.Spread:
    return views.Spread(name, spread.p10.value, spread.median.value, spread.p90.value, spread.most, happened)
