"""Somebody who sells: an amount without bounds, from the policy to a rehearsal, a release, and what is told of it."""

from __future__ import annotations

import pytest

from mainspring.kernel.errors import InvalidInput, Refused

POLICY = {
    "type": "ab_test", "share": 0.5, "low": None, "high": None, "horizon": "10d", "window": "0s", "minimum_units": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def selling(shop):
    shop.version("2", 4.0)
    shop.ask("policy set", model="late", policy=POLICY, reason="baskets have no greatest worth")
    return shop


def test_the_policy_is_shown_with_no_bounds_and_the_forecast_says_what_that_means(selling) -> None:
    shown = {one["field"]: one["value"] for one in selling.ask("policy show", target="late")}
    assert (shown["type"], shown["low"], shown["high"]) == ("ab_test", None, None)
    forecast = selling.ask("release forecast", model="late")
    assert forecast["decidable"] is True
    assert forecast["reason"].endswith("asymptotic: the metric has no bound")


def test_it_is_rehearsed_by_the_engine_that_will_decide(selling) -> None:
    found = selling.ask("rehearse", model="late", challenger="2", inject="loss=+0.8", plays=3)
    assert (found["rollback"]["share"], found["reasons"]) == (1.0, {"quality_worse": 3})
    assert "metrics without bounds are asymptotic: their errors hold in the limit of many units" in found["assumed"]


def test_one_bound_alone_and_too_little_time_are_refused_with_what_to_do(selling) -> None:
    with pytest.raises(InvalidInput, match="high: is missing: state both bounds, or none; None for both is no bounds"):
        selling.ask("policy set", model="late", policy={**POLICY, "low": 0.0}, reason="half of it")
    with pytest.raises(Refused, match="fewer than the 500 that a reward without bounds needs"):
        selling.ask("release start", model="late", version="2", policy={**POLICY, "horizon": "2d"}, reason="quick")


def test_what_is_told_of_the_release_says_asymptotic_everywhere(selling) -> None:
    release = selling.ask("release start", model="late", version="2", reason="more for everybody")
    gate = release["terms"]["gates"][0]
    assert (gate["name"], gate["bound"], gate["alpha_promote"]) == ("quality", None, 0.05)
    assert gate["planned_units"] > 1_000
    told = "\n".join(selling.ask("release explain", release=release["id"]))
    assert "proven better in reward, erring in at most 0.05 of cases however often one looks (asymptotic)" in told
    assert f"it is sharpest at {gate['planned_units']} units, as planned" in told
    selling.ask("release abort", release=release["id"], reason="enough of a story")
