from __future__ import annotations

import json

import pytest

from mainspring.features.spec import Feature, ViewSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.assemble import Assembly, features_json, read_features
from mainspring.serving.looked import Looked

WEATHER = ViewSpec("weather", "w", ("origin",), (Feature("temp", "last", "temp"),))
RECENT = ViewSpec("recent", "f", ("carrier",), (Feature("late", "share"), Feature("flights", "count")))
COLUMNS = (Column("id", "str"), Column("distance", "float"))
SIGNATURE = Signature(
    "binary",
    (Column("flights", "int"), Column("distance", "float"), Column("temp", "float", True)),
    COLUMNS,
    {"flights": "recent.flights", "temp": "weather.temp"},
)


def test_a_version_sees_its_inputs_in_its_own_order() -> None:
    assembly = Assembly(SIGNATURE, COLUMNS, (WEATHER, RECENT))
    looked = [Looked((21.5,), 7), Looked((0.25, 4), 8)]
    assert assembly.row(("f1", 100.0), looked) == (4, 100.0, 21.5)


def test_an_input_that_nothing_gives_is_refused() -> None:
    with pytest.raises(InvalidInput, match="flights: no request column and no view gives this input"):
        Assembly(SIGNATURE, COLUMNS, (WEATHER,))


def test_logged_features_are_read_back_as_they_were() -> None:
    looked = [Looked((0.1 + 0.2,), 7), Looked((None, 4), None)]
    logged = features_json([(WEATHER, "d1"), (RECENT, "d2")], [looked])
    assert json.loads(logged) == [{"weather": [[0.30000000000000004], 7, "d1"], "recent": [[None, 4], None, "d2"]}]
    assert read_features(json.loads(logged)[0], (WEATHER, RECENT)) == looked
