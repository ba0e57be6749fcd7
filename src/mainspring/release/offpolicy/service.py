"""Reading the log for an off-policy value: draws of releases, rewards that have had their time, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import as_credits, credited
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import ModelRow, Registry
from mainspring.release.agreement import check_number
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import ROW, by_horizon
from mainspring.release.evidence.losses import Metric, loss
from mainspring.release.offpolicy.frame import Found, Unit, draws, first_draws
from mainspring.release.offpolicy.policies import Waits, fixed, replayed, shares_of
from mainspring.release.offpolicy.value import Value, unbounded_value, value
from mainspring.release.outlook import allocation_of, window_of
from mainspring.release.policy import ABTest, Bandit, Policy, policy_digest
from mainspring.release.release import Release
from mainspring.release.service import ReleaseService
from mainspring.serving.draw import HELD_OUT

Reward = Literal["outcome"] | Metric
DOUBT_ERRORS = 4.0


class Asked(msgspec.Struct, frozen=True):
    """Whose value: versions by ``shares``, or a release ``policy`` of ``challengers`` against the champion.

    Rows decided in [from, until); rewards within [low, high].
    """

    shares: Mapping[str, float]
    from_us: int
    until_us: int
    policy: Policy | None = None
    challengers: tuple[str, ...] = ()
    reward: Reward = "outcome"
    low: float | None = None
    high: float | None = None
    clip: float | None = None


class PolicyValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy would have been worth, beside what was really done. A reward that never came counts as 0.

    ``policy`` names the strategy, where one was asked for; the ``shares`` of a bandit are its mean ones.
    """

    model: str
    reward: str
    shares: dict[str, float]
    value: Value
    logged: Value
    units: int
    labelled_share: float
    left_out_units: int
    from_us: int
    until_us: int
    sentence: str
    policy: str = ""
    policy_digest: str = ""


