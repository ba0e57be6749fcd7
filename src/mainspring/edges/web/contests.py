"""Reads what the page shows of several challengers: how each closes in on its limits, and what it earned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mainspring.edges.web import views
from mainspring.edges.web.measured import Look, decisions_of, looks_of, reach_of, read_evidence
from mainspring.edges.web.words import plain_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mainspring.release.engine import Contender, Decision, Seen
    from mainspring.release.evidence.earned import Earned
    from mainspring.release.release import Release

_OUT = "taken out"


def read_contenders(release: Release, now_us: int) -> tuple[views.Contender, ...]:
    """Return the champion and its challengers, each with what was known of it at every decision."""
    if not release.contenders:
        return ()
    shown = [_contender(release, one, tone, now_us) for tone, one in enumerate(release.contenders)]
    reach = reach_of([evidence for one in shown if one.status != _OUT for evidence in one.evidence[:1]])
    return (_champion(release), *(one if one.status == _OUT else _to_scale(one, reach) for one in shown))


def _to_scale(one: views.Contender, reach: float | None) -> views.Contender:
    """Draw all that may still win, or might have, to one scale; what is proven worse would leave no room to them."""
    evidence = tuple(msgspec.structs.replace(evidence, reach=reach) for evidence in one.evidence)
    return msgspec.structs.replace(one, evidence=evidence)


def _champion(release: Release) -> views.Contender:
    rest = 1.0 - sum(one.share for one in release.contenders) if release.stage == "bandit" else None
    earned = [one.earned for one in decisions_of(release) if one.earned is not None]
    name = f"v{release.champion_number}"
    return views.Contender(name, release.champion, rest, "champion", "", champion=True, rewards=_rewards(earned))


def _contender(release: Release, one: Contender, tone: int, now_us: int) -> views.Contender:
    seen = [(decision.at_us, known) for decision in decisions_of(release) if (known := _seen(decision, one.version))]
    looks = [
        Look(at_us, known.evidence.measured, known.evidence.units, known.evidence.immature)
        for at_us, known in seen
        if known.evidence is not None
    ]
    if one.status == "won":  # alone from then on, its numbers stand in the decision itself
        looks += [look for look in looks_of(release) if not looks or look.at_us > looks[-1].at_us]
    latest = one.scores or (looks[-1].measured if looks else ())
    told = [read_evidence(measured, release, looks, now_us=now_us, tone=tone) for measured in latest]
    metrics = {measured.name for measured in latest if measured.role == "metric"}
    return views.Contender(
        name=f"v{one.number}",
        version=one.version,
        share=one.share if release.stage == "bandit" else None,
        status=plain_words(one.status),
        reason=plain_words(one.reason),
        tone=tone,
        evidence=tuple(view for view, measured in zip(told, latest, strict=True) if measured.name in metrics),
        guards=tuple(view for view, measured in zip(told, latest, strict=True) if measured.name not in metrics),
        rewards=_rewards([known.earned for _, known in seen if known.earned is not None]),
        leads=_leads(release, one.version),
    )


def _seen(decision: Decision, version: str) -> Seen | None:
    return next((one for one in decision.seen if one.version == version), None)


def _leads(release: Release, version: str) -> bool:
    """Tell whether this is the one whose numbers stand in the release's own decision, while nobody has won."""
    decision = release.decision
    if release.over or decision is None or len(decision.seen) < 2:
        return False
    seen = _seen(decision, version)
    return seen is not None and seen.evidence is not None and seen.evidence.measured == decision.measured


def _rewards(known: Sequence[Earned]) -> views.Rewards | None:
    """Return the newest of what was known."""
    return next((views.Rewards(one.mean, one.n, one.missing, one.pending) for one in reversed(known)), None)
