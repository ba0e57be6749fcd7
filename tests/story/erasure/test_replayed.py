"""What a replay says: of all rows and versions, of features that changed since, of what is in the spool alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from mainspring.edges.verbs.serving import OnePrediction, prediction, replay
from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import NotFound
from mainspring.log.records import Request, Scored, SourceRows
from mainspring.log.spool import SpoolWriter

ANN, BEN = "ann-7731", "ben-2209"
DAY_US = 86_400_000_000


class Asking:
    """A gateway that has just answered: what it logged still waits in the spool."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.platform = shop.platform
        self.version = self.platform.registry.alias(shop.model, "champion")
        self.spool = SpoolWriter(shop.home.spool, "b_new", self.platform.disk)
        (self.view,) = self.platform.features.views(self.version.views)
        self.at_us = self.platform.clock.now_us()

    def asks(self, number: int, customers: Sequence[str]) -> str:
        id = f"b_new-{number:x}"
        rows = [
            {"order_id": f"n{number}-{at}", "customer": who, "amount": 10.0, "street": "Elm"}
            for at, who in enumerate(customers)
        ]
        body = json.dumps(rows if len(rows) > 1 else rows[0]).encode()
        entities = tuple(str(row["order_id"]) for row in rows)
        project = self.platform.registry.model(None, "late").project
        self.spool.append(
            Request(id, project, self.shop.model, self.at_us, self.at_us, body, entities, entities, tuple(customers))
        )
        return id

    def answers(
        self, id: str, rows: Sequence[int], looked: Sequence[float], said: float = 0.2, version: str = "", **how: Any
    ) -> None:
        seen = [{self.view.spec.name: [[value], self.at_us, self.view.digest]} for value in looked]
        what = {"role": "served", "status": "ok", **how}
        outputs = tuple([said if what["status"] == "ok" else None] * len(rows))
        chosen = version or self.version.id
        told = id, self.shop.model, chosen, what["role"], what["status"], 1, tuple(rows), outputs
        self.spool.append(Scored(*told, json.dumps(seen).encode(), 9, self.at_us))
        self.spool.flush()

    def replay(self, id: str) -> Any:
        return replay(self.platform, OnePrediction(id), "cleo")


@pytest.fixture
def asking(new_shop: Callable[[], Any]) -> Iterator[Asking]:
    made = Asking(new_shop())
    yield made
    made.spool.close()


def test_a_prediction_that_still_waits_in_the_spool_is_found_and_replayed(asking: Asking) -> None:
    for look, number in ((asking.replay, 1), (lambda id: prediction(asking.platform, OnePrediction(id), "cleo"), 2)):
        id = asking.asks(number, [ANN])
        asking.answers(id, [0], [14.0])
        found = look(id)
        assert (found["id"] if isinstance(found, dict) else found.difference) in ("", id)
    with pytest.raises(NotFound, match="no such prediction"):
        asking.replay("b_new-99")


def test_rows_that_two_versions_answered_are_all_replayed(asking: Asking) -> None:
    asking.platform.training.train(asking.shop.model, by="cleo")
    other = next(one for one in asking.platform.registry.versions(asking.shop.model) if one.id != asking.version.id)
    id = asking.asks(1, [ANN, BEN, ANN])
    asking.answers(id, [0, 2], [14.0, 14.0])
    asking.answers(id, [1], [13.0], said=0.25, version=other.id)
    said = asking.replay(id)
    assert [(one.row, one.version, one.equal) for one in said.rows] == [
        (0, asking.version.id, True),
        (1, other.id, False),
        (2, asking.version.id, True),
    ]
    assert (said.equal, said.features_equal, said.difference) == (False, True, "row 1: said 0.25, now 0.2")


def test_what_the_stable_version_answered_in_a_challengers_place_is_what_is_replayed(asking: Asking) -> None:
    id = asking.asks(1, [ANN])
    asking.answers(id, [0], [14.0], status="late")
    asking.answers(id, [0], [14.0], role="fallback")
    said = asking.replay(id)
    assert (said.role, said.equal, [one.then for one in said.rows]) == ("fallback", True, [0.2])


def test_features_that_change_later_leave_a_replay_as_it_was_and_those_that_come_too_late_are_named(
    asking: Asking,
) -> None:
    id = asking.asks(1, [BEN, ANN])
    asking.answers(id, [0, 1], [13.0, 14.0])

    def orders(number: int, placed_us: int) -> None:
        row = {"order_id": f"l{number}", "customer": ANN, "amount": 100.0, "street": "Elm", "email": "a@mail.example"}
        rows = json.dumps([{**row, "late": False, "placed": show_time(from_us(placed_us))}]).encode()
        project = asking.platform.registry.model(None, "late").project
        asking.spool.append(SourceRows(project, asking.shop.source(), asking.at_us, rows))
        asking.spool.flush()
        asking.platform.loop.ingest()

    orders(1, asking.at_us + 1)
    assert asking.replay(id).equal
    orders(2, asking.at_us - DAY_US)
    said = asking.replay(id)
    what = "feature spent.mean_amount_90d of row 1: was 14.0, the sources as known then give 31.2"
    assert said.difference == what
    assert (said.equal, said.features_equal, [one.equal for one in said.rows]) == (False, False, [True, True])


def test_a_request_of_many_rows_is_replayed_as_one(asking: Asking) -> None:
    rows = 2_000
    id = asking.asks(1, [ANN if at % 2 else BEN for at in range(rows)])
    asking.answers(id, range(rows), [14.0 if at % 2 else 13.0 for at in range(rows)])
    said = asking.replay(id)
    assert (said.equal, said.difference, len(said.rows)) == (True, "", rows)
