"""What an earlier release of Mainspring had agreed to: it is read and shown, and nothing new is started on it."""

import msgspec
import pytest
from sqlalchemy import select, update

from mainspring.edges.web.policies import strategies
from mainspring.kernel.errors import InvalidInput
from mainspring.registry.tables import models
from mainspring.release.policy import Canary, Immediate, Shadow, decode_policy
from mainspring.release.policy.checked import as_agreed
from mainspring.release.policy.fields import fields_of
from mainspring.release.rehearsal.records import Rehearsals
from mainspring.release.rehearsal.report import Rehearsal, chance, spread
from mainspring.release.served import served_at
from mainspring.release.tables import rehearsals, releases

LAX = [  # each was legal once, or might have been: the rules of today refuse it
    ('{"type":"canary","metric":"error","margin":1.5}', "beyond what two versions can differ by"),
    ('{"type":"canary","hold":"30000d","steps":[0.5]}', "would take"),
    ('{"type":"canary","metrics":[{"type":"reward","margin":5.0}]}', "beyond what two versions can differ by"),
    ('{"type":"shadow","coverage":2.0}', "must be a number"),
    ('{"type":"ab_test","horizon":"1d"}', "ends before one unit's window does"),
    ('{"type":"bandit","floor":0.9}', "must be a number"),
    ('{"type":"blue_green","failure_margin":0.7}', "must be a number"),
    ('{"type":"champion_challenger","steps":[0.5,0.2]}', "must grow from step to step"),
    ('{"type":"immediate","holdout":0.9}', "must be a number"),
]


def stored_body(world) -> str:
    with world.store.read() as connection:
        return connection.scalar(select(releases.c.body))


@pytest.mark.parametrize(("stored", "refused"), LAX)
def test_a_models_stored_policy_is_shown_whole_and_refused_when_something_is_to_start_on_it(
    world, model, stored, refused
) -> None:
    champion = world.champion(model(0.35))
    with world.store.bookkeeping() as connection:
        connection.execute(update(models).values(release=stored))
    row = world.registry.model(None, world.model)
    shown = {one.field: one.value for one in fields_of(decode_policy(row.release))}
    written = msgspec.json.decode(stored)
    assert written.pop("metrics", None) is None or shown["metrics"][0]["margin"] == 5.0
    told = msgspec.json.decode(msgspec.json.encode({field: shown[field] for field in written}))
    assert told == written
    assert strategies(row.release).strategies[0].name == shown["type"]
    version = world.version(model(0.3))
    for ask in (
        lambda: world.releases.start(world.model, version.id, by="ann", reason="go"),
        lambda: world.releases.check_all(world.model, [version.id], decode_policy(row.release), by="ann"),
        lambda: world.releases.forecast(world.model),
    ):
        with pytest.raises(InvalidInput, match=refused) as error:
            ask()
        assert error.value.remedy.endswith("see: mainspring policy set")
    world.releases.set_policy(world.model, Immediate(), by="ann", reason="a legal one")
    assert world.releases.start(world.model, version.id, by="ann", reason="go").champion == champion.id


def test_a_stored_release_whose_policy_nobody_could_agree_on_today_is_listed_shown_stepped_and_told(
    world, model
) -> None:
    world.champion(model(0.35))
    world.play(1)
    version = world.version(model(0.3))
    policy = Shadow(shadow="2d", metric="error", margin=0.2, minimum_units=100)
    release = world.releases.start(world.model, version.id, policy, by="ann", reason="go")
    with as_agreed():
        lax = msgspec.structs.replace(policy, margin=1.5, coverage=3.0)
    body = msgspec.json.decode(stored_body(world))
    body["policy"] = msgspec.to_builtins(lax)
    with world.store.bookkeeping() as connection:
        connection.execute(update(releases).values(body=msgspec.json.encode(body).decode()))
    assert [one.policy for one in world.releases.list()] == [lax]
    assert world.releases.get(release.id).policy == lax
    world.play(4)
    assert world.releases.get(release.id).over
    assert world.releases.recompute(release.id)
    with world.store.read() as connection:
        assert [one.champion for one in served_at(connection, release.started_us + 1)] == [1]
        assert served_at(connection, release.started_us + 1)[0].releases[0].id == release.id


def test_a_stored_rehearsal_of_such_a_policy_is_listed_and_shown(world, model) -> None:
    world.champion(model(0.35))
    with as_agreed():
        lax = Canary(metric="error", margin=1.5)
    none = chance(0, 10)
    found = Rehearsal(
        id="reh_1", at_us=5, project="prj_demo", model="late", challenger=2, challengers=(2,), champion=1,
        policy="canary", policy_digest="d", asked=Canary(), from_us=0, until_us=5, plays=10, seed=1, injected=(),
        assumed=(), rows=10, units=10, labelled_rows=10, recomputed_rows=0, left_out_rows=0, promotion=none,
        rollback=none, inconclusive=none, winners={}, unfinished=0, reasons={}, days=None, decided_days=None,
        shadow_days=None, exposed_rows=spread([0.0]), exposed_units=spread([0.0]), terms_digest="t", sentence="so",
        by="ann", reason="to see",
    )  # fmt: skip
    kept = Rehearsals(world.store)
    kept.keep(world.model, found)
    with world.store.bookkeeping() as connection:
        body = msgspec.to_builtins(found) | {"asked": msgspec.to_builtins(lax)}
        connection.execute(update(rehearsals).values(body=msgspec.json.encode(body).decode()))
    assert kept.get("reh_1").asked == lax
    assert [one.asked for one in kept.list(world.model)] == [lax]
