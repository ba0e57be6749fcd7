from __future__ import annotations

from mainspring.serving.draw import assign, draw
from mainspring.serving.routing import ReleaseRoute

UNITS = [f"unit-{number}" for number in range(20_000)]


def release(share: float, salt: str = "s") -> ReleaseRoute:
    return ReleaseRoute("rel_1", epoch=0, salt=salt, challenger="new", share=share)


def test_a_draw_is_the_same_on_every_machine() -> None:
    assert draw("epoch-1", "flight-7") == 0.2887496758360234


def test_a_share_of_the_units_meets_the_challenger() -> None:
    drawn = [assign(release(0.05), "old", unit) for unit in UNITS]
    met = sum(one.arm == "new" for one in drawn)
    assert 880 < met < 1_120
    assert {one.propensity for one in drawn if one.arm == "new"} == {0.05}
    assert {one.propensity for one in drawn if one.arm == "old"} == {0.95}


def test_a_greater_share_keeps_every_unit_that_the_challenger_had() -> None:
    small = {unit for unit in UNITS if assign(release(0.05), "old", unit).arm == "new"}
    great = {unit for unit in UNITS if assign(release(0.25), "old", unit).arm == "new"}
    assert small < great


def test_another_salt_draws_anew() -> None:
    one = {unit for unit in UNITS if assign(release(0.5, "a"), "old", unit).arm == "new"}
    other = {unit for unit in UNITS if assign(release(0.5, "b"), "old", unit).arm == "new"}
    assert 0.45 < len(one & other) / len(one) < 0.55


def test_without_a_release_the_champion_is_certain() -> None:
    drawn = assign(None, "old", "unit-1")
    assert (drawn.arm, drawn.propensity) == ("old", 1.0)


def test_all_or_nothing_is_exact() -> None:
    assert {assign(release(1.0), "old", unit).arm for unit in UNITS} == {"new"}
    assert {assign(release(0.0), "old", unit).arm for unit in UNITS} == {"old"}
