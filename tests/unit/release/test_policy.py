import msgspec
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Shadow,
    deadline_of,
    decode_policy,
    metrics,
    policy_digest,
    read_policy,
    steps_of,
)
from mainspring.release.policy.checked import as_agreed


def test_the_policy_of_the_manual_is_written_as_a_list_and_kept_as_values() -> None:
    policy = Canary(shadow="14d", steps=[0.05, 0.25, 0.5], metric="log_loss", margin=0.01)
    assert policy.steps == (0.05, 0.25, 0.5)
    assert deadline_of(policy).days == 23
    assert decode_policy(msgspec.json.encode(policy).decode()) == policy
    assert decode_policy('{"type":"immediate"}') == Immediate()
    assert decode_policy(None) == Canary()


@pytest.mark.parametrize("kind", [Canary, Shadow])
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("metric", "logloss", "did you mean 'log_loss'?"),
        ("shadow", "two weeks", "is not a duration"),
        ("shadow", "0d", "must be longer than nothing"),
        ("hold", "soon", "is not a duration"),
        ("margin", 0.0, "must be a number above 0"),
        ("margin", float("nan"), "must be a number above 0"),
        ("margin", "0.1", "must be a number above 0"),
        ("alpha_promote", 0.6, "must be a number above 0 and below 0.5"),
        ("alpha_stop", -1, "must be a number above 0 and below 0.5"),
        ("deadline", "3d", "ends before the shadow does"),
        ("minimum_units", 0, "must be a whole number, at least 1"),
        ("on_deadline", "promote", "must be 'return' or 'hold'"),
        ("bound", -2.0, "must be a number above 0"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(kind: type, field: str, value: object, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        kind(**{field: value})
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{field}: ")


@pytest.mark.parametrize("kind", [ABTest, Bandit])
def test_a_reward_has_both_bounds_or_none(kind: type) -> None:
    free = kind(low=None, high=None)
    assert decode_policy(msgspec.json.encode(free).decode()) == free
    assert read_policy({"type": free.__struct_config__.tag, "low": None, "high": None}) == free
    assert policy_digest(free) != policy_digest(kind())
    for field, bounds in (("high", {"low": 0.0, "high": None}), ("low", {"low": None, "high": 5.0})):
        with pytest.raises(InvalidInput, match=f"^{field}: is missing: state both bounds, or none"):
            kind(**bounds)


def test_without_bounds_margin_and_precision_are_in_the_metrics_own_unit() -> None:
    assert ABTest(low=None, high=None, margin=250.0, precision=1_000.0).precision == 1_000.0
    assert Canary(metric="absolute_error", margin=1e6).bound is None
    assert metrics.reward(margin=250.0, low=None, high=None).bound is None
    with pytest.raises(InvalidInput, match="margin: must be a number above 0"):
        metrics.reward(margin=0.0, low=None, high=None)


@pytest.mark.parametrize("steps", [[], [0.5, 0.25], [0.0], [1.0], [0.1, 0.1], "0.5", 0.5, [True]])
def test_steps_are_growing_shares(steps: object) -> None:
    with pytest.raises(InvalidInput, match=r"^steps: "):
        Canary(steps=steps)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError, match="shadwo"):
        Canary(shadwo="14d")


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        (BlueGreen, "keep", "0s", "must be longer than nothing"),
        (BlueGreen, "metric", "gini", "is not a metric that a release can test"),
        (BlueGreen, "alpha_stop", 0.9, "must be a number above 0 and below 0.5"),
        (ABTest, "share", 1.0, "must be a number above 0 and below 1"),
        (ABTest, "high", 0.0, "must be a number above 0"),
        (ABTest, "precision", 2.0, "must be a number above 0 and below 1"),
        (ABTest, "horizon", "2d", "ends before one unit's window does"),
        (ABTest, "margin", -0.1, "must be a number 0 or more"),
        (Bandit, "algorithm", "epsilon", "must be 'thompson' or 'top_two'"),
        (Bandit, "per", "user", "must be 'request' or 'episode'"),
        (Bandit, "floor", 0.5, "must be a number above 0 and below 0.5"),
        (Bandit, "half_life", "soon", "is not a duration"),
        (Bandit, "horizon", "30m", "ends before the first update"),
        (Bandit, "confidence", 0.4, "must be a number above 0.5 and below 1"),
        (Shadow, "sample", 0.0, "must be a number above 0"),
        (Shadow, "slices", "dest", "must be a list of columns"),
        (Canary, "holdout", 0.6, "must be a number 0 or more and below 0.5"),
        (Immediate, "deadline", "0s", "must be longer than nothing"),
        (ChampionChallenger, "steps", [0.5, 0.1], "must grow from step to step"),
    ],
)
def test_every_strategy_names_its_wrong_value(kind: type, field: str, value: object, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        kind(**{field: value})
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{field}: ")


POLICIES = [
    Immediate(approval=Approval(role="risk")), BlueGreen(metric="brier"), Canary(),
    Shadow(sample=0.5, slices=("dest",)), ABTest(high=40.0, precision=0.5), Bandit(half_life="7d", algorithm="top_two"),
    ChampionChallenger(holdout=0.01),
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: type(one).__name__)
def test_a_policy_is_data_that_is_written_and_read_again(policy) -> None:
    text = msgspec.json.encode(policy).decode()
    assert decode_policy(text) == policy
    assert read_policy(msgspec.json.decode(text)) == policy
    assert policy_digest(decode_policy(text)) == policy_digest(policy)
    assert deadline_of(policy).days >= 1
    assert all(0.0 < step <= 1.0 for step in steps_of(policy))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "canari"}, "policy.type: is not a strategy (got 'canari'); did you mean 'canary'?"),
        ({}, "policy.type: is not a strategy"),
        (["canary"], "policy: must be a table of values"),
        ({"type": "canary", "margn": 1}, "policy.margn: is not a field of this strategy; did you mean 'margin'?"),
        ({"type": "canary", "steps": [0.5, 0.2]}, "steps: must grow from step to step"),
        ({"type": "canary", "margin": "small"}, "margin: must be"),
    ],
)
def test_a_policy_that_somebody_wrote_wrongly_is_told_where(given, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_policy(given)
    assert said in str(raised.value)


NONE = float("nan")
BEYOND = [
    (Canary, {"metric": "brier", "margin": 1.0}, "margin", "is beyond what two versions can differ by, which is 1"),
    (Shadow, {"metric": "log_loss", "margin": 5.0}, "margin", "is beyond what two versions can differ by"),
    (Canary, {"metric": "squared_error", "bound": 4.0, "margin": 4.0}, "margin", "state a margin below 4"),
    (ABTest, {"high": 40.0, "margin": 40.0}, "margin", "anything would pass"),
    (ABTest, {"low": -1e308, "high": 1e308}, "low", "of at most 1e+100 either way"),
    (ABTest, {"low": 1e18, "high": 1e18 + 256}, "high", "leaves hardly anything above low=1e+18"),
    (ABTest, {"share": 5e-324}, "share", "is nearer than 1e-09 to a bound"),
    (Bandit, {"confidence": 1.0}, "confidence", "below 1"),
    (Bandit, {"confidence": NONE}, "confidence", "below 1"),
    (Bandit, {"floor": 1e-320}, "floor", "is nearer than 1e-09 to a bound"),
    (Bandit, {"update": "1000000000000d"}, "update", "at most 36500d"),
    (BlueGreen, {"bound": 10**400}, "bound", "of at most 1e+100 either way"),
    (BlueGreen, {"keep": "30000d"}, "deadline", "would take 60001 days at most"),
    (Immediate, {"approval": "risk"}, "approval", "such as ms.Approval(role='risk')"),
    (Immediate, {"approval": Approval(role="ri\x00sk")}, "approval.role", "must be text of one line"),
    (Shadow, {"slices": ["\ud800"]}, "slices", "must be text of one line"),
    (Shadow, {"slices": 3}, "slices", "must be a list of columns"),
    (Shadow, {"sample": float("inf")}, "sample", "below 1"),
    (Canary, {"metrics": 3}, "metrics", "must be a list of ms.metrics"),
    (Canary, {"steps": [1.5]}, "steps", "above 0 and below 1"),
    (Canary, {"steps": [step / 200 for step in range(1, 200)]}, "steps", "at most 100 steps"),
    (Canary, {"steps": [0.1, 0.2], "hold": "10000d"}, "deadline", "would take 60014 days at most"),
    (Canary, {"minimum_units": 10**30}, "minimum_units", "must be at most 1e+12"),
    (Canary, {"alpha_promote": 5e-324}, "alpha_promote", "is nearer than 1e-09 to a bound"),
    (ChampionChallenger, {"deadline": "1d"}, "deadline", "leave it more than the shadow of 14d"),
]


@pytest.mark.parametrize(("kind", "values", "field", "said"), BEYOND)
def test_a_value_that_no_release_could_go_by_is_refused_wherever_it_is_written(kind, values, field, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        kind(**values)
    assert said in str(raised.value)
    assert raised.value.field == field


@pytest.mark.parametrize("value", [NONE, float("inf"), -1.0, 0, 10**400, True, None, "1", [], {}, "\ud800", b"x"])
@pytest.mark.parametrize("kind", [one for policy in POLICIES for one in [type(policy)]])
def test_whatever_stands_in_a_field_is_taken_or_refused_in_words(kind, value) -> None:
    for field in msgspec.structs.fields(kind):
        for make in (
            lambda given: kind(**given),
            lambda given: read_policy({"type": kind.__struct_config__.tag, **given}),
        ):
            try:
                policy = make({field.name: value})
            except InvalidInput as refused:
                msgspec.json.encode(refused.as_dict())
            else:
                assert decode_policy(msgspec.json.encode(policy).decode()) == policy


def test_what_was_agreed_before_holds_though_nobody_could_agree_on_it_today():
    with pytest.raises(InvalidInput, match="beyond what two versions can differ by"):
        Canary(metric="error", margin=1.0)
    with as_agreed():
        policy = Canary(metric="error", margin=1.0)
        assert msgspec.json.decode(msgspec.json.encode(policy), type=Canary) == policy
    with pytest.raises(InvalidInput):
        Canary(metric="error", margin=1.0)
