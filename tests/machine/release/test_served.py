"""What answered then, and why: asked of a whole life of a challenger."""

from datetime import timedelta

import pytest

from mainspring.kernel.clock import from_us, show_time, to_us
from mainspring.ledger.queries import entries
from mainspring.release.explain import explain
from mainspring.release.policy import ABTest, Approval, Bandit, BlueGreen, Canary, ChampionChallenger, Shadow
from mainspring.release.served import served_at

QUICK = Canary(shadow="14d", steps=[0.1, 0.5], margin=0.05, hold="12h", minimum_units=300)


def at(world, moment):
    with world.store.read() as connection:
        return served_at(connection, to_us(moment))[0]


def promoted(world, model):
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(0.3))
    release = world.releases.start(world.model, version.id, QUICK, by="ann", reason="a newer one")
    world.play(6)
    return world.releases.get(release.id)


def test_each_moment_has_the_champion_that_answered_then_with_the_entry_that_says_why(world, model) -> None:
    start = world.clock.now()
    release = promoted(world, model)
    assert release.status == "promoted"
    before, after = at(world, start + timedelta(days=1)), at(world, world.clock.now())
    assert (before.champion, before.by, before.releases) == (1, "test", ())
    assert (after.champion, after.since_us, after.releases) == (2, release.ended_us, ())
    with world.store.read() as connection:
        told = {entry.seq: entry for entry in entries(connection)}
    assert told[after.ledger].reason == after.reason
    assert "proven not worse" in after.reason


def test_a_release_that_ran_then_is_told_as_it_stood_then(world, model) -> None:
    release = promoted(world, model)
    advanced = [one for one in release.history if one.kind == "advance"]
    assert [one.share for one in advanced] == [0.1, 0.5]
    for decision in advanced:
        with world.store.read() as connection:
            (then,) = served_at(connection, decision.at_us)[0].releases
        assert (then.id, then.challenger, then.stage, then.share) == (release.id, 2, "canary", decision.share)
    with world.store.read() as connection:
        (first,) = served_at(connection, release.started_us)[0].releases
    assert (first.stage, first.share) == ("shadow", 0.0)


def test_it_is_told_since_when_a_share_was_drawn_and_not_when_it_was_last_looked_at(world, model) -> None:
    release = promoted(world, model)
    advanced, waited = (
        next(one for one in release.history if one.kind == kind and one.share == 0.1) for kind in ("advance", "wait")
    )
    assert waited.at_us > advanced.at_us
    with world.store.read() as connection:
        found = served_at(connection, waited.at_us)[0]
    (then,) = found.releases
    assert then.since_us == advanced.at_us
    assert found.beside == (
        f"v2 at 10 % (canary) since {show_time(from_us(advanced.at_us))}: {waited.sentence} ({release.id})",
    )


def test_before_there_was_a_champion_nothing_answered(world, model) -> None:
    world.version(model(0.35))
    found = at(world, world.clock.now())
    assert (found.champion, found.since_us, found.reason) == (None, None, "nothing answered yet")


def test_a_release_is_explained_from_its_request_to_its_end(world, model) -> None:
    release = promoted(world, model)
    with world.store.read() as connection:
        found = list(entries(connection, subject=release.id))
    told = explain(release, found)
    whole = "\n".join(told)
    assert told[0] == (
        "On 3 Mar 2013 00:00Z ann asked to release version 2 (default) of late against champion 1: a newer one."
    )
    assert "proven not worse by 0.05 in log loss" in whole
    assert "advance, shadow passed: it answers for 10% of units" in whole
    assert "reached the" in next(line for line in told if "promote, not worse" in line)
    assert told[-3].startswith("It ended on ")
    assert told[-3].endswith("version 2 became champion (not worse).")
    assert told[-2].startswith("The ledger has it in entries ")
    assert explain(release, found[:1])[-2] == f"The ledger has it in entry {found[0].seq}."
    assert told[-1] == f"mainspring release recompute {release.id} works the numbers out of the log again."


def test_a_release_that_waits_says_for_what(world, model) -> None:
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(0.3))
    release = world.releases.start(world.model, version.id, QUICK, by="ann", reason="a newer one")
    world.play(0.5)
    told = explain(world.releases.get(release.id))
    assert any("waits for few units" in line for line in told)
    assert any(" matured units where 300 are needed" in line for line in told), told
    assert any(line.endswith(" were too young to count.") for line in told), told
    assert told[-1].startswith("It runs: shadow, share 0, until ")


@pytest.mark.parametrize(
    ("policy", "others", "words"),
    [
        (BlueGreen(keep="24h"), 0, "It takes over in one switch, without evidence; the champion is kept warm for 1d."),
        (ABTest(share=0.3), 0, "It answers a share of 0.3 of units, and what comes of the answers is compared."),
        (Bandit(floor=0.1), 1, "2 challengers and the champion share the units by what their answers earn (thompson"),
        (ChampionChallenger(margin=0.05), 1, "2 challengers are compared with the champion on the same rows"),
        (Shadow(margin=0.05, approval=Approval(role="risk")), 0, "Somebody with the role risk had to sign it off."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_strategy_is_explained_in_its_own_words(world, model, policy, others, words) -> None:
    world.champion(model(0.35))
    world.play(2)
    first, *rest = [world.version(model(0.3)).id for _ in range(1 + others)]
    release = world.releases.start(world.model, first, policy, by="ann", reason="try it", others=rest)
    world.play(1)
    told = explain(world.releases.get(release.id))
    assert any(line.startswith(words) for line in told), told
    assert sum(line.startswith("Version ") for line in told) == (1 + others if others else 0)
    assert ("versions 2 and 3" if others else "version 2 ") in told[0]
    assert not any(" 1 challengers" in line for line in told)


def test_a_release_says_what_its_guards_are_and_how_its_intervals_are_read(world, model) -> None:
    told = "\n".join(explain(promoted(world, model)))
    assert (
        "It would be stopped once proven worse (error 0.005), or on any of its guards: "
        "failures in shadow, late answers in shadow, failures of drawn units"
    ) in told
    assert "A difference above 0 is worse. The intervals in brackets miss the truth at any look in at most 0.05" in told


def test_who_was_still_in_the_running_when_a_contest_was_ended_is_not_said_to_run(world, model) -> None:
    world.champion(model(0.35))
    world.play(2)
    first, second = (world.version(model(0.3)).id for _ in range(2))
    policy = ChampionChallenger(margin=0.05)
    release = world.releases.start(world.model, first, policy, by="ann", reason="try it", others=[second])
    world.releases.abort(release.id, by="ann", reason="not now")
    told = explain(world.releases.get(release.id))
    assert "Version 3: neither proven nor out when it ended." in told


def test_older_releases_are_listed_from_the_one_that_is_known_on(world, model) -> None:
    world.champion(model(0.35))
    made = []
    for number in range(5):
        made.append(world.releases.start(world.model, world.version(model(0.3)).id, Shadow(), by="ann", reason="go").id)
        if number != 2:  # two of them start at one moment
            world.clock.advance(world.clock.now() + timedelta(hours=1))
    newest = [one.id for one in world.releases.list(world.model, newest=2)]
    assert newest[-1] == made[4]
    assert newest[0] in made[2:4]
    seen = list(newest)
    while older := world.releases.list(world.model, newest=2, before=seen[0]):
        assert len(older) <= 2
        seen = [*(one.id for one in older), *seen]
    assert sorted(seen) == sorted(made)
