"""What is applied or promoted while versions are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mainspring.edges.verbs import find
from mainspring.edges.verbs.verb import plain
from mainspring.kernel.errors import Conflict
from mainspring.ledger.queries import entries
from mainspring.loop.retrainings import advance, propose

from .conftest import PROJECT, Shop, open_shop, write_project


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(tmp_path / "home", write_project(tmp_path / "project"))
    with closing(made.platform):
        yield made


def test_a_version_whose_view_was_redefined_while_it_was_trained_is_not_registered(
    own_shop: Shop, tmp_path: Path
) -> None:
    platform = own_shop.platform

    def redefine(share: float, words: str) -> None:
        if words.startswith("fitting on"):
            (tmp_path / "project" / "project.py").write_text(PROJECT.replace('over="3d"', 'over="5d"'))
            platform.projects.apply(tmp_path / "project", by="ben")

    with pytest.raises(Conflict, match="a view that it looks up is declared no more"):
        platform.training.train(own_shop.model.id, by="ann", on_progress=redefine)
    assert platform.registry.versions(own_shop.model.id) == []
    (failed,) = platform.training.runs(own_shop.model.id)
    assert (failed.status, failed.numbers["code"]) == ("failed", "conflict")

    again = platform.training.train(own_shop.model.id, by="ann")
    assert again.status == "done"


def test_a_retraining_follows_the_recipe_of_the_champion_and_never_a_rule(own_shop: Shop) -> None:
    training, model = own_shop.platform.training, own_shop.model.id
    assert training.renewing(model) == "default"
    for recipe, renewed in (("random", "random"), ("rule", "default")):
        run = training.train(model, recipe, by="ann")
        own_shop.champion(run.version or "")
        assert training.renewing(model) == renewed


def test_what_the_loop_set_out_to_retrain_can_be_listed(own_shop: Shop) -> None:
    platform, model = own_shop.platform, own_shop.model
    first = propose(platform.store, model.id, "schedule", "it is old", project=model.project)
    advance(platform.store, first, "dropped", "the past says no", {}, project=model.project)
    verb = find("retrainings")
    (line,) = plain(verb.call(platform, verb.read({"model": "slow"}), "ann"))
    with platform.store.read() as connection:
        (proposed,) = entries(connection, kind="retraining.proposed")
    assert proposed.numbers == {"model": "slow", "trigger": "schedule"}  # names are the same in every home
    assert (line["trigger"], line["state"], line["reason"]) == ("schedule", "dropped", "the past says no")
