"""Each strategy from its start to its end, with real store, registry and log."""

from datetime import timedelta

import msgspec
import pytest

from mainspring.kernel.errors import Conflict, InvalidInput, Refused
from mainspring.ledger.queries import entries
from mainspring.release.approvers import Approvers
from mainspring.release.explain import explain
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Shadow,
    decode_policy,
    metrics,
    policy_digest,
)
from mainspring.serving.keys import Key
from mainspring.serving.routing import HoldoutRoute

HOUR = timedelta(hours=1)
QUICK = {"shadow": "8d", "margin": 0.05, "hold": "12h", "minimum_units": 300}


def champion(world) -> int:
    return world.registry.alias(world.model, "champion").number


def kinds(world, release) -> list[str]:
    return [one.kind for one in world.releases.get(release.id).history if one.kind != "wait"]


def started(world, policy, *answers, seen=1.0):
    version = world.champion(answers[0])
    world.play(seen)
    first, *others = [world.version(answer).id for answer in answers[1:]]
    release = world.releases.start(world.model, first, policy, by="ann", reason="try it", others=others)
    return version, release


class SetBack:
    """A clock that somebody has set back by three days."""

    def __init__(self, clock) -> None:
        self._clock = clock

    def now_us(self) -> int:
        return self._clock.now_us() - 3 * 86_400_000_000


@pytest.mark.parametrize("policy", [BlueGreen(), Bandit(update="12h"), ABTest(), Immediate(approval=Approval())])
def test_a_clock_that_is_set_back_decides_nothing_and_spoils_nothing(world, model, policy) -> None:
    _, release = started(world, policy, model(0.3), model(0.3), seen=0.5)
    world.play(0.5)
    before = world.releases.get(release.id)
    right, world.releases._clock = world.releases._clock, SetBack(world.clock)
    assert {world.releases.step(release.id).kind for _ in range(3)} == {"wait"}
    after = world.releases.get(release.id)
    assert (after.stage, after.share, after.deadline_us) == (before.stage, before.share, before.deadline_us)
    world.releases._clock = right
    world.play(0.5)
    assert world.releases.get(release.id).status == "running"
    assert [one for one in world.releases.recompute(release.id) if one.equal is False] == []


# blue-green


def test_blue_green_switches_everything_at_once_and_promotes_when_the_old_was_kept_long_enough(world, model) -> None:
    _, release = started(world, BlueGreen(keep="24h"), model(0.35), model(0.3))
    world.play(0.1, turn=HOUR)
    switched = world.releases.get(release.id)
    assert (switched.stage, switched.share, champion(world)) == ("kept", 1.0, 1)
    world.play(0.8, turn=HOUR)
    assert not world.releases.get(release.id).over
    world.play(0.4, turn=HOUR)
    assert (world.releases.get(release.id).status, champion(world)) == ("promoted", 2)
    assert kinds(world, release) == ["advance", "promote"]
    promoted = world.told("release.promoted")[0]
    assert promoted.numbers["evidence_waived"] is True
    assert promoted.reason.startswith("kept:")


def test_the_way_back_of_blue_green_is_one_command(world, model) -> None:
    _, release = started(world, BlueGreen(), model(0.35), model(0.3))
    world.play(0.2, turn=HOUR)
    assert world.releases.get(release.id).share == 1.0
    back = world.releases.roll_back(release.id, by="bob", reason="customers complain")
    assert (back.status, back.share, champion(world)) == ("rolled_back", 0.0, 1)


def test_failures_while_the_old_version_is_kept_switch_back_by_themselves(world, model) -> None:
    _, release = started(world, BlueGreen(), model(0.35), model(0.3, failing=0.2))
    world.rows_a_day = 6_000
    world.play(1.0, turn=HOUR)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason, champion(world)) == ("rolled_back", "failures", 1)


def test_a_worse_loss_switches_back_where_blue_green_names_a_metric(world, model) -> None:
    _, release = started(world, BlueGreen(keep="5d", metric="log_loss"), model(0.1), model(0.1, bias=2.5))
    world.play(4.0)
    assert world.releases.get(release.id).reason == "quality_worse"


# approval


