import msgspec
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.release.policy import Canary, Immediate, Shadow, deadline_of, decode_policy


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


@pytest.mark.parametrize("steps", [[], [0.5, 0.25], [0.0], [1.0], [0.1, 0.1], "0.5", 0.5, [True]])
def test_steps_are_growing_shares(steps: object) -> None:
    with pytest.raises(InvalidInput, match=r"^steps: "):
        Canary(steps=steps)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError, match="shadwo"):
        Canary(shadwo="14d")
