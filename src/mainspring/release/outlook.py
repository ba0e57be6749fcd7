"""What a release is agreed on, from what the log knows at its start: horizon, bounds, traffic, and its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import polars as pl

from mainspring.kernel.duration import parse_duration
from mainspring.registry.model import ModelSpec
from mainspring.release.evidence.forecast import Forecast, units_needed
from mainspring.release.evidence.frames import answers, by_horizon, silence_as_negative
from mainspring.release.evidence.losses import Loss, loss
from mainspring.release.evidence.maturity import horizon_us
from mainspring.release.policy import Canary, Shadow, deadline_of, steps_of
from mainspring.release.terms import Terms, gates

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog

DAY_US = 86_400_000_000
LOOK_BACK_US = 28 * DAY_US
UNDECLARED_HORIZON_US = DAY_US
DIFFERENCE_SHARE = 0.05  # a loss difference's variance over the loss's own, until this pair's has been seen
FEWEST_ROWS = 200
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
    challengers: int


def look_back(
    log: PredictionLog, model: str, spec: ModelSpec | None, policy: Shadow | Canary, champion: str | None, now_us: int
) -> Past:
    """Read the last four weeks of the champion's rows: delay of labels, base rate, traffic, variance of the loss."""
    declared = spec.outcome.matures_after_us if spec is not None else UNDECLARED_HORIZON_US
    threshold = spec.threshold if spec is not None and spec.threshold is not None else 0.5
    since_us = now_us - LOOK_BACK_US
    rows = log.labelled(model, [champion] if champion else [], since_us, now_us + 1, now_us)
    rows = answers(rows, champion or "").filter("ok")
    delays = (rows["known_us"] - rows["decision_us"]).drop_nulls().to_numpy().astype(np.int64)
    horizon = declared if _silence_tells(spec) else horizon_us(delays, declared)
    mature = rows.filter(pl.col("decision_us") <= now_us - horizon)
    if _silence_tells(spec):
        mature = silence_as_negative(mature, horizon)
    known = mature.filter(by_horizon(horizon))
    outcome = known["value"].cast(pl.Float64).to_numpy()
    binary = spec is None or spec.outcome.kind == "bool"
    rate = float(outcome.mean()) if binary and len(outcome) >= FEWEST_ROWS else None
    fixed = loss(policy.metric, bound=policy.bound, base_rate=rate, threshold=threshold)
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


def terms_of(policy: Shadow | Canary, spec: ModelSpec | None, past: Past, setting: Setting) -> Terms:
    """Fix the terms of a release that starts now."""
    steps = steps_of(policy)
    affected = spec.outcome.affected_by_answer if spec is not None else True
    estimator: Literal["paired", "drawn"] = "drawn" if affected else "paired"
    window_us = window_of(policy, spec)
    return Terms(
        kind=setting.kind,
        estimator=estimator,
        loss=past.loss,
        margin=policy.margin,
        gates=gates(
            estimator=estimator,
            kind=setting.kind,
            loss=past.loss,
            margin=policy.margin,
            alphas=(policy.alpha_promote, policy.alpha_stop),
            margins=(policy.failure_margin, policy.late_margin),
            anchored=setting.anchored,
            draws=bool(steps),
            challengers=setting.challengers,
        ),
        steps=steps,
        shadow_us=_span_us(policy.shadow),
        shadow_least_us=_span_us(policy.shadow_at_least),
        absent_is_negative=_silence_tells(spec),
        hold_us=max(_span_us(policy.hold), window_us),  # shares react to matured units only
        horizon_us=past.horizon_us,
        window_us=window_us,
        deadline_us=_limit_us(policy, window_us) + past.horizon_us,
        on_deadline=policy.on_deadline,
        minimum_units=policy.minimum_units,
        step_requests=policy.step_requests if isinstance(policy, Canary) else 1,
        coverage=policy.coverage,
        alpha_ratio=policy.alpha_stop * 0.1,
        planned_requests=_planned(policy, past),
        label_cut=past.label_cut,
        challengers=setting.challengers,
    )


def window_of(policy: Shadow | Canary, spec: ModelSpec | None) -> int:
    """Return W: how long a unit is watched where it comes back, and 0 where it is the entity, which asks once."""
    returns = spec is not None and spec.unit not in ("", spec.entity)
    return _span_us(policy.window) if returns else 0


def forecast(
    policy: Shadow | Canary, past: Past, *, affected: bool, window_us: int = 0, challengers: int = 1
) -> Forecast:
    """Return when a decision is expected, and whether that is before the deadline.

    A challenger that is as good (a refresh) or better by the margin (a new recipe) is assumed.
    """
    limit = _limit_us(policy, window_us) / DAY_US
    if affected and not steps_of(policy):
        return Forecast(None, None, None, limit, False, NEVER_IN_SHADOW)
    if past.rows_per_day is None or past.difference_variance is None or past.loss_variance is None:
        return Forecast(None, None, None, limit, None, "no labelled answers yet to judge by")
    steps = steps_of(policy)
    drawn = affected
    share = steps[-1] if drawn else 1.0
    weight = share * (1.0 - share) if drawn else 1.0
    variance = past.loss_variance * weight if drawn else past.difference_variance
    units = units_needed(policy.margin, variance, past.loss.bound, policy.alpha_promote / challengers, weight=weight)
    units = max(units, policy.minimum_units)
    labelled_per_day = past.rows_per_day * (past.labelled_share or 1.0)
    judging = units / labelled_per_day if labelled_per_day else float("inf")
    if not drawn:
        judging = max(judging, _span_us(policy.shadow_at_least) / DAY_US)
    waiting = past.horizon_us / DAY_US
    holds = len(steps) * max(_span_us(policy.hold), window_us) / DAY_US
    days = judging + waiting + holds
    shadow_limit = _span_us(policy.shadow) / DAY_US
    in_time = days <= limit + waiting and (drawn or judging <= shadow_limit)
    reason = (
        f"{units} labelled units at {labelled_per_day:.0f} a day take {judging:.1f} days; "
        f"a decision is expected after {days:.1f} days of {limit + waiting:.1f}"
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


def _silence_tells(spec: ModelSpec | None) -> bool:
    return spec is not None and spec.outcome.if_absent == "negative"


def _planned(policy: Shadow | Canary, past: Past) -> int:
    if past.rows_per_day is None:
        return 20_000
    days = deadline_of(policy).total_seconds() / 86_400.0
    return max(1_000, round(past.rows_per_day * days * max(steps_of(policy), default=1.0)))


def _limit_us(policy: Shadow | Canary, window_us: int) -> int:
    limit_us = round(deadline_of(policy).total_seconds() * 1e6)
    if policy.deadline is None:
        limit_us += 3 * len(steps_of(policy)) * max(0, window_us - _span_us(policy.hold))
    return limit_us


def _span_us(text: str) -> int:
    return round(parse_duration(text).total_seconds() * 1e6)
