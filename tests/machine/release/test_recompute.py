"""What was decided on, worked out again from the log."""

import polars as pl
import pytest
from tests.machine.release.test_rehearsal import QUICK, started

from mainspring.release.policy import Canary


@pytest.mark.parametrize("how", [{}, {"failing": 0.25}])
def test_every_stored_decision_is_found_again_in_the_log(world, model, how) -> None:
    release = started(world, model, QUICK, **how)
    world.play(9)
    found = world.releases.recompute(release.id)
    assert [one.difference for one in found] == [""] * len(found)
    assert all(one.equal for one in found)
    assert len(found) >= (6 if not how else 1)
    assert found[-1].kind == ("promote" if not how else "roll_back")
    assert found[-1].measured[0].n > 0


def test_it_is_where_customers_come_back(returning, model) -> None:
    policy = Canary(shadow="6d", steps=[0.3, 0.6], margin=0.05, hold="2d", minimum_units=300, window="1d")
    release = started(returning, model, policy)
    returning.play(13)
    found = returning.releases.recompute(release.id)
    assert {one.difference for one in found} == {""}
    assert found[-1].kind == "promote"


def test_it_is_where_quality_is_drawn(affecting, model) -> None:
    wide = Canary(shadow="4d", steps=[0.5], margin=0.2, hold="12h", minimum_units=300, deadline="20d")
    release = started(affecting, model, wide)
    affecting.play(9)
    assert {one.difference for one in affecting.releases.recompute(release.id)} == {""}


def test_a_log_that_was_changed_afterwards_is_noticed_by_the_first_number_that_differs(world, model) -> None:
    release = started(world, model, QUICK)
    world.play(9)
    row = world.log.scored(world.model, [release.challenger]).row(400, named=True)
    forged = {"prediction_id": "p-forged", "row": 0, "model": world.model, "entity": "forged"}
    moment = {"decision_us": row["decision_us"], "generation": 1, "latency_us": 1}
    for version, output in ((release.champion, 0.01), (release.challenger, 0.99)):
        said = {"version": version, "role": "shadow", "status": "ok", "output": output, "release": "", "reason": ""}
        world.put("scored", pl.DataFrame([{**forged, **moment, **said}]).drop("entity"))
    world.put("requests", pl.DataFrame([{**forged, **moment, "unit": "forged", "body": "{}", "receipt_us": 0}]).drop(
        "generation", "latency_us"))  # fmt: skip
    known = {"value": 0.0, "event_us": row["decision_us"] + 1, "known_us": row["decision_us"] + 1}
    world.put("outcomes", pl.DataFrame([{**forged, **known}]).drop("prediction_id", "row"))
    found = world.releases.recompute(release.id)
    assert found[-1].equal is False
    assert found[-1].difference.startswith("quality: n was ")
