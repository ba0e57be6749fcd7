"""What a release is agreed on, from what the log knows at its start: horizon, bounds, traffic, and its length."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import credited
from mainspring.kernel.duration import DAY_US, parse_duration, show_duration
from mainspring.kernel.errors import Refused
from mainspring.registry.model import ModelSpec
from mainspring.release.evidence.asymptotic import FEWEST_UNITS, PLANNED_UNITS
from mainspring.release.evidence.forecast import MOST_UNITS, TINIEST, Forecast, fewest_units, units_needed
from mainspring.release.evidence.frames import answers, by_horizon, silence_as_negative
from mainspring.release.evidence.losses import CLASSIFYING, Loss, loss, rewarding
from mainspring.release.evidence.maturity import horizon_us
from mainspring.release.evidence.sequence import sequence
from mainspring.release.evidence.stream import Gate
from mainspring.release.policy import Bandit, Policy, policy_digest
from mainspring.release.policy.metrics import Reward
from mainspring.release.policy.outline import Outline, outline
from mainspring.release.terms import Allocation, Terms, gates, kept_gates, planned

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog

LOOK_BACK_US = 28 * DAY_US
UNDECLARED_HORIZON_US = DAY_US
DIFFERENCE_SHARE = 0.05  # a loss difference's variance over the loss's own, until this pair's has been seen
FEWEST_ROWS = 200
NO_EVIDENCE = {
    "immediate": "an immediate release needs no evidence",
    "blue_green": "a switch needs no evidence; guards may take it back while the old version is kept",
}
NO_PAIRS = (
    "its metric compares both versions on rows whose outcome the new one has brought about; "
    "leave the metric out, or declare the outcome affected_by_answer=False"
)
NEVER_IN_SHADOW = (
    "a shadow sees only what the champion's answers brought about; "
    "draw units by a Canary, or declare the outcome affected_by_answer=False"
)


class Past(msgspec.Struct, frozen=True):
    """What the log knew at the start. ``difference_variance`` is that of a paired loss difference."""

    horizon_us: int
    loss: Loss
    rows_per_day: float | None = None
    labelled_share: float | None = None
    loss_variance: float | None = None
    difference_variance: float | None = None
    label_cut: float = 0.5


class Setting(msgspec.Struct, frozen=True):
    """What a release's terms follow from beside its policy and the past."""

    kind: Literal["refresh", "new_recipe"]
    anchored: bool
    challengers: int  # by what the error of a promotion is divided
    contenders: int = 1  # of this release alone


def look_back(
    log: PredictionLog, model: str, spec: ModelSpec | None, policy: Policy, champion: str | None, now_us: int
) -> Past:
    """Read the last four weeks of the champion's rows: delay of labels, base rate, traffic, variance of the loss."""
    if spec is not None and spec.outcome.kind == "class":
        _refuse_amounts(outline(policy))
    declared = spec.outcome.matures_after_us if spec is not None else UNDECLARED_HORIZON_US
    threshold = spec.threshold if spec is not None and spec.threshold is not None else 0.5
    since_us = now_us - LOOK_BACK_US
    logged = log.labelled(model, [champion] if champion else [], since_us, now_us + 1, now_us)
    rows = answers(credited(logged, outline(policy).metric or "error"), champion or "").filter("ok")
    delays = (rows["known_us"] - rows["decision_us"]).drop_nulls().to_numpy().astype(np.int64)
    horizon = declared if _silence_tells(spec) else horizon_us(delays, declared)
    mature = rows.filter(pl.col("decision_us") <= now_us - horizon)
    if _silence_tells(spec):
        mature = silence_as_negative(mature, horizon)
    known = mature.filter(by_horizon(horizon))
    outcome = known["value"].cast(pl.Float64).to_numpy()
    binary = spec is None or spec.outcome.kind != "float"
    rate = _base_rate(known) if binary and known.height >= FEWEST_ROWS else None
    fixed = loss_of(outline(policy), base_rate=rate, threshold=threshold)
    if known.height < FEWEST_ROWS:
        return Past(horizon, fixed)
    losses, _ = fixed.of(known["output"].cast(pl.Float64).to_numpy(), outcome)
    first = rows["decision_us"].min()
    days = (now_us - int(first)) / DAY_US if isinstance(first, int) else 0.0
    return Past(
        horizon_us=horizon,
        loss=fixed,
        rows_per_day=rows.height / days if days >= 1.0 else None,  # less than a day says nothing of its nights
        labelled_share=known.height / mature.height,
        loss_variance=float(losses.var()),
        difference_variance=float(losses.var()) * DIFFERENCE_SHARE,
        label_cut=0.5 if binary else float(np.median(outcome)),
    )


