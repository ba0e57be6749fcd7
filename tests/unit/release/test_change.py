"""Which changes of a running policy keep its evidence valid: one case a rule."""

import msgspec
import pytest

from mainspring.kernel.errors import Conflict
from mainspring.release.engine import State
from mainspring.release.policy import ABTest, Approval, Bandit, BlueGreen, Canary, ChampionChallenger, Immediate, Shadow
from mainspring.release.policy.change import change

CANARY = Canary(shadow="7d", steps=[0.05, 0.25, 0.5], hold="2d", deadline="20d", approval=None)
APPROVED = msgspec.structs.replace(CANARY, approval=Approval(role="risk"))
BY_ANYBODY = msgspec.structs.replace(CANARY, approval=Approval(not_starter=True))
SHADOW, SECOND = State(), State(stage="canary", step=2, share=0.25)


@pytest.mark.parametrize(
    ("policy", "changes", "state"),
    [
        (CANARY, {"deadline": "30d"}, SECOND),
        (CANARY, {"hold": "3d"}, SECOND),
        (CANARY, {"shadow": "10d", "shadow_at_least": "3d"}, SHADOW),
        (CANARY, {"steps": (0.05, 0.25, 0.4)}, SECOND),
        (CANARY, {"steps": (0.05, 0.25, 0.3, 0.5)}, SECOND),
        (CANARY, {"steps": (0.01, 0.1, 0.5)}, SHADOW),
        (CANARY, {"minimum_units": 1_000, "step_requests": 50, "coverage": 0.9}, SECOND),
        (CANARY, {"on_deadline": "hold"}, SECOND),
        (CANARY, {"approval": Approval(role="risk", not_starter=True)}, SECOND),
        (APPROVED, {"approval": Approval(role="risk", not_starter=True)}, SHADOW),
        (BlueGreen(keep="1d"), {"keep": "2d"}, State(stage="kept", step=1, share=1.0)),
        (ABTest(), {"horizon": "40d", "precision": 0.05}, State(stage="test", step=1, share=0.5)),
        (ABTest(precision=0.1), {"precision": 0.05}, SHADOW),
        (Bandit(), {"horizon": "40d", "confidence": 0.99}, SHADOW),
        (Shadow(), {"slices": ("dest",)}, SHADOW),
        (Immediate(approval=Approval()), {"deadline": "20d"}, SHADOW),
    ],
)
def test_what_makes_a_release_slower_or_more_careful_is_allowed(policy, changes, state) -> None:
    wanted = msgspec.structs.replace(policy, **changes)
    assert change(policy, wanted, state) == wanted


AGREED = "what evidence is judged by was agreed before the first row"


@pytest.mark.parametrize(
    ("policy", "changes", "state", "why"),
    [
        (CANARY, {"margin": 0.005}, SHADOW, AGREED),
        (CANARY, {"metric": "brier"}, SHADOW, AGREED),
        (CANARY, {"bound": 3.0}, SHADOW, AGREED),
        (CANARY, {"alpha_promote": 0.01}, SHADOW, AGREED),
        (CANARY, {"alpha_stop": 0.05}, SHADOW, AGREED),
        (CANARY, {"failure_margin": 0.001}, SHADOW, AGREED),
        (CANARY, {"late_margin": 0.02}, SHADOW, AGREED),
        (CANARY, {"window": "14d"}, SHADOW, AGREED),
        (CANARY, {"holdout": 0.05}, SHADOW, "units that changed sides would count for both"),
        (CANARY, {"deadline": "10d"}, SHADOW, "may only become longer than 20d"),
        (CANARY, {"deadline": None}, SHADOW, "state the deadline from the start"),
        (CANARY, {"hold": "1d"}, SHADOW, "may only become longer than 2d"),
        (CANARY, {"shadow": "5d"}, SHADOW, "may only become longer than 7d"),
        (CANARY, {"shadow": "9d"}, SECOND, "its shadow is over"),
        (CANARY, {"steps": (0.05, 0.2, 0.5)}, SECOND, "that it went through already cannot be changed"),
        (CANARY, {"steps": (0.05, 0.25)}, SECOND, "a share that was agreed cannot be left out"),
        (CANARY, {"steps": (0.05, 0.25, 0.6)}, SECOND, "shares to come may only become smaller"),
        (CANARY, {"steps": (0.05, 0.3, 0.5)}, SHADOW, "shares to come may only become smaller"),
        (CANARY, {"minimum_units": 400}, SHADOW, "may only be raised above 500"),
        (CANARY, {"step_requests": 5}, SHADOW, "may only be raised above 20"),
        (CANARY, {"coverage": 0.5}, SHADOW, r"may only be raised above 0\.8"),
        (APPROVED, {"approval": None}, SHADOW, "an approval that was asked for cannot be taken back"),
        (APPROVED, {"approval": Approval(role="cto")}, SHADOW, "whoever was to approve it stays that"),
        (BY_ANYBODY, {"approval": Approval()}, SHADOW, "whoever started it may still not approve it"),
        (BlueGreen(keep="2d"), {"keep": "1d"}, SHADOW, "may only become longer than 2d"),
        (ABTest(), {"share": 0.2}, SHADOW, "units that changed sides would count for both"),
        (ABTest(), {"high": 2.0}, SHADOW, AGREED),
        (ABTest(), {"horizon": "20d"}, SHADOW, "may only become longer than 28d"),
        (ABTest(precision=0.1), {"precision": 0.2}, SHADOW, "may only become smaller"),
        (ABTest(precision=0.1), {"precision": None}, SHADOW, "may only become smaller"),
        (Bandit(), {"floor": 0.01}, SHADOW, AGREED),
        (Bandit(), {"algorithm": "top_two"}, SHADOW, AGREED),
        (Bandit(), {"update": "2h"}, SHADOW, AGREED),
        (Bandit(), {"half_life": "7d"}, SHADOW, AGREED),
        (Bandit(), {"per": "request"}, SHADOW, AGREED),
        (Bandit(), {"confidence": 0.6}, SHADOW, "may only be raised above"),
        (Shadow(), {"sample": 0.5}, SHADOW, AGREED),
        (ChampionChallenger(), {"margin": 0.2}, SHADOW, AGREED),
        (CANARY, {"hold": "3d", "margin": 0.2}, SHADOW, AGREED),
        (CANARY, {}, SHADOW, "says what is agreed already"),
        (CANARY, {"hold": "3d"}, State(status="promoted", stage="over"), "the release is over: promoted"),
    ],
)
def test_what_evidence_rests_on_is_refused_with_the_reason(policy, changes, state, why) -> None:
    with pytest.raises(Conflict, match=why):
        change(policy, msgspec.structs.replace(policy, **changes), state)


def test_another_strategy_is_another_release() -> None:
    with pytest.raises(Conflict, match="is another strategy"):
        change(CANARY, BlueGreen(), SHADOW)


@pytest.mark.parametrize("policy", [Immediate, BlueGreen, Shadow, Canary, ABTest, Bandit, ChampionChallenger])
def test_a_field_that_no_rule_names_is_refused(policy) -> None:
    """A new field is agreed for good unless somebody says otherwise."""
    from mainspring.release.policy.change import RULES

    freely = {name for name in policy.__struct_fields__ if name in RULES}
    assert freely <= {
        "shadow", "shadow_at_least", "hold", "keep", "horizon", "deadline", "on_deadline", "minimum_units",
        "step_requests", "coverage", "confidence", "precision", "steps", "approval", "holdout", "share", "slices",
    }  # fmt: skip
