"""What every strategy comes down to: the few things that the engine needs to know of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.release.evidence.losses import Metric
from mainspring.release.policy.ab_test import ABTest
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.bandit import Bandit
from mainspring.release.policy.blue_green import BlueGreen
from mainspring.release.policy.canary import Canary
from mainspring.release.policy.champion_challenger import ChampionChallenger
from mainspring.release.policy.immediate import Immediate
from mainspring.release.policy.metrics import Judge
from mainspring.release.policy.shadow import Shadow

Strategy = Literal["immediate", "blue_green", "shadow", "canary", "ab_test", "bandit", "champion_challenger"]


class Outline(msgspec.Struct, frozen=True):
    """One strategy as the engine takes it. ``judged``: promotion needs evidence of quality.

    ``rewards`` are the bounds of what is earned, where that is judged; (None, None) is without. ``longest_us`` bounds
    the whole release; None means the shadow and three times the holds. ``shadow_requests`` are the least rows in shadow
    where that is not where quality is judged.
    """

    strategy: Strategy
    steps: tuple[float, ...] = ()
    metric: Metric | None = "log_loss"
    margin: float = 0.01
    bound: float | None = None
    rewards: tuple[float | None, float | None] | None = None
    judged: bool = True
    drawn: bool = False
    kind: Literal["refresh", "new_recipe"] | None = None
    shadow_us: int = 0
    shadow_least_us: int = 0
    shadow_requests: int | None = None
    hold_us: int = 0
    window_us: int = 0
    longest_us: int | None = None
    on_deadline: Literal["return", "hold"] = "return"
    minimum_units: int = 500
    step_requests: int = 1
    alphas: tuple[float, float] = (0.05, 0.01)
    margins: tuple[float, float] = (0.01, 0.01)
    coverage: float = 0.8
    sample: float = 1.0
    precision: float | None = None
    metrics: tuple[Judge, ...] = ()
    guards: tuple[Judge, ...] = ()
    approval: Approval | None = None
    holdout: float = 0.0

    def limit_us(self, window_us: int) -> int:
        """Return how long the whole release may take, where units are watched for ``window_us``."""
        if self.longest_us is not None:
            return self.longest_us
        return self.shadow_us + 3 * len(self.steps) * max(self.hold_us, window_us)


def outline(policy: Any) -> Outline:
    """Return what a policy comes down to."""
    match policy:
        case Canary() | ChampionChallenger() | Shadow():
            return _judged(policy)
        case BlueGreen():
            return _blue_green(policy)
        case ABTest():
            return _ab_test(policy)
        case Bandit():
            return _bandit(policy)
        case Immediate():
            return Outline(
                "immediate", metric=None, judged=False, shadow_us=_us(policy.deadline), longest_us=_us(policy.deadline),
                shadow_requests=0, coverage=0.0, approval=policy.approval, holdout=policy.holdout,
            )  # fmt: skip
    raise TypeError(f"{type(policy).__name__} is not a policy")


def _judged(policy: Canary | ChampionChallenger | Shadow) -> Outline:
    return Outline(
        strategy=str(policy.__struct_config__.tag),  # type: ignore[arg-type]
        steps=() if isinstance(policy, Shadow) else policy.steps,
        metric=policy.metric,
        margin=policy.margin,
        bound=policy.bound,
        shadow_us=_us(policy.shadow),
        shadow_least_us=_us(policy.shadow_at_least),
        hold_us=_us(policy.hold),
        window_us=_us(policy.window),
        longest_us=None if policy.deadline is None else _us(policy.deadline),
        on_deadline=policy.on_deadline,
        minimum_units=policy.minimum_units,
        step_requests=1 if isinstance(policy, Shadow) else policy.step_requests,
        alphas=(policy.alpha_promote, policy.alpha_stop),
        margins=(policy.failure_margin, policy.late_margin),
        coverage=policy.coverage,
        sample=policy.sample if isinstance(policy, Shadow) else 1.0,
        metrics=policy.metrics if isinstance(policy, Canary) else (),
        guards=policy.guards if isinstance(policy, Canary) else (),
        approval=policy.approval,
        holdout=policy.holdout,
    )


def _blue_green(policy: BlueGreen) -> Outline:
    keep_us = _us(policy.keep)
    return Outline(
        "blue_green",
        steps=(1.0,),
        metric=policy.metric,
        bound=policy.bound,
        judged=False,
        shadow_us=_us(policy.deadline),
        shadow_requests=1,  # warm: it has answered
        hold_us=keep_us,
        longest_us=_us(policy.deadline) + 2 * keep_us,
        alphas=(0.05, policy.alpha_stop),
        margins=(policy.failure_margin, policy.late_margin),
        coverage=0.0,
        approval=policy.approval,
        holdout=policy.holdout,
    )


def _ab_test(policy: ABTest) -> Outline:
    return Outline(
        "ab_test",
        steps=(policy.share,),
        metric="reward",
        margin=policy.margin,
        rewards=(policy.low, policy.high),
        drawn=True,
        kind="refresh" if policy.margin > 0 else "new_recipe",
        shadow_us=_us(policy.horizon),
        shadow_requests=1,
        window_us=_us(policy.window),
        longest_us=_us(policy.horizon),
        on_deadline=policy.on_deadline,
        minimum_units=policy.minimum_units,
        alphas=(policy.alpha_promote, policy.alpha_stop),
        margins=(policy.failure_margin, policy.late_margin),
        coverage=0.0,
        precision=policy.precision,
        metrics=policy.metrics,
        guards=policy.guards,
        approval=policy.approval,
        holdout=policy.holdout,
    )


def _bandit(policy: Bandit) -> Outline:
    return Outline(
        "bandit",
        metric="reward",
        margin=0.0,
        rewards=(policy.low, policy.high),
        drawn=True,
        kind="new_recipe",
        shadow_us=_us(policy.horizon),
        shadow_requests=0,
        window_us=_us(policy.window) if policy.per == "episode" else 0,
        longest_us=_us(policy.horizon),
        on_deadline=policy.on_deadline,
        minimum_units=policy.minimum_units,
        alphas=(policy.alpha_promote, policy.alpha_stop),
        margins=(policy.failure_margin, policy.late_margin),
        coverage=0.0,
        approval=policy.approval,
        holdout=policy.holdout,
    )


def _us(text: str) -> int:
    return round(parse_duration(text).total_seconds() * 1e6)
