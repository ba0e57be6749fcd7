from __future__ import annotations

from mainspring.serving.draw import assign, draw, probabilities
from mainspring.serving.routing import ArmRoute, HoldoutRoute, ReleaseRoute

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


SEVERAL = ReleaseRoute("rel_1", 1, "s", "b", 0.2, others=(ArmRoute("c", 0.3), ArmRoute("d", 0.1)))


def test_among_several_each_version_gets_its_share_and_says_how_probable_it_was() -> None:
    drawn = [assign(SEVERAL, "a", unit) for unit in UNITS]
    for arm, share in (("a", 0.4), ("b", 0.2), ("c", 0.3), ("d", 0.1)):
        assert abs(sum(one.arm == arm for one in drawn) / len(UNITS) - share) < 0.02
        assert {round(one.propensity, 12) for one in drawn if one.arm == arm} == {share}


def test_the_units_of_a_version_that_is_out_meet_the_champion_and_nobody_else_is_moved() -> None:
    before = {unit: assign(SEVERAL, "a", unit).arm for unit in UNITS}
    after = {unit: assign(SEVERAL, "a", unit, out={"c"}) for unit in UNITS}
    assert all(after[unit].arm == ("a" if arm == "c" else arm) for unit, arm in before.items())
    assert {round(one.propensity, 12) for one in after.values() if one.arm == "a"} == {0.7}
    assert probabilities(SEVERAL, "a", {"c"}) == {"a": 0.7, "b": 0.2, "d": 0.1}


def test_who_is_held_out_meets_the_champion_under_every_release_and_without_one() -> None:
    holdout = HoldoutRoute(0.05, "for good")
    held = {unit for unit in UNITS if assign(None, "a", unit, holdout=holdout).held_out}
    assert 880 < len(held) < 1_120
    for route in (release(1.0), release(0.5, "another"), SEVERAL):
        drawn = {unit: assign(route, "old", unit, holdout=holdout) for unit in UNITS}
        assert {unit for unit, one in drawn.items() if one.held_out} == held
        assert {(drawn[unit].arm, drawn[unit].propensity) for unit in held} == {("old", 0.05)}


def test_where_each_request_is_drawn_a_unit_meets_several_versions() -> None:
    arms = {assign(release(0.5), "old", "unit-1", key=f"request-{number}").arm for number in range(50)}
    assert arms == {"old", "new"}