@pytest.mark.parametrize("policy", [BlueGreen(approval=Approval()), Immediate(approval=Approval())])
def test_nothing_meets_the_challenger_before_a_person_has_approved(world, model, policy) -> None:
    _, release = started(world, policy, model(0.35), model(0.3))
    world.play(0.3, turn=HOUR)
    waiting = world.releases.get(release.id)
    assert (waiting.stage, waiting.share, waiting.decision.waiting) == ("shadow", 0.0, ("approval",))
    world.releases.approve(release.id, by="bob (user)", reason="the sample looks right")
    world.play(0.1, turn=HOUR)
    gone_on = world.releases.get(release.id)
    assert (gone_on.share == 1.0) or gone_on.status == "promoted"
    assert gone_on.approved.by == "bob (user)"
    entry = world.told("release.approved")[0]
    assert (entry.actor, entry.reason) == ("bob (user)", "approved: the sample looks right")


def test_a_canary_waits_for_its_approval_after_its_shadow_and_returns_at_the_deadline_without_it(world, model) -> None:
    policy = Canary(steps=[0.5], approval=Approval(), deadline="8d", **QUICK)
    _, release = started(world, policy, model(0.35), model(0.3))
    world.play(7.0)
    waiting = world.releases.get(release.id)
    assert (waiting.stage, waiting.decision.waiting) == ("shadow", ("approval",))
    world.play(4.0)
    assert (world.releases.get(release.id).status, champion(world)) == ("returned", 1)


def test_only_who_is_known_and_has_the_role_approves_and_not_who_started_it(world, model) -> None:
    policy = Immediate(approval=Approval(role="risk", not_starter=True))
    _, release = started(world, policy, model(0.35), model(0.3))
    with pytest.raises(Refused, match="is nobody's role in this home"):
        world.releases.approve(release.id, by="bob (user)", reason="fine")
    made = {"key_1": Key("key_1", "dan", ("operate", "approve:risk"), 0, "ann", None, None, None)}
    world.releases.approvers = Approvers({"risk": ("ann", "bob", "key:eve")}, made.get)
    for by in ("cy (user)", "bob, said by cy (user)", "bob (user), said by cy (key_9)", "eve (user)", "cy (key_9)"):
        with pytest.raises(Refused, match="has not the role risk"):
            world.releases.approve(release.id, by=by, reason="fine")
    with pytest.raises(Refused, match="is not known to be anybody"):
        world.releases.approve(release.id, by="bob", reason="fine")
    for by in ("ann (user)", "ann (page)", "ann (key_2)", "bob, said by ann (user)"):
        with pytest.raises(Refused, match="somebody else must approve it"):
            world.releases.approve(release.id, by=by, reason="fine")
    with pytest.raises(Conflict, match="needs its approval first"):
        world.releases.promote(release.id, by="ann", reason="now")
    for by in ("dan (key_1)", "eve (key_3)"):
        world.releases.approvers.check(policy.approval, by)
    approved = world.releases.approve(release.id, by="me, said by bob (page)", reason="fine")
    assert approved.approved.by == "me, said by bob (page)"
    with pytest.raises(Conflict, match="was approved by me, said by bob"):
        world.releases.approve(release.id, by="bob (user)", reason="again")


def test_a_release_that_asks_for_no_approval_cannot_be_given_one(world, model) -> None:
    _, release = started(world, Canary(), model(0.35), model(0.3))
    with pytest.raises(Conflict, match="asks for no approval"):
        world.releases.approve(release.id, by="bob", reason="fine")


# shadow


def test_shadows_that_start_beside_others_share_one_error_and_an_end_makes_room(world, model) -> None:
    world.champion(model(0.35))
    world.play(1)
    policy = Shadow(slices=["x"], **QUICK)

    def begun(*sds: float, policy=policy) -> str:
        first, *others = (world.version(model(sd)).id for sd in sds)
        return world.releases.start(world.model, first, policy, by="ann", reason="go", others=others).id

    def errors(*ids: str) -> list[float]:
        return [world.releases.get(id).terms.gate("quality").alpha_promote for id in ids]

    ids = [begun(sd) for sd in (0.3, 0.5, 0.6)]
    contest = begun(0.7, 0.8, policy=ChampionChallenger(shadow="20d", margin=0.05))
    assert errors(*ids, contest) == pytest.approx([0.05, 0.05 / 2, 0.05 / 6, 0.05 / 12 / 2])
    assert "2 challengers are compared" in "\n".join(explain(world.releases.get(contest)))
    world.releases.abort(ids[1], by="ann", reason="enough")
    assert errors(begun(0.4)) == [0.05 / 2]
    world.play(6)
    assert "promoted" in [world.releases.get(id).status for id in ids]