def check_judges_outcome(policy: Policy, spec: ModelSpec | None) -> None:
    """Refuse a policy whose metric cannot be worked out from what comes true."""
    plan = outline(policy)
    if spec is None:
        return
    if spec.outcome.kind == "class":
        _refuse_amounts(plan)
    if spec.outcome.kind == "float" and plan.metric in CLASSIFYING:
        remedy = "judge by absolute_error or squared_error, with a bound, or by rewards"
        raise Refused(
            "judges probabilities, and what comes true is a number", field="metric", value=plan.metric, remedy=remedy
        )


def _refuse_amounts(plan: Outline) -> None:
    """Refuse to judge classes by what amounts alone have."""
    rewards = plan.rewards is not None or any(isinstance(one, Reward) for one in (*plan.metrics, *plan.guards))
    if rewards or plan.metric in ("absolute_error", "squared_error"):
        remedy = "judge by log_loss, brier or error"
        raise Refused("judges an amount, and what comes true is a class", field="policy", remedy=remedy)


def _base_rate(known: pl.DataFrame) -> float:
    """Return how often the outcome came true; where it is a class, how often the rarest one did."""
    labels = known["label"].drop_nulls()
    if labels.len():
        return float(labels.value_counts()["count"].to_numpy().min()) / labels.len()
    return float(known["value"].cast(pl.Float64).to_numpy().mean())


def loss_of(plan: Outline, *, base_rate: float | None = None, threshold: float = 0.5) -> Loss:
    """Return the loss that a strategy judges by; its bound is fixed by what is known at the start."""
    if plan.rewards is not None:
        return rewarding(*plan.rewards)
    return loss(plan.metric or "error", bound=plan.bound, base_rate=base_rate, threshold=threshold)


def terms_of(policy: Policy, spec: ModelSpec | None, past: Past, setting: Setting) -> Terms:
    """Fix the terms of a release that starts now."""
    plan = outline(policy)
    window_us = window_of(policy, spec)
    kind = plan.kind or setting.kind
    return Terms(
        kind=kind,
        estimator=_estimator(plan, spec),
        loss=past.loss,
        margin=plan.margin,
        gates=_gates(plan, kind, spec, past, setting),
        steps=plan.steps,
        shadow_us=plan.shadow_us,
        shadow_least_us=plan.shadow_least_us,
        absent_is_negative=_silence_tells(spec),
        hold_us=max(plan.hold_us, window_us),  # shares react to matured units only
        horizon_us=past.horizon_us,
        window_us=window_us,
        deadline_us=plan.limit_us(window_us) + (past.horizon_us if plan.judged else 0),
        on_deadline=plan.on_deadline,
        minimum_units=plan.minimum_units,
        step_requests=plan.step_requests,
        coverage=plan.coverage,
        alpha_ratio=plan.alphas[1] * 0.1 / setting.contenders,
        planned_requests=_planned(plan, past) * setting.contenders,  # the tripwires of all share one error
        label_cut=past.label_cut,
        challengers=setting.challengers,
        strategy=plan.strategy,
        policy_digest=policy_digest(policy),
        judged=plan.judged,
        shadow_requests=plan.shadow_requests,
        sample=plan.sample,
        precision=plan.precision,
        approval=plan.approval,
        allocation=allocation_of(policy, window_us) if isinstance(policy, Bandit) else None,
        judges=(*plan.metrics, *plan.guards),
    )


def amended(terms: Terms, policy: Policy) -> Terms:
    """Return running terms under a policy that was changed; what evidence rests on stays as it was."""
    plan = outline(policy)
    allocation = terms.allocation
    if allocation is not None and isinstance(policy, Bandit):
        allocation = msgspec.structs.replace(allocation, confidence=policy.confidence)
    return msgspec.structs.replace(
        terms,
        allocation=allocation,
        steps=plan.steps,
        shadow_us=plan.shadow_us,
        shadow_least_us=plan.shadow_least_us,
        hold_us=max(plan.hold_us, terms.window_us),
        deadline_us=plan.limit_us(terms.window_us) + (terms.horizon_us if plan.judged else 0),
        on_deadline=plan.on_deadline,
        minimum_units=plan.minimum_units,
        step_requests=plan.step_requests,
        coverage=plan.coverage,
        precision=plan.precision,
        approval=plan.approval,
        policy_digest=policy_digest(policy),
    )


