"""Off-policy values from the log of a real release whose answers change what comes true."""

import pytest
from tests.machine.release.test_drawn import WIDE, started

from mainspring.kernel.clock import to_us
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.release.offpolicy.service import Asked, OffPolicyService
from mainspring.release.policy import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow


def valued(world, shares, since, **how):
    service = OffPolicyService(registry=world.registry, log=world.log, releases=world.releases, clock=world.clock)
    return service.value(world.model, Asked(shares, to_us(since), world.clock.now_us(), **how))


def test_the_log_of_a_canary_tells_what_each_version_and_a_mixture_would_have_been_worth(affecting, model) -> None:
    affecting.label_shift = 0.2
    since = affecting.clock.now()
    release = started(affecting, model, WIDE)
    affecting.play(8)
    challenger = valued(affecting, {release.challenger: 1.0}, since)
    champion = valued(affecting, {release.champion: 1.0}, since)
    half = valued(affecting, {release.champion: 0.5, release.challenger: 0.5}, since)
    assert challenger.value.estimate - champion.value.estimate == pytest.approx(0.2, abs=0.06)
    assert challenger.value.low < 0.24 * 0.972 + 0.2 < challenger.value.high
    assert half.value.estimate == pytest.approx((challenger.value.estimate + champion.value.estimate) / 2, abs=0.01)
    assert half.value.weight_most == pytest.approx(1.0)
    assert 0.95 < challenger.labelled_share < 0.99
    assert challenger.units == challenger.value.units > 1_500
    assert "doubtful" not in challenger.sentence
    assert "worth the same" not in challenger.sentence
    loss = valued(affecting, {release.challenger: 1.0}, since, reward="log_loss")
    assert loss.value.low < loss.value.estimate < loss.value.high


def test_units_that_come_back_count_once_and_not_at_all_where_their_draw_changed(returning, model) -> None:
    since = returning.clock.now()
    policy = Canary(shadow="6d", steps=[0.3, 0.6], margin=0.05, hold="2d", minimum_units=300, window="1d")
    release = started(returning, model, policy)
    returning.play(13)
    found = valued(returning, {release.champion: 1.0}, since)
    assert 300 < found.units <= 400
    assert found.left_out_units <= 400 - found.units
    assert found.sentence.endswith("every version is worth the same: how good answers were, --reward brier tells")


def test_what_was_never_drawn_has_no_value(affecting, model) -> None:
    since = affecting.clock.now()
    release = started(affecting, model, WIDE)
    with pytest.raises(Refused, match="no unit was drawn"):
        valued(affecting, {release.challenger: 1.0}, since)
    affecting.play(5)
    other = affecting.version(model(0.1))
    with pytest.raises(Refused, match="version 3 was never drawn"):
        valued(affecting, {other.id: 1.0}, since)
    with pytest.raises(InvalidInput, match="add up to 1"):
        valued(affecting, {release.challenger: 0.7}, since)


def by_policy(world, policy, since, *challengers, **how):
    return valued(world, {}, since, policy=policy, challengers=challengers, **how)


def test_a_policy_of_fixed_shares_is_worth_what_its_shares_are(affecting, model) -> None:
    affecting.label_shift = 0.2
    since = affecting.clock.now()
    release = started(affecting, model, WIDE)
    affecting.play(8)
    one, zero = release.challenger, release.champion
    for policy, shares in (
        (BlueGreen(), {one: 1.0}),
        (Shadow(), {zero: 1.0}),
        (ABTest(share=0.3), {one: 0.3, zero: 0.7}),
    ):
        found, same = by_policy(affecting, policy, since, one), valued(affecting, shares, since)
        assert found.value == same.value
        assert (found.policy, found.policy_digest != "") == (policy.__struct_config__.tag, True)
    for policy in (Canary(), ChampionChallenger()):
        with pytest.raises(Refused, match="moves its shares by paired evidence"):
            by_policy(affecting, policy, since, one)
    with pytest.raises(InvalidInput, match="names no challenger"):
        by_policy(affecting, ABTest(), since, zero)
    with pytest.raises(Refused, match="follows rewards"):
        by_policy(affecting, Bandit(), since, one, reward="log_loss")


def test_a_bandit_is_valued_by_the_shares_that_the_log_would_have_given_it(affecting, model) -> None:
    since = affecting.clock.now()
    release = started(affecting, model, ABTest(share=0.4, horizon="12d", minimum_units=4_000))
    affecting.effects = {release.challenger: 0.12}
    affecting.play(10)
    found = by_policy(affecting, Bandit(update="6h", per="request"), since, release.challenger)
    alone = valued(affecting, {release.challenger: 1.0}, since)
    assert found.shares[str(release.challenger_number)] > 0.6
    assert found.logged.estimate < found.value.estimate < alone.value.estimate
    assert found.sentence.startswith("a bandit with shares by what the log had told by then")
    assert found == by_policy(affecting, Bandit(update="6h", per="request"), since, release.challenger)