def test_a_sampled_shadow_is_judged_on_its_sample_and_its_record_keeps_where_they_disagreed(world, model) -> None:
    _, release = started(world, Shadow(sample=0.4, **QUICK), model(0.35), model(0.3))
    world.sample = 0.4
    world.play(8)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.decision.coverage < 0.5) == ("promoted", True)
    assert (ended.disagreement[0].column, ended.disagreement[0].rows > 300) == ("all", True)
    assert 0.0 < ended.disagreement[0].mean_absolute < 0.2


# champion against challengers


def test_the_best_of_several_challengers_goes_on_and_the_others_are_archived_with_their_scores(world, model) -> None:
    policy = ChampionChallenger(
        shadow="20d", shadow_at_least="3d", margin=0.05, steps=[0.5], hold="12h", minimum_units=300
    )
    answers = model(0.6), model(0.5), model(0.1), model(0.1, bias=3.0)
    _, release = started(world, policy, *answers)
    world.rows_a_day = 3_000
    world.play(7)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.challenger_number, champion(world)) == ("promoted", 3, 3)
    assert [one.status for one in ended.contenders] == ["archived", "won", "taken_out"]
    assert kinds(world, release) == ["drop", "advance", "promote"]
    scores = {one.name: one.estimate for one in ended.contenders[2].scores}
    assert (ended.contenders[2].reason, scores["quality"] > 0.1) == ("quality_worse", True)
    _, won = (one for one in ended.history if one.kind in ("drop", "advance"))
    assert {one.version: one.evidence.of("quality").n > 300 for one in won.seen} == {
        one.version: True for one in ended.contenders[:2]
    }
    with world.store.read() as connection:
        (entry,) = entries(connection, subject=release.id, kind="release.advanced")
    assert {name: list(told) for name, told in entry.numbers["seen"].items()} == {"v2": ["quality"], "v3": ["quality"]}
    assert {gate.alpha_promote for gate in ended.terms.gates if gate.role == "metric"} == {0.05 / 3}
    assert ended.terms.gate("quality").alpha_stop == pytest.approx(0.005 / 3)


def test_a_contest_is_over_when_every_challenger_is_out(world, model) -> None:
    policy = ChampionChallenger(shadow="20d", margin=0.05, minimum_units=300)
    _, release = started(world, policy, model(0.1), model(0.1, bias=3.0), model(0.1, bias=-3.0))
    world.play(6)
    ended = world.releases.get(release.id)
    assert (ended.status, [one.status for one in ended.contenders]) == ("rolled_back", ["taken_out"] * 2)
    assert world.registry.alias(world.model, "challenger") is None


def test_one_challenger_is_too_few_for_nothing_and_several_are_too_many_for_a_canary(world, model) -> None:
    world.champion(model(0.35))
    world.play(1)
    first, other = world.version(model(0.3)), world.version(model(0.3))
    with pytest.raises(InvalidInput, match="takes one challenger"):
        world.releases.start(world.model, first.id, Canary(), by="ann", reason="go", others=[other.id])
    with pytest.raises(InvalidInput, match=r"with 3 versions it must be below 0\.33"):
        world.releases.start(world.model, first.id, Bandit(floor=0.4), by="ann", reason="go", others=[other.id])


# A/B test


def test_an_ab_test_promotes_what_is_proven_to_earn_more(world, model) -> None:
    policy = ABTest(share=0.5, horizon="20d", minimum_units=300, window="1d")
    _, release = started(world, policy, model(0.35), model(0.35))
    world.rows_a_day = 2_000
    world.effects = {release.challenger: 0.1}
    world.play(12)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason, champion(world)) == ("promoted", "better", 2)
    assert ended.evidence[0].estimator == "drawn"
    assert -0.3 < ended.evidence[0].low < ended.evidence[0].high < 0.0  # a loss: below zero earns more
    assert "mean reward +0." in ended.decision.sentence


def test_an_ab_test_stops_what_is_proven_to_earn_less(world, model) -> None:
    _, release = started(world, ABTest(horizon="20d", minimum_units=300), model(0.35), model(0.35))
    world.rows_a_day = 2_000
    world.effects = {release.challenger: -0.15}
    world.play(12)
    assert world.releases.get(release.id).reason == "quality_worse"