def _estimator(plan: Outline, spec: ModelSpec | None) -> Literal["paired", "drawn"]:
    affected = spec.outcome.affected_by_answer if spec is not None else True
    return "drawn" if plan.drawn or (affected and plan.judged) else "paired"


def _gates(
    plan: Outline, kind: Literal["refresh", "new_recipe"], spec: ModelSpec | None, past: Past, setting: Setting
) -> tuple[Gate, ...]:
    stop, units = plan.alphas[1] / setting.contenders, planned_units(plan, past)
    if not plan.judged:
        loss = past.loss if plan.metric is not None else None
        return planned(kept_gates(loss=loss, alpha_stop=stop, margins=plan.margins), units)
    return gates(
        estimator=_estimator(plan, spec),
        kind=kind,
        loss=past.loss,
        margin=plan.margin,
        alphas=(plan.alphas[0], stop),
        margins=plan.margins,
        anchored=setting.anchored and not plan.drawn,
        draws=bool(plan.steps) or plan.drawn,
        challengers=setting.challengers,
        shadows=not plan.drawn,
        metrics=plan.metrics,
        guards=plan.guards,
        planned_units=units,
    )


def allocation_of(policy: Bandit, window_us: int) -> Allocation:
    """Return how a bandit sets its shares, where units are watched for ``window_us``."""
    return Allocation(
        algorithm=policy.algorithm,
        per=policy.per,
        update_us=max(_span_us(policy.update), 2 * window_us),  # else every unit's window would span a change
        floor=policy.floor,
        half_life_us=None if policy.half_life is None else _span_us(policy.half_life),
        confidence=policy.confidence,
        bounded=policy.low is not None,
    )


def window_of(policy: Policy, spec: ModelSpec | None) -> int:
    """Return W: how long a unit is watched where it comes back, and 0 where it is the entity, which asks once."""
    returns = spec is not None and spec.unit not in ("", spec.entity)
    return outline(policy).window_us if returns else 0


def forecast(
    policy: Policy, past: Past, *, affected: bool, window_us: int = 0, challengers: int = 1, contenders: int = 1
) -> Forecast:
    """Return when a decision is expected, and whether that is before the deadline.

    A challenger that is as good (a refresh) or better by the margin (a new recipe) is assumed. The error of a promotion
    is divided by ``challengers``; ``contenders`` are those of this release.
    """
    plan = outline(policy)
    limit = plan.limit_us(window_us) / DAY_US
    if not plan.judged:
        sound = not affected or plan.metric is None
        return Forecast(0, 0.0, 0.0, limit, sound, NO_EVIDENCE[plan.strategy] if sound else NO_PAIRS)
    if plan.rewards is not None:
        return _of_rewards(plan, past, limit, challengers, contenders)
    if affected and (not plan.steps or plan.strategy == "champion_challenger"):
        return Forecast(None, None, None, limit, False, NEVER_IN_SHADOW)
    if past.rows_per_day is None or past.difference_variance is None or past.loss_variance is None:
        return Forecast(None, None, None, limit, None, "no labelled answers yet to judge by")
    steps = plan.steps
    drawn = affected
    share = steps[-1] if drawn else 1.0
    weight = share * (1.0 - share) if drawn else 1.0
    variance = past.loss_variance * weight if drawn else past.difference_variance
    units = units_needed(
        plan.margin, variance, past.loss.bound, plan.alphas[0] / challengers, weight=weight,
        planned_units=planned_units(plan, past),
    )  # fmt: skip
    if units >= MOST_UNITS:
        return Forecast(None, None, None, limit, False, _too_narrow(plan.margin, past.loss))
    units = max(units, fewest_units(plan.minimum_units, past.loss.bound, share if drawn else None))
    labelled_per_day = past.rows_per_day * (past.labelled_share or 1.0) * (1.0 if drawn else plan.sample)
    judging = units / labelled_per_day if labelled_per_day else float("inf")
    if not drawn:
        judging = max(judging, plan.shadow_least_us / DAY_US)
    waiting = past.horizon_us / DAY_US
    holds = len(steps) * max(plan.hold_us, window_us) / DAY_US
    days = judging + waiting + holds
    shadow_limit = plan.shadow_us / DAY_US
    in_time = days <= limit + waiting and (drawn or judging <= shadow_limit)
    reason = (
        f"{units} labelled units at {labelled_per_day:.0f} a day take {judging:.1f} days; "
        f"a decision is expected after {days:.1f} days of {limit + waiting:.1f}{_asymptotic(past.loss)}"
    )
    if not drawn and judging > shadow_limit:
        reason += f", and its shadow ends after {shadow_limit:g}"
    return Forecast(
        units=units,
        days=days,
        shadow_days=None if drawn else judging + waiting,
        limit_days=limit + waiting,
        decidable=in_time,
        reason=reason,
        rows_per_day=past.rows_per_day,
        labelled_share=past.labelled_share,
        difference_sd=past.difference_variance**0.5,
    )


