"""Where answers may change outcomes, quality is judged on drawn units."""

import pytest

from mainspring.kernel.errors import Refused
from mainspring.release.policy import Canary, Shadow

WIDE = Canary(shadow="4d", steps=[0.5], margin=0.2, hold="12h", minimum_units=300, deadline="20d")


def started(world, model, policy, **how):
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(0.3, **how))
    return world.releases.start(world.model, version.id, policy, by="ann", reason="go")


def test_a_shadow_cannot_judge_it(affecting, model) -> None:
    with pytest.raises(Refused, match="a shadow sees only what the champion's answers brought about"):
        started(affecting, model, Shadow())


def test_a_challenger_is_promoted_on_drawn_units_once_enough_are_mature_in_each_arm(affecting, model) -> None:
    release = started(affecting, model, WIDE)
    assert release.terms.estimator == "drawn"
    affecting.play(9)
    ended = affecting.releases.get(release.id)
    assert (ended.status, ended.reason) == ("promoted", "not_worse")
    quality = ended.evidence[0]
    assert (quality.name, quality.estimator) == ("quality", "drawn")
    assert quality.n >= 600
    assert abs(quality.estimate) < 0.2
    assert {"labelled", "failed", "late"} <= {one.name for one in ended.evidence}


def test_a_much_worse_one_is_stopped_on_drawn_units(affecting, model) -> None:
    release = started(affecting, model, WIDE, bias=3.0)
    affecting.play(9)
    ended = affecting.releases.get(release.id)
    assert (ended.status, ended.reason) == ("rolled_back", "quality_worse")


def test_a_customer_who_comes_back_counts_once_after_the_window_and_never_across_a_change_of_shares(
    returning, model
) -> None:
    policy = Canary(
        shadow="6d", steps=[0.3, 0.6], margin=0.05, hold="2d", minimum_units=300, window="1d", deadline="30d"
    )
    release = started(returning, model, policy)
    assert release.terms.window_us == 86_400_000_000
    while returning.releases.get(release.id).step < 1:
        returning.play(0.25)
    returning.play(1.75)
    measured = {one.name: one for one in returning.releases.get(release.id).evidence}
    assert 300 < measured["failed"].n <= 400
    assert measured["sample_ratio"].n == measured["failed"].n
    returning.play(3)
    measured = {one.name: one for one in returning.releases.get(release.id).evidence}
    assert measured["failed"].n <= 400
