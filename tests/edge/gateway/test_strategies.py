"""What strategies ask of a real gateway: draws among several, units held out, shadows of a sample."""

from __future__ import annotations

from typing import Any

from mainspring.kernel.schema import Column
from mainspring.log.records import Assignment, Scored
from mainspring.serving.routing import ArmRoute, HoldoutRoute, ReleaseRoute, ShadowRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

DISTANCE = (Column("distance", "float"),)
HALVES = "def answer(frame, params):\n    return [0.5] * len(frame)\n"
RAISES = "def answer(frame, params):\n    raise ValueError('no')\n"


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"f{number}", "distance": 100.0, "carrier": "UA"} for number in range(count)]


def serving(site: Any, codes: dict[str, str], **changes: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    others = [rule_version(site.blobs, f"ver_{name}", int(name), code, DISTANCE) for name, code in codes.items()]
    site.publish(routing(1, model_route(champion, **changes), [champion, *others]))
    site.models()
    site.gateway()
    site.ready()


def drawn(site: Any) -> list[tuple[str, str, float, float]]:
    """Return (release, arm, propensity, draw) of every row that was assigned."""
    return [
        (one.release, arm, p, place)
        for one in site.records(Assignment)
        for arm, p, place in zip(one.arms, one.propensities, one.draws, strict=True)
    ]


def test_a_draw_among_several_logs_what_could_have_been_drawn_and_only_the_one_that_fails_is_taken_out(
    site: Any,
) -> None:
    release = ReleaseRoute("rel_1", 1, "s", "ver_2", 0.3, planned_requests=10, others=(ArmRoute("ver_3", 0.3),))
    serving(site, {"2": HALVES, "3": RAISES}, release=release)
    answers = []
    for _ in range(12):
        status, said = site.predict(rows(40))
        assert status == 200
        answers.append({one["version"] for one in said["predictions"]})
    assert answers[0] == answers[-1] == {1, 2}  # what version 3 left open, the champion answered
    site.wait(lambda: len(site.records(Assignment)) == 12)
    first, last = site.records(Assignment)[0], site.records(Assignment)[-1]
    assert dict(zip(first.action_set, first.action_propensities, strict=True)) == {
        "ver_1": 0.4, "ver_2": 0.3, "ver_3": 0.3,
    }  # fmt: skip
    assert dict(zip(last.action_set, last.action_propensities, strict=True)) == {"ver_1": 0.7, "ver_2": 0.3}
    assert set(first.arms) == {"ver_1", "ver_2", "ver_3"}
    assert set(last.arms) == {"ver_1", "ver_2"}
    assert {p for arm, p in zip(last.arms, last.propensities, strict=True) if arm == "ver_1"} == {0.7}


def test_each_request_is_drawn_for_itself_where_the_release_says_so(site: Any) -> None:
    release = ReleaseRoute("rel_1", 1, "s", "ver_2", 0.5, per="request")
    serving(site, {"2": HALVES}, release=release)
    met = {site.predict(rows(1)[0])[1]["version"] for _ in range(30)}
    assert met == {1, 2}


def test_units_that_are_held_out_meet_the_champion_and_are_logged_as_such(site: Any) -> None:
    release = ReleaseRoute("rel_1", 1, "s", "ver_2", 1.0)
    serving(site, {"2": HALVES}, release=release, holdout=HoldoutRoute(0.2, "for good"))
    status, said = site.predict(rows(200))
    assert status == 200
    site.wait(lambda: len(drawn(site)) == 200)
    found = drawn(site)
    held = [one for one in found if one[0] == "holdout"]
    assert 20 < len(held) < 60
    assert {(arm, p) for _, arm, p, _ in held} == {("ver_1", 0.2)}
    assert {(release, arm, p) for release, arm, p, _ in found if release != "holdout"} == {("rel_1", "ver_2", 1.0)}
    assert sum(one["version"] == 1 for one in said["predictions"]) == len(held)


def test_a_shadow_of_a_sample_scores_that_share_of_the_rows(site: Any) -> None:
    serving(site, {"2": HALVES}, shadows=(ShadowRoute("ver_2", "rel_1", 0.25),))
    for _ in range(4):
        site.predict(rows(200))
    site.wait(lambda: site.ask("/drained")[1]["waiting"] == 0)
    site.wait(lambda: sum(len(one.rows) for one in site.records(Scored) if one.role == "shadow") > 140)
    assert 140 < sum(len(one.rows) for one in site.records(Scored) if one.role == "shadow") < 260