def _too_narrow(margin: float, loss: Loss) -> str:
    reach = "without a bound" if loss.bound is None else f"of up to {loss.bound:g}"
    return f"a margin of {margin:g} is too narrow for a {loss.metric} {reach}: no traffic settles it"


def _asymptotic(loss: Loss) -> str:
    return "; asymptotic: the metric has no bound" if loss.bound is None else ""


def _silence_tells(spec: ModelSpec | None) -> bool:
    return spec is not None and spec.outcome.if_absent == "negative"


def _of_rewards(plan: Outline, past: Past, limit: float, challengers: int, contenders: int) -> Forecast:
    """Say how narrow the interval of a reward's difference can be by the horizon: the effect itself nobody knows."""
    share = plan.steps[-1] if plan.steps else 1.0 / (contenders + 1)
    matured = _matured(past, limit)
    smaller = matured * min(share, 1.0 - share) if matured is not None else None
    horizon = show_duration(timedelta(days=limit))
    if past.loss.bound is None and smaller is not None and smaller < FEWEST_UNITS:
        reason = (
            f"{smaller:.0f} matured units an arm by the horizon of {horizon} are fewer than the {FEWEST_UNITS} that a "
            "reward without bounds needs"
        )
        return Forecast(None, None, None, limit, False, reason, past.rows_per_day, past.labelled_share)
    if matured is None or smaller is None or past.loss_variance is None:
        return Forecast(None, None, None, limit, None, f"no rewards yet to judge by{_asymptotic(past.loss)}")
    spent = matured * share * (1.0 - share)
    alpha, variance = plan.alphas[0] / challengers, max(past.loss_variance, TINIEST)
    of = sequence(past.loss.bound, planned_units(plan, past) * variance * share * (1.0 - share), alpha)
    low, high = of.interval(spent, 0.0, spent * variance, alpha)
    half = (high - low) / 2.0
    reason = (
        f"{smaller:.0f} matured units an arm by the horizon of {horizon} leave an interval of ±{half:.3g}; "
        f"it may decide earlier, if the difference is greater than that{_asymptotic(past.loss)}"
    )
    return Forecast(
        units=round(matured),
        days=limit,
        shadow_days=None,
        limit_days=limit,
        decidable=smaller >= plan.minimum_units,
        reason=reason,
        rows_per_day=past.rows_per_day,
        labelled_share=past.labelled_share,
        difference_sd=past.loss_variance**0.5,
    )


def _matured(past: Past, days: float) -> float | None:
    """Return how many units have an outcome at the end of so many days, None where the traffic is not known."""
    if past.rows_per_day is None:
        return None
    return past.rows_per_day * (past.labelled_share or 1.0) * max(0.0, days - past.horizon_us / DAY_US)


def planned_units(plan: Outline, past: Past) -> int:
    """Return at how many units a metric without a bound is to be sharpest: all that can have matured at the end."""
    units = _matured(past, plan.limit_us(0) / DAY_US)
    return PLANNED_UNITS if units is None else min(max(round(units), 2 * FEWEST_UNITS), MOST_UNITS)


def _planned(plan: Outline, past: Past) -> int:
    if past.rows_per_day is None:
        return 20_000
    days = plan.limit_us(0) / DAY_US
    return max(1_000, round(past.rows_per_day * days * max(plan.steps, default=1.0)))


def _span_us(text: str) -> int:
    return round(parse_duration(text).total_seconds() * 1e6)
