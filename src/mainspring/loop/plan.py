"""What to do now: a pure function of the facts. Run again after a crash it plans what is still missing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mainspring.kernel.duration import DAY_US
from mainspring.loop.facts import Facts, ModelFacts, RetrainRule


class ReadSources(msgspec.Struct, frozen=True, tag=True):
    """Read what files and queries of a project hold by now."""

    project: str


class EvaluateMonitors(msgspec.Struct, frozen=True, tag=True):
    """Look at the model's monitors."""

    model: str


class ProposeRetraining(msgspec.Struct, frozen=True, tag=True):
    """Write down that the model should be retrained, and why."""

    model: str
    trigger: str
    reason: str


class Backtest(msgspec.Struct, frozen=True, tag=True):
    """Ask the past whether retraining would have helped."""

    model: str
    retraining: str
    origins: int


class Train(msgspec.Struct, frozen=True, tag=True):
    """Make the candidate."""

    model: str
    retraining: str


class Check(msgspec.Struct, frozen=True, tag=True):
    """Run the declared checks on the candidate."""

    model: str
    retraining: str
    version: str


class StartRelease(msgspec.Struct, frozen=True, tag=True):
    """Begin the declared release of the candidate."""

    model: str
    retraining: str
    version: str


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Close a retraining whose end is known."""

    model: str
    retraining: str
    state: str
    reason: str


class StepRelease(msgspec.Struct, frozen=True, tag=True):
    """Let the engine decide on a running release."""

    model: str
    release: str


class Retain(msgspec.Struct, frozen=True, tag=True):
    """Let go predictions that are kept no longer, and outcomes that nobody asked about in time."""


class PublishLog(msgspec.Struct, frozen=True, tag=True):
    """Bring the tables that other engines read up to the log."""


RETAIN_EVERY_US = DAY_US

Renewing = ProposeRetraining | Backtest | Train | Check | StartRelease | Finish
Action = Retain | PublishLog | ReadSources | EvaluateMonitors | StepRelease | Renewing


def due(last_us: int | None, now_us: int, every_us: int) -> bool:
    """Tell whether it is time again; a clock that was set back past the last time does not make anybody wait for it.

    >>> due(None, 10, 5), due(8, 10, 5), due(5, 10, 5), due(11, 10, 5)
    (True, False, True, True)
    """
    return last_us is None or not 0 <= now_us - last_us < every_us


def plan(facts: Facts, now_us: int) -> list[Action]:
    """Return what is to be done at ``now_us``, releases before monitors: they may have to stop harm."""
    actions: list[Action] = [
        ReadSources(project.project) for project in facts.projects if due(project.read_us, now_us, facts.read_every_us)
    ]
    if facts.retained_us is not None and due(facts.retained_us, now_us, RETAIN_EVERY_US):
        actions.append(Retain())
    if facts.published_us is not None and due(facts.published_us, now_us, facts.publish_every_us):
        actions.append(PublishLog())
    for model in facts.models:
        actions += [StepRelease(model.model, release) for release in model.running]
        if model.champion is None:
            continue
        if due(model.evaluated_us, now_us, facts.evaluate_every_us):
            actions.append(EvaluateMonitors(model.model))
        if not model.busy:
            actions += _retraining(model, now_us)
    return actions


def _retraining(model: ModelFacts, now_us: int) -> Iterator[Action]:
    going, rule = model.retraining, model.rule
    if going is None:
        trigger = _trigger(model, rule, now_us) if rule else None
        if trigger:
            yield ProposeRetraining(model.model, *trigger)
    elif going.state == "proposed":
        yield Backtest(model.model, going.id, rule.backtest_origins if rule else 6)
    elif going.state == "worthwhile":
        yield Train(model.model, going.id)
    elif going.state == "trained" and going.version and model.checked is None:
        yield Check(model.model, going.id, going.version)
    elif going.state == "trained" and model.checked is False:
        yield Finish(model.model, going.id, "dropped", "a check failed")
    elif going.state in ("trained", "checked") and going.version:
        yield StartRelease(model.model, going.id, going.version)
    elif going.state == "releasing" and model.release_over:
        yield Finish(model.model, going.id, "finished", "its release has ended")


def _trigger(model: ModelFacts, rule: RetrainRule, now_us: int) -> tuple[str, str] | None:
    last = model.last_proposed_us
    if last is not None and now_us - last < rule.cooldown_us:
        return None
    for kind, opened_us in model.alarms:
        if kind in rule.on and (last is None or opened_us > last):
            return kind, f"the {kind} monitor raised an alarm"
    since = model.champion_since_us
    if rule.every_us is not None and since is not None and now_us - since >= rule.every_us:
        return "schedule", f"the champion has been one for {(now_us - since) / DAY_US:.0f} days"
    return None
