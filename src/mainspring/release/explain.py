"""A release told as a person would tell it: what was asked, what was agreed, what was seen, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from mainspring.kernel.clock import from_us
from mainspring.kernel.duration import DAY_US, show_duration
from mainspring.ledger.chain import Entry
from mainspring.release.agreed import differences
from mainspring.release.engine import Decision
from mainspring.release.evidence.asymptotic import FEWEST_UNITS, LARGEST_PART
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.stream import Measured
from mainspring.release.release import Release
from mainspring.release.terms import ANCHOR, QUALITY, Terms

_ESTIMATORS = {
    "paired": "both versions score every row, so each row is compared with itself",
    "drawn": "units are drawn to one version or the other, and each counts with its logged probability",
}
NAMES = {
    "shadow_failed": "failures in shadow",
    "shadow_late": "late answers in shadow",
    "failed": "failures of drawn units",
    "late": "late answers to drawn units",
    "label": "outcomes of drawn units",
    "labelled": "share of units with an outcome",
    "sample_ratio": "units drawn against the stated share",
    "sample_ratio_labelled": "labelled units against the stated share",
}


def explain(release: Release, entries: Iterable[Entry] = ()) -> list[str]:
    """Return a release in sentences, oldest first; ``entries`` are those of the ledger about it."""
    told = [*_asked(release), *_agreed(release), *_steps(release), *_contenders(release), _ends(release)]
    numbers = [str(entry.seq) for entry in entries]
    if numbers:
        told.append(f"The ledger has it in {'entry' if len(numbers) == 1 else 'entries'} {', '.join(numbers)}.")
        told.append(f"mainspring release recompute {release.id} works the numbers out of the log again.")
    return told


def _asked(release: Release) -> Iterator[str]:
    recipe = f" ({release.recipe})" if release.recipe else ""
    yield (
        f"On {_moment(release.started_us)} {release.by or 'somebody'} asked to release {_versions(release)}{recipe} "
        f"of {release.model_name} against champion {release.champion_number}: {release.asked}."
    )
    forecast = release.forecast
    if forecast is not None and forecast.days:
        yield f"A decision was expected after {forecast.days:.3g} days: {forecast.reason}."
    elif forecast is not None:
        yield (
            f"When it would be decided could not be foretold: {forecast.reason}."
            if forecast.days is None
            else (f"It was to begin at once: {forecast.reason}.")
        )


def _versions(release: Release) -> str:
    numbers = [str(one.number) for one in release.contenders] or [str(release.challenger_number)]
    return f"version {numbers[0]}" if len(numbers) == 1 else f"versions {', '.join(numbers[:-1])} and {numbers[-1]}"


def _agreed(release: Release) -> Iterator[str]:
    terms = release.terms
    if terms.strategy in _SEVERAL:
        yield from _SEVERAL[terms.strategy](terms, len(release.contenders))
    else:
        yield from _STRATEGIES.get(terms.strategy, _canary)(terms)
    if terms.approval is not None:
        role = f" with the role {terms.approval.role}" if terms.approval.role else ""
        yield f"Somebody{role} had to sign it off."
    if terms.strategy != "immediate":
        yield f"The time agreed was {_span(terms.deadline_us)}."
    yield from _policies(release)


def _policies(release: Release) -> Iterator[str]:
    """Say which policy held when, where it was changed: what is agreed above is what held last."""
    ran = release.policies
    if len(ran) < 2:
        return
    yield f"Policy {ran[0].digest[:12]} held from the start until {_moment(ran[1].since_us)}."
    changed = list(differences(ran))
    for place, (one, fields) in enumerate(changed):
        later = f"until {_moment(changed[place + 1][0].since_us)}" if place + 1 < len(changed) else "from then on"
        yield (
            f"On {_moment(one.since_us)} {one.by} changed it ({one.reason}): {', '.join(fields)}; "
            f"policy {one.digest[:12]} held {later}."
        )


def _canary(terms: Terms) -> Iterator[str]:
    yield from _needed(terms)
    yield from _guarded(terms)
    if not terms.steps:
        yield f"It scored in shadow for at most {_span(terms.shadow_us)}."
        return
    shares = ", ".join(f"{step:.3g}" for step in terms.steps)
    shadow = f"After its shadow (at most {_span(terms.shadow_us)})"
    yield f"{shadow} it answers shares of {shares} of units, each {_held(terms)}."


def _immediate(terms: Terms) -> Iterator[str]:
    yield "The policy asks for no evidence."


def _blue_green(terms: Terms) -> Iterator[str]:
    yield f"It takes over in one switch, without evidence; the champion is kept warm for {_span(terms.hold_us)}."
    yield from _unbounded(terms)
    yield from _guarded(terms)


def _ab_test(terms: Terms) -> Iterator[str]:
    yield f"It answers a share of {terms.steps[0]:.3g} of units, and what comes of the answers is compared."
    yield from _needed(terms)
    yield from _guarded(terms)
    if terms.precision is not None:
        yield f"It ends once the difference is known to {terms.precision:g} on each side."


def _bandit(terms: Terms, contenders: int) -> Iterator[str]:
    how = terms.allocation
    if how is not None:
        shares = f"{how.algorithm.replace('_', ' ')}, set anew every {_span(how.update_us)}, none below {how.floor:g}"
        who = "One challenger" if contenders == 1 else f"{contenders} challengers"
        yield f"{who} and the champion share the units by what their answers earn ({shares})."
    yield from _needed(terms)
    yield from _guarded(terms)


def _champion_challenger(terms: Terms, contenders: int) -> Iterator[str]:
    if contenders == 1:
        yield "One challenger is compared with the champion on the same rows."
    else:
        yield f"{contenders} challengers are compared with the champion on the same rows; the best one goes on."
    yield from _canary(terms)


_STRATEGIES: dict[str, Callable[[Terms], Iterator[str]]] = {
    "immediate": _immediate,
    "blue_green": _blue_green,
    "ab_test": _ab_test,
}
_SEVERAL: dict[str, Callable[[Terms, int], Iterator[str]]] = {
    "bandit": _bandit,
    "champion_challenger": _champion_challenger,
}


def _needed(terms: Terms) -> Iterator[str]:
    gate = terms.gate(QUALITY)
    metric = terms.loss.metric.replace("_", " ")
    needed = (
        f"It is of the same recipe, so it had to be proven not worse by {terms.margin:g} in {metric}"
        if terms.kind == "refresh" and terms.margin
        else f"It had to be proven better in {metric}"
    )
    error = "" if gate is None else f", erring in at most {gate.alpha_promote:.3g} of cases however often one looks"
    limit = " (asymptotic)" if gate is not None and gate.bound is None else ""
    yield f"{needed}{error}{limit}; {_ESTIMATORS[terms.estimator]}."
    if gate is not None:
        yield (
            "A difference above 0 is worse. The intervals in brackets miss the truth at any look in at most "
            f"{gate.alpha_promote:.3g} of cases, half on each side; a test looks to one side and keeps its highest e, "
            "so it may decide a little before its interval does."
        )
    yield from _unbounded(terms)
    if terms.gate(ANCHOR) is not None:
        yield "The margin had to hold against the anchor, too, so that small losses cannot add up over refreshes."


def _unbounded(terms: Terms) -> Iterator[str]:
    """Say which metrics have no bounds, and on what the errors that are stated of them rest."""
    without = [gate for gate in terms.gates if gate.bound is None]
    if without:
        metric = terms.loss.metric.replace("_", " ")
        names = [metric if gate.name == QUALITY else NAMES.get(gate.name, gate.name) for gate in without]
        yield (
            f"Without bounds: {', '.join(names)}. There the stated errors are asymptotic: they hold in the limit of "
            f"many units. So nothing is read before {FEWEST_UNITS} units an arm, nor while one unit brings more than "
            f"{LARGEST_PART:.0%} of what is uncertain; it is sharpest at {without[0].planned_units} units, as planned."
        )


def _guarded(terms: Terms) -> Iterator[str]:
    what = "A version would be taken out" if terms.challengers > 1 else "It would be stopped"
    guards = [NAMES.get(one.name, one.name) for one in terms.gates if one.role == "guard"]
    named = f"on any of its guards: {', '.join(guards)}" if guards else ""
    gate = terms.gate(QUALITY)
    if gate is not None and gate.stop_margin is not None:
        worse = f"once proven worse (error {gate.alpha_stop:.3g})"
        yield f"{what} {worse}{', or ' if named else ''}{named}."
    elif named:
        yield f"{what} {named}."


def _held(terms: Terms) -> str:
    return f"for at least {_span(terms.hold_us)}" if terms.hold_us else "as long as its evidence needs"


def _steps(release: Release) -> Iterator[str]:
    for decision in release.history:
        if decision.kind != "wait":
            yield f"{_moment(decision.at_us)}: {_decided(decision)}"
    last = release.decision
    if not release.over and last is not None and last.kind == "wait":
        waiting = f" (waits for {', '.join(word.replace('_', ' ') for word in last.waiting)})" if last.waiting else ""
        yield f"{_moment(last.at_us)}: {last.sentence}{waiting}.{_seen(last)}"


def _contenders(release: Release) -> Iterator[str]:
    known = {one.version: one for one in (release.decision.seen if release.decision is not None else ())}
    for one in release.contenders:
        why = f" ({one.reason.replace('_', ' ')})" if one.reason else ""
        share = f", with a share of {one.share:.3g}" if one.share else ""
        seen = known.get(one.version)
        measured = one.scores or (seen.evidence.measured if seen is not None and seen.evidence is not None else ())
        scores = "".join(f" {_measured(score)}" for score in measured if score.role == "metric")
        earned = _earned(seen.earned) if seen is not None and seen.earned is not None else ""
        still = release.over and one.status == "running"
        status = "neither proven nor out when it ended" if still else one.status.replace("_", " ")
        yield f"Version {one.number}: {status}{share}{why}.{scores}{earned}"


def _earned(earned: Earned) -> str:
    return f" Its {earned.n} rewards are {earned.mean:.4g} in the mean; {earned.pending} may still come."


def _decided(decision: Decision) -> str:
    who = f" by {decision.by}" if decision.by else ""
    kind, reason = decision.kind.replace("_", " "), decision.reason.replace("_", " ")
    return f"{kind}{who}, {reason}: {decision.sentence}.{_seen(decision)}"


def _seen(decision: Decision) -> str:
    leads = len(decision.contenders) > 1 and decision.stage in ("shadow", "bandit") and not decision.winner
    whose = "The leading one against the champion" if leads and decision.kind != "drop" else "Against the champion"
    told = [_measured(one, whose) for one in decision.measured if one.role == "metric" or one.stops or one.withheld]
    quality = next((one for one in decision.measured if one.name == QUALITY), None)
    young = decision.too_young(quality) if quality is not None else decision.immature
    waiting = (
        f" {young} {'more ' if quality else ''}{'was' if young == 1 else 'were'} too young to count." if young else ""
    )
    return "".join(f" {one}" for one in told) + waiting


def _measured(one: Measured, whose: str = "Against the champion") -> str:
    name = {QUALITY: whose, ANCHOR: "Against the anchor"}.get(one.name, NAMES.get(one.name, one.name))
    name = name[0].upper() + name[1:]
    if one.n == 0:
        return f"{name}: nothing was mature yet."
    if one.low is None or one.high is None:
        return f"{name}: {one.estimate:+.4g} on {one.n} matured, with no interval yet: {one.withheld}."
    label = ", asymptotic," if one.asymptotic else ""
    span = f"{one.estimate:+.4g} [{one.low:+.4g}, {one.high:+.4g}]{label} on {one.n} matured"
    if one.by_days is not None:
        low, high, days = one.by_days
        span += f" (of days like these {days}: [{low:+.4g}, {high:+.4g}], which decides nothing)"
    if one.stops:
        return f"{name}: {span}; e = {_e(one.e_stop)} reached the {_e(one.stop_at)} at which it stops."
    if one.e_promote is None or one.promote_at is None:
        return f"{name}: {span}."
    verb = "reached" if one.good_enough else "had not reached"
    found, needed = _e(one.e_promote), _e(one.promote_at)
    return f"{name}: {span}, limit {one.promote_limit or 0.0:g}; e = {found} {verb} the {needed} needed."


def _ends(release: Release) -> str:
    if not release.over:
        return (
            f"It runs: {release.stage}, share {release.share:.3g}, until {_moment(release.deadline_us)} at the latest."
        )
    words = {
        "promoted": f"version {release.challenger_number} became champion",
        "rolled_back": f"version {release.challenger_number} was taken back",
        "returned": "the champion stayed, without a verdict",
        "aborted": "it was ended by hand",
    }
    when = f" on {_moment(release.ended_us)}" if release.ended_us is not None else ""
    return f"It ended{when}: {words.get(release.status, release.status)} ({release.reason.replace('_', ' ')})."


def _e(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.3g}" if value < 1e6 else f"{value:.1e}"


def _span(span_us: int) -> str:
    days = span_us / DAY_US
    return f"{days:.3g} days" if days >= 2 else show_duration(timedelta(microseconds=span_us))


def _moment(at_us: int) -> str:
    moment = from_us(at_us)
    return f"{moment.day} {moment:%b %Y %H:%M}Z"