class OffPolicyService:
    """Values policies by the draws of releases."""

    def __init__(self, *, registry: Registry, log: PredictionLog, releases: ReleaseService, clock: Clock) -> None:
        self._registry = registry
        self._log = log
        self._releases = releases
        self._clock = clock

    def value(self, model_id: str, asked: Asked) -> PolicyValue:
        """Return the value of taking versions by shares or by a policy, or refuse with the reason."""
        model = self._registry.model(None, model_id)
        champion = self._champion(model, asked) if asked.policy is not None else ""
        shares = dict(asked.shares)
        if asked.policy is not None:
            shares = shares_of(asked.policy, champion, asked.challengers) or {}
        if not isinstance(asked.policy, Bandit):
            _check_shares(shares)
        if asked.clip is not None and asked.clip <= 0.0:
            raise InvalidInput("must be above 0", field="clip", value=asked.clip)
        bounds = _bounds(model, asked)
        found, labelled = self._draws(model, asked)
        among = tuple(shares) or (champion, *asked.challengers)
        names = {version: self._registry.version(version).number for version in among}
        target = self._target(model, asked, found, shares, among, names)
        known, n = found.draws, len(found.draws.arm)
        if bounds is None:
            wanted, done = unbounded_value(known, target), unbounded_value(known, known.offered)
        else:
            wanted, done = value(known, target, *bounds, clip=asked.clip), value(known, known.offered, *bounds)
        mean = {version: float(target[:, place].mean()) for place, version in enumerate(found.versions)}
        told = {str(number): round(mean.get(version, 0.0), 6) for version, number in names.items()}
        return PolicyValue(
            model=model.name,
            reward=asked.reward,
            shares=told,
            value=wanted,
            logged=done,
            units=n,
            labelled_share=labelled,
            left_out_units=found.left_out_units,
            from_us=asked.from_us,
            until_us=min(asked.until_us, self._mature_us(model)),
            sentence=_sentence(asked, told, wanted, done) + _same_for_all(model, asked),
            policy="" if asked.policy is None else str(asked.policy.__struct_config__.tag),
            policy_digest="" if asked.policy is None else policy_digest(asked.policy),
        )

    def _champion(self, model: ModelRow, asked: Asked) -> str:
        champion = self._registry.alias(model.id, CHAMPION)
        if champion is None:
            raise Refused("has no champion yet", field="model", value=model.name, remedy="make a first champion")
        if not asked.challengers or champion.id in asked.challengers:
            raise InvalidInput(
                "names no challenger of the champion", field="challenger", remedy="such as --challenger 3"
            )
        if asked.policy is not None:
            check_number(asked.policy, [self._registry.version(one) for one in asked.challengers])
        return champion.id

    def _target(
        self,
        model: ModelRow,
        asked: Asked,
        found: Found,
        shares: Mapping[str, float],
        among: tuple[str, ...],
        names: Mapping[str, int],
    ) -> Floats:
        n, absent = len(found.draws.arm), [names[one] for one in among if one not in found.versions]
        if absent and n:
            raise Refused(
                f"support is missing: version {absent[0]} was never drawn in that time", field="policy",
                remedy="name a time in which a release drew it",
            )  # fmt: skip
        if not isinstance(asked.policy, Bandit) or not n:
            return fixed(found.versions, shares, n)
        if asked.reward != "outcome":
            raise Refused("follows rewards, which are the outcome", field="reward", value=asked.reward)
        spec = model.spec
        silent = spec is not None and spec.outcome.if_absent == "negative"
        waits = Waits(self._window_us(model), spec.outcome.matures_after_us if spec is not None else 0, silent)
        window_us = window_of(asked.policy, spec)
        return replayed(asked.policy, allocation_of(asked.policy, window_us), found, among, waits)

    def _mature_us(self, model: ModelRow) -> int:
        horizon_us = model.spec.outcome.matures_after_us if model.spec is not None else 0
        return self._clock.now_us() - horizon_us - self._window_us(model)

    def _window_us(self, model: ModelRow) -> int:
        """Return how long units are watched: as long as the model's releases agreed to watch them."""
        return max((one.terms.window_us for one in self._releases.list(model.id)), default=0)

    def _draws(self, model: ModelRow, asked: Asked) -> tuple[Found, float]:
        window_us, until_us = self._window_us(model), min(asked.until_us, self._mature_us(model))
        releases = {one.id: one for one in self._releases.list(model.id)}
        by_request = frozenset(id for id, one in releases.items() if _by_request(one))
        end_us = until_us + window_us
        logged = self._log.assignments(model.id, since_us=asked.from_us, until_us=end_us, actions=True)
        drawn = self._log.firm(logged)
        drawn = drawn.filter(~pl.col("release").is_in(["", HELD_OUT]))
        requests = self._log.requests(model.id, asked.from_us, end_us).select(*ROW, "entity", "unit")
        rows, left_out = first_draws(drawn.join(requests, on=ROW, how="inner"), Unit(window_us, by_request))
        rows = rows.filter(pl.col("first_us") < until_us)
        rewards, labelled = self._rewards(model, asked, rows)
        others = _others(rows)
        return draws(rows, rewards, others, left_out), labelled

    def _rewards(self, model: ModelRow, asked: Asked, rows: pl.DataFrame) -> tuple[pl.DataFrame, float]:
        """Return each row's reward; one that never came in time counts as 0, and how many came is told."""
        horizon_us = model.spec.outcome.matures_after_us if model.spec is not None else 0
        came = self._log.outcomes(model.id)
        if asked.reward == "outcome" and came["label"].is_not_null().any():
            remedy = "name a metric: log_loss, brier or error"
            raise InvalidInput("is a class, which is no amount", field="reward", value="outcome", remedy=remedy)
        told = as_credits(came).select("entity", "value", "known_us", "label")
        frame = rows.select(*ROW, "entity", "decision_us").join(told, on="entity", how="left")
        in_time = frame.select(by_horizon(horizon_us)).to_series().to_numpy().astype(np.bool_)
        outcome = frame["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if asked.reward == "outcome":
            paid = np.where(in_time, outcome, 0.0)
        else:
            served = self._served(model, asked, frame)
            fixed = loss(asked.reward, bound=asked.high, threshold=_threshold(model))
            counted = in_time & np.isfinite(served)
            losses, _ = fixed.of(np.where(counted, served, 0.0), np.where(counted, outcome, 0.0))
            paid = np.where(counted, losses, 0.0)
        came_in_time = pl.Series(np.where(in_time, outcome, np.nan), dtype=pl.Float64).fill_nan(None)
        rewards = frame.select(ROW).with_columns(reward=pl.Series(paid, dtype=pl.Float64), told=came_in_time)
        silent = model.spec is not None and model.spec.outcome.if_absent == "negative"
        return rewards, 1.0 if silent else float(in_time.mean()) if len(in_time) else 0.0

    def _served(self, model: ModelRow, asked: Asked, frame: pl.DataFrame) -> Floats:
        scored = self._log.scored(model.id, roles=["served", "fallback"], since_us=asked.from_us)
        answered = scored.filter(pl.col("status") == "ok").unique(ROW, keep="last")
        answered = answered.select(*ROW, "output", "vector", "parts")
        met = credited(frame.join(answered, on=ROW, how="left", maintain_order="left"), asked.reward)
        return met["output"].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def _by_request(release: Release) -> bool:
    allocation = release.terms.allocation
    return allocation is not None and allocation.per == "request"


def _others(rows: pl.DataFrame) -> dict[tuple[str, str], str]:
    """Name, for releases that drew between two versions, the other one of each."""
    arms: dict[str, list[str]] = {}
    for release, arm in rows.select("release", "arm").unique().sort(["release", "arm"]).iter_rows():
        arms.setdefault(release, []).append(arm)
    pairs = {release: both for release, both in arms.items() if len(both) == 2}
    return {(release, one): other for release, both in pairs.items() for one, other in (both, both[::-1])}


def _bounds(model: ModelRow, asked: Asked) -> tuple[float, float] | None:
    """Return the bounds of the reward, None for an amount that has none. 0 lies within: what never came counts as 0."""
    low, high = asked.low, asked.high
    if asked.reward != "outcome":
        low, high = 0.0, loss(asked.reward, bound=asked.high, threshold=_threshold(model)).bound
    elif isinstance(asked.policy, ABTest | Bandit):
        low, high = asked.policy.low if low is None else low, asked.policy.high if high is None else high
    if asked.reward == "outcome" and (model.spec is None or model.spec.outcome.kind == "bool"):
        low, high = 0.0 if low is None else low, 1.0 if high is None else high
    if high is None and (low is None or asked.reward != "outcome"):
        if asked.clip is not None:
            raise InvalidInput("needs a reward with bounds", field="clip", value=asked.clip)
        return None
    if low is None or high is None:
        raise InvalidInput("is missing: give both bounds, or none", field="low" if low is None else "high")
    if low >= high:
        raise InvalidInput("must be below high", field="low", value=low)
    return min(low, 0.0), max(high, 0.0)


def _threshold(model: ModelRow) -> float:
    return model.spec.threshold if model.spec is not None and model.spec.threshold is not None else 0.5


def _same_for_all(model: ModelRow, asked: Asked) -> str:
    """Say that an outcome which answers do not change is worth the same under every version."""
    if asked.reward != "outcome" or model.spec is None or model.spec.outcome.affected_by_answer:
        return ""
    loss = "squared_error" if model.spec.outcome.kind == "float" else "brier"
    same = "the outcome is declared not to depend on answers, so by that every version is worth the same"
    return f"; {same}: how good answers were, --reward {loss} tells"


def _check_shares(shares: Mapping[str, float]) -> None:
    if not abs(sum(shares.values()) - 1.0) <= 1e-9 or min(shares.values(), default=-1.0) < 0.0:
        raise InvalidInput("must be shares that add up to 1", field="shares", value=dict(shares))


def _sentence(asked: Asked, shares: Mapping[str, float], wanted: Value, done: Value) -> str:
    whom = " and ".join(f"{share:.0%} version {number}" for number, share in shares.items())
    if isinstance(asked.policy, Bandit):
        whom = f"a bandit with shares by what the log had told by then ({whom} at the mean)"
    reward = asked.reward
    label = ", asymptotic" if wanted.asymptotic else ""
    told = (
        f"{whom} would have had a mean {reward} of {wanted.estimate:.4g} [{wanted.low:.4g}, {wanted.high:.4g}{label}]; "
        f"what was done had {done.estimate:.4g}. {wanted.effective_units:.0f} effective of {wanted.units} units"
    )
    squares = wanted.weight_mean**2 * wanted.units / wanted.effective_units
    error = (max(squares - 1.0, 0.0) / wanted.units) ** 0.5
    if abs(wanted.weight_mean - 1.0) > DOUBT_ERRORS * error + 1e-9:
        told += f"; the weights' mean is {wanted.weight_mean:.2f}, not 1: the logged propensities are doubtful"
    return told