@pytest.mark.parametrize(("extra", "reason"), [({"precision": 0.2}, "precise"), ({}, "deadline")])
def test_an_ab_test_without_a_difference_ends_by_its_precision_or_its_horizon(world, model, extra, reason) -> None:
    policy = ABTest(horizon="6d", minimum_units=100, window="1d", **extra)
    _, release = started(world, policy, model(0.35), model(0.35))
    world.play(9)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason, champion(world)) == ("returned", reason, 1)
    assert "mean reward " in ended.decision.sentence


# bandit

RULE = {"update": "6h", "horizon": "20d", "minimum_units": 200, "per": "request"}


def test_a_bandit_moves_traffic_to_the_version_that_earns_more_and_promotes_it(world, model) -> None:
    _, release = started(world, Bandit(**RULE), model(0.35), model(0.35), model(0.35))
    world.rows_a_day = 2_000
    best, other = (one.version for one in world.releases.get(release.id).contenders)
    world.effects = {best: 0.12, other: -0.05}
    world.play(0.4)
    assert {round(one.share, 3) for one in world.releases.get(release.id).contenders} == {0.333}
    world.play(13)
    ended = world.releases.get(release.id)
    last = [one for one in ended.history if one.kind == "reweigh"][-1]
    shares = {one.version: one.share for one in last.contenders}
    assert shares[best] > 0.7
    assert last.earned.n < sum(one.earned.n for one in last.seen)
    assert all(one.earned.pending > 0 for one in last.seen)
    assert min(shares.values()) >= 0.05
    assert (ended.status, ended.challenger, champion(world)) == ("promoted", best, 2)
    assert [one.status for one in ended.contenders] == ["won", "archived"]


def test_a_bandit_of_one_challenger_promotes_it_too(world, model) -> None:
    _, release = started(world, Bandit(**RULE), model(0.35), model(0.35))
    world.rows_a_day = 2_000
    world.effects = {release.challenger: 0.12}
    world.play(12)
    assert (world.releases.get(release.id).status, champion(world)) == ("promoted", 2)


def test_shares_and_rewards_of_a_bandit_can_be_rebuilt_from_the_log(world, model) -> None:
    from mainspring.release.evidence.gathered import Books
    from mainspring.release.gather import Gathered, gather, no_units

    _, release = started(world, Bandit(half_life="2d", **RULE), model(0.35), model(0.35))
    world.effects = {release.challenger: 0.05}
    world.play(5)
    record, _ = world.releases._records.load(release.id)
    books = world.releases._records.books(release.id).books
    began = next(one.at_us for one in world.releases.get(release.id).history if one.kind == "advance")
    fresh = Books(rows_us=began, pairs_us=began, drawn_us=began, drawn_labels_us=began)
    empty = msgspec.structs.replace(fresh, arms={release.challenger: fresh})
    again = gather(world.log, record, Gathered(empty, no_units()), books.drawn_us + 60_000_000).books
    for version in (record.champion, release.challenger):
        for field in ("weight", "squares", "total", "total_squares", "n", "missing"):
            assert getattr(again.earned[version], field) == pytest.approx(getattr(books.earned[version], field))
    assert books.earned[release.challenger].missing > 0  # rewards that never came are in no sum
    assert books.earned[release.challenger].pending > 0


def test_a_version_that_fails_is_taken_out_of_a_bandit_and_the_others_go_on(world, model) -> None:
    answers = model(0.35), model(0.35), model(0.35, failing=0.3)
    _, release = started(world, Bandit(**RULE), *answers)
    world.rows_a_day = 2_000
    world.play(3)
    running = world.releases.get(release.id)
    assert [one.status for one in running.contenders] == ["running", "taken_out"]
    assert (running.contenders[1].share, running.over) == (0.0, False)
    assert 0.0 < running.share < 1.0


def test_a_gateways_tripwire_takes_one_version_out_of_a_bandit(world, model) -> None:
    _, release = started(world, Bandit(**RULE), model(0.35), model(0.35), model(0.35))
    world.play(1)
    failing = world.releases.get(release.id).contenders[0].version
    decision = world.releases.step(release.id, disabled={failing: "5 of 5 requests failed"})
    assert (decision.kind, decision.reason) == ("drop", "tripwire")
    assert world.releases.get(release.id).challengers == (release.contenders[1].version,)
    last = release.contenders[1].version
    assert world.releases.step(release.id, disabled={last: "5 of 5 requests failed"}).kind == "roll_back"


