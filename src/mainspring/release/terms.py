"""The terms of one release: its policy with all that is fixed at the start, so that nothing can be chosen later."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.ids import digest_of
from mainspring.release.evidence.asymptotic import PLANNED_UNITS
from mainspring.release.evidence.losses import Loss
from mainspring.release.evidence.stream import Gate
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.metrics import Judge
from mainspring.release.policy.outline import Strategy

QUALITY, ANCHOR = "quality", "quality_against_anchor"
SHADOW_FAILED, SHADOW_LATE = "shadow_failed", "shadow_late"
FAILED, LATE, LABEL, LABELLED = "failed", "late", "label", "labelled"
RATIO, RATIO_LABELLED = "sample_ratio", "sample_ratio_labelled"
DEFAULT_STOP = 0.01


class Allocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bandit sets its shares: every ``update_us``, none below ``floor``, rewards halving in ``half_life_us``.

    ``bounded`` rewards are parts of the most that can be earned, others are what they are.
    """

    algorithm: Literal["thompson", "top_two"]
    per: Literal["request", "episode"]
    update_us: int
    floor: float
    half_life_us: int | None
    confidence: float
    bounded: bool = True


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was agreed before the first row was counted.

    ``kind``: a refresh (same recipe) must be not worse, a new recipe better. ``horizon_us`` (H) is how long a row waits
    for its label, ``window_us`` (W) how long a unit is watched, 0 where a unit asks once; ``label_cut`` splits numeric
    outcomes into high and low; with ``absent_is_negative`` no outcome by then is the outcome 0. ``shadow_least_us`` is
    how long rows are gathered in shadow before quality is judged, ``shadow_requests`` how many rows must have been
    scored there where it is not judged in shadow. ``deadline_us`` counts from the start. ``judged``: promotion needs
    evidence of quality. ``challengers`` divides the error of a promotion; ``sample`` is the share of rows that a shadow
    scores.
    """

    kind: Literal["refresh", "new_recipe"]
    estimator: Literal["paired", "drawn"]
    loss: Loss
    margin: float
    gates: tuple[Gate, ...]
    steps: tuple[float, ...]
    shadow_us: int
    hold_us: int
    horizon_us: int
    window_us: int
    deadline_us: int
    on_deadline: Literal["return", "hold"]
    minimum_units: int
    step_requests: int
    coverage: float
    alpha_ratio: float
    planned_requests: int
    label_cut: float = 0.5
    challengers: int = 1
    shadow_least_us: int = 0
    absent_is_negative: bool = False
    strategy: Strategy = "canary"
    policy_digest: str = ""
    judged: bool = True
    shadow_requests: int | None = None
    sample: float = 1.0
    precision: float | None = None
    approval: Approval | None = None
    allocation: Allocation | None = None
    judges: tuple[Judge, ...] = ()

    def gate(self, name: str) -> Gate | None:
        """Return the gate of that name."""
        return next((gate for gate in self.gates if gate.name == name), None)

    def digest(self) -> str:
        """Return the digest under which every decision names its terms."""
        return digest_of(self)

    @property
    def several(self) -> bool:
        """Whether several challengers are compared at once."""
        return self.strategy in ("bandit", "champion_challenger")


def gates(
    *,
    estimator: Literal["paired", "drawn"],
    kind: Literal["refresh", "new_recipe"],
    loss: Loss,
    margin: float,
    alphas: tuple[float, float],
    margins: tuple[float, float],
    anchored: bool,
    draws: bool,
    challengers: int = 1,
    shadows: bool = True,
    metrics: tuple[Judge, ...] = (),
    guards: tuple[Judge, ...] = (),
    planned_units: int = PLANNED_UNITS,
) -> tuple[Gate, ...]:
    """Return the gates of a release. ``alphas`` are (promote, stop), ``margins`` (failures, late answers).

    Half of the stopping error goes to quality and all further ``metrics``, three tenths to the guards together; the
    sample ratio and the tripwire have a tenth each. Where the challenger is not shown in shadow first, only what is
    drawn guards. Gates without a bound have the same errors, and are sharpest at ``planned_units``.
    """
    promote, stop = alphas[0] / challengers, alphas[1]
    worse_by = margin if kind == "refresh" else 0.0
    own = stop * 0.5 / (1 + len(metrics))
    judged = [_metric(QUALITY, estimator, loss.bound, worse_by, promote, own)]
    if anchored:
        judged.append(_metric(ANCHOR, "paired", loss.bound, margin, promote, None))
    judged += [_metric(one.name, "drawn", one.bound, one.margin, promote, own) for one in metrics]
    stops = [Gate(one.name, "guard", "drawn", bound=one.bound, stop_margin=one.margin) for one in guards]
    if shadows:
        stops += [
            Gate(SHADOW_FAILED, "guard", "paired", stop_margin=margins[0]),
            Gate(SHADOW_LATE, "guard", "paired", stop_margin=margins[1]),
        ]
    if draws:
        stops += [
            Gate(FAILED, "guard", "drawn", stop_margin=margins[0]),
            Gate(LATE, "guard", "drawn", stop_margin=margins[1]),
        ]
        if estimator == "paired":
            stops.append(Gate(LABEL, "guard", "drawn", stop_margin=0.0, two_sided=True))
        else:
            stops.append(Gate(LABELLED, "guard", "drawn", stop_margin=margins[0], two_sided=True))
    spent = stop * 0.3 / len(stops)
    return planned((*judged, *(msgspec.structs.replace(guard, alpha_stop=spent) for guard in stops)), planned_units)


def planned(gates: tuple[Gate, ...], planned_units: int) -> tuple[Gate, ...]:
    """Return gates of which those without a bound are sharpest at so many units."""
    return tuple(
        msgspec.structs.replace(gate, planned_units=planned_units) if gate.bound is None else gate for gate in gates
    )


def kept_gates(*, loss: Loss | None, alpha_stop: float, margins: tuple[float, float]) -> tuple[Gate, ...]:
    """Return the gates of a switch with a way back: all of them only stop."""
    spent = alpha_stop * 0.3 / 2
    guards = (
        Gate(SHADOW_FAILED, "guard", "paired", stop_margin=margins[0], alpha_stop=spent),
        Gate(SHADOW_LATE, "guard", "paired", stop_margin=margins[1], alpha_stop=spent),
    )
    if loss is None:
        return guards
    quality = Gate(QUALITY, "guard", "paired", bound=loss.bound, stop_margin=0.0, alpha_stop=alpha_stop * 0.5)
    return (quality, *guards)


def _metric(
    name: str,
    estimator: Literal["paired", "drawn"],
    bound: float | None,
    worse_by: float,
    promote: float,
    stop: float | None,
) -> Gate:
    return Gate(
        name,
        "metric",
        estimator,
        bound=bound,
        promote_margin=worse_by,
        alpha_promote=promote,
        stop_margin=0.0 if stop is not None else None,
        alpha_stop=stop if stop is not None else DEFAULT_STOP,
    )