def test_a_bandit_without_a_better_version_keeps_the_champion_at_its_horizon(world, model) -> None:
    _, release = started(world, Bandit(**{**RULE, "horizon": "5d"}), model(0.35), model(0.35))
    world.play(8)
    assert (world.releases.get(release.id).status, champion(world)) == ("returned", 1)


def test_episodes_meet_one_version_as_long_as_shares_stay(returning, model) -> None:
    policy = Bandit(per="episode", window="6h", update="12h", horizon="20d", minimum_units=100)
    _, release = started(returning, policy, model(0.35), model(0.35))
    returning.effects = {release.challenger: 0.2}
    returning.play(6)
    assert returning.releases.get(release.id).terms.allocation.update_us == 12 * 3_600_000_000
    earned = returning.releases._records.books(release.id).books.earned
    assert sum(one.n for one in earned.values()) > 100
    assert earned[release.challenger].mean > earned[release.champion].mean


# held out, and what all decisions say


def test_units_held_out_for_good_are_in_no_release_and_are_compared_with_the_rest(affecting, model) -> None:
    affecting.holdout = HoldoutRoute(0.1, "for good")
    policy = ABTest(share=0.5, horizon="20d", minimum_units=300, window="1d")
    _, release = started(affecting, policy, model(0.35), model(0.35))
    affecting.rows_a_day = 3_000
    affecting.effects = {release.challenger: 0.25}
    affecting.play(0.5)
    affecting.releases.hold(release.id, by="ann", reason="look longer")
    affecting.play(6)
    drawn = affecting.log.assignments(affecting.model)
    assert set(drawn.filter(drawn["release"] == "holdout")["arm"]) == {release.champion}
    found = affecting.releases.reports.feedback(affecting.model)
    assert found.share == 0.1
    assert found.held_out > 500
    assert found.mean_rest > found.mean_held_out
    assert (found.low > 0, found.words) == (True, "releases change outcomes")


def test_every_decision_names_policy_terms_generations_and_what_is_too_young_to_count(world, model) -> None:
    policy = Canary(steps=[0.5], **QUICK)
    _, release = started(world, policy, model(0.35), model(0.3))
    world.play(8)
    found = world.releases.get(release.id)
    assert found.status == "promoted"
    for one in found.history:
        assert one.policy_digest == policy_digest(policy)
        assert one.terms_digest == found.terms.digest()
    promoted = found.history[-1]
    assert promoted.immature > 0
    assert promoted.generations == (0, 0)
    assert world.told("release.promoted")[0].numbers["policy_digest"] == policy_digest(policy)


# changes while running


def test_a_running_policy_is_changed_for_the_slower_and_the_ledger_says_so(world, model) -> None:
    policy = Canary(steps=[0.5], **QUICK)
    _, release = started(world, policy, model(0.35), model(0.3))
    world.play(1)
    slower = msgspec.structs.replace(policy, steps=(0.1, 0.4), hold="2d", approval=Approval())
    changed = world.releases.change(release.id, slower, by="bob", reason="the week of the fair")
    assert (changed.policy, changed.terms.steps, changed.terms.hold_us) == (slower, (0.1, 0.4), 2 * 86_400_000_000)
    assert changed.terms.gates == release.terms.gates
    entry = world.told("release.changed")[0]
    assert (entry.actor, entry.numbers["policy_digest"]) == ("bob", policy_digest(slower))
    assert entry.numbers["policy_digest_before"] == policy_digest(policy)
    with pytest.raises(Conflict, match="margin: what evidence is judged by was agreed"):
        world.releases.change(release.id, msgspec.structs.replace(slower, margin=0.2), by="bob", reason="easier")


def test_a_release_of_every_strategy_is_told_as_a_person_would(world, model) -> None:
    said = []
    _, first = started(world, BlueGreen(approval=Approval(role="")), model(0.35), model(0.3))
    world.releases.approve(first.id, by="bob (user)", reason="seen")
    said.append(" ".join(explain(world.releases.get(first.id))))
    for policy in (ABTest(), Bandit(algorithm="top_two"), ChampionChallenger()):
        version = world.version(model(0.3))
        release = world.releases.start(world.model, version.id, policy, by="ann", reason="go")
        said.append(" ".join(explain(world.releases.get(release.id))))
    assert "Somebody had to sign it off" in said[0]
    assert "approve by bob (user), approved: seen" in said[0]
    assert "the champion is kept warm for 1d" in said[0]
    assert "had to be proven better in reward" in said[1]
    assert "It answers a share of 0.5 of units" in said[1]
    assert "top two, set anew every 1h, none below 0.05" in said[2]
    assert "One challenger is compared with the champion on the same rows" in said[3]


# further metrics and guards


def test_a_share_of_slow_answers_is_a_guard_on_drawn_units(world, model) -> None:
    policy = Canary(steps=[0.5], guards=[metrics.slower_than("50ms", margin=0.05)], **QUICK)
    _, release = started(world, policy, model(0.35), model(0.3))
    world.latency_us[release.challenger] = 80_000
    world.play(8)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason) == ("rolled_back", "slower_than_50ms")
    assert ended.evidence[-3].name != "quality"
    assert {one.name: one.estimate for one in ended.evidence}["slower_than_50ms"] == pytest.approx(1.0, abs=0.05)


def test_every_further_metric_must_be_proven_before_a_promotion(world, model) -> None:
    judged = [metrics.slower_than("50ms", margin=0.005), metrics.failures(margin=0.05)]
    policy = Canary(steps=[0.5], metrics=judged, **QUICK)
    _, release = started(world, policy, model(0.35), model(0.3))
    world.rows_a_day = 2_000
    world.play(10)
    ended = world.releases.get(release.id)
    assert ended.status == "promoted"
    proven = {one.name: one.good_enough for one in ended.decision.measured if one.role == "metric"}
    assert proven == {"quality": True, "slower_than_50ms": True, "failures": True}
    assert [gate.alpha_stop for gate in ended.terms.gates[:3]] == pytest.approx([0.005 / 3] * 3)
    waited = {word for one in ended.history if one.stage == "canary" for word in one.waiting}
    assert "not_proven" in waited


def test_a_reward_beside_a_test_is_judged_within_its_bounds(world, model) -> None:
    policy = ABTest(metrics=[metrics.failures()], guards=[metrics.slower_than("1s")], minimum_units=300, horizon="20d")
    assert [gate.name for gate in started(world, policy, model(0.35), model(0.35))[1].terms.gates] == [
        "quality", "failures", "slower_than_1s", "failed", "late", "labelled",
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="is judged twice"):
        ABTest(metrics=[metrics.reward(margin=1.0, high=10.0)])
    with pytest.raises(InvalidInput, match="must be a list of ms"):
        Canary(guards=["failures"])
    kept = Canary(metrics=[metrics.reward(margin=0.5, high=40.0)])
    assert decode_policy(msgspec.json.encode(kept).decode()) == kept


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (ChampionChallenger(), "a shadow sees only what the champion's answers brought about"),
        (Shadow(), "a shadow sees only what the champion's answers brought about"),
        (BlueGreen(metric="log_loss"), "rows whose outcome the new one has brought about"),
    ],
)
def test_pairs_are_refused_where_answers_change_outcomes(affecting, model, policy, said) -> None:
    affecting.champion(model(0.35))
    affecting.play(1)
    version = affecting.version(model(0.3))
    with pytest.raises(Refused, match=said):
        affecting.releases.start(affecting.model, version.id, policy, by="ann", reason="go")
    assert affecting.releases.forecast(affecting.model, BlueGreen()).decidable is True


def test_policies_for_rewards_forecast_how_narrow_their_interval_will_be(affecting, model) -> None:
    affecting.champion(model(0.35))
    affecting.play(3)
    found = affecting.releases.forecast(affecting.model, ABTest(horizon="28d"))
    assert (found.decidable, found.days) == (True, 28.0)
    assert "matured units an arm by the horizon of 28d leave an interval of ±0.0" in found.reason
    assert affecting.releases.forecast(affecting.model, ABTest(horizon="1d", window="0s")).decidable is False
    assert affecting.releases.forecast(affecting.model, Bandit(horizon="28d")).decidable is True


def test_what_answered_at_a_moment_names_the_shares_of_several(world, model) -> None:
    from mainspring.release.served import served_at

    started(world, Bandit(**RULE), model(0.35), model(0.35), model(0.35))
    world.play(0.5)
    with world.store.read() as connection:
        (served,) = served_at(connection, world.clock.now_us())
    assert served.releases[0].shares == {"v2": 0.333333, "v3": 0.333333}
