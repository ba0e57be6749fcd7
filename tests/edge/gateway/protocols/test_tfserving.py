"""TF Serving's REST API, as its documentation states it; Vertex AI asks containers in the same words."""

from __future__ import annotations

import json
from typing import Any

import pytest

ROW = {
    "id": "f1", "distance": 100.0, "hour": 10, "night": True, "wind": None, "carrier": "UA",
    "sched": "2013-05-03T12:00Z",
}  # fmt: skip
OTHER = {**ROW, "id": "f2", "distance": -100, "hour": 0, "wind": 3.5}
ROWS = [ROW, OTHER]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROW}
EXPECTED = [0.8807971, 0.2689414]
PATH = "/v1/models/late:predict"


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ROWS},
        {"instances": ROWS, "signature_name": "serving_default"},
        {"instances": ROWS, "parameters": {}},
        {"instances": [list(row.values()) for row in ROWS]},
    ],
)
def test_rows_are_answered_row_by_row(served: Any, body: Any) -> None:
    status, said, headers = served.ask(PATH, body)
    assert status == 200
    assert [one["value"] for one in said["predictions"]] == pytest.approx(EXPECTED, abs=1e-6)
    assert [one["decision"] for one in said["predictions"]] == [True, False]
    assert headers["x-mainspring-version"] == "1"


@pytest.mark.parametrize("body", [{"inputs": COLUMNS}, {"inputs": ROWS}])
def test_columns_are_answered_by_columns(served: Any, body: Any) -> None:
    status, said, _ = served.ask(PATH, body)
    assert status == 200
    assert said["outputs"]["value"] == pytest.approx(EXPECTED, abs=1e-6)
    assert said["outputs"]["decision"] == [True, False]


def test_a_version_without_a_threshold_answers_plain_numbers(served: Any) -> None:
    pinned = "/v1/models/late/versions/2:predict"
    expected = pytest.approx([0.549834, 0.4750208], abs=1e-6)
    assert served.ask(pinned, {"instances": ROWS})[1] == {"predictions": expected}
    assert served.ask(pinned, {"inputs": COLUMNS})[1] == {"outputs": expected}


def test_status_and_metadata_are_told(served: Any) -> None:
    fine = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    status, said, _ = served.ask("/v1/models/late")
    assert (status, said) == (200, {"model_version_status": [{"version": "1", **fine}, {"version": "2", **fine}]})
    assert served.ask("/v1/models/late/versions/2")[1] == {"model_version_status": [{"version": "2", **fine}]}
    _, said, _ = served.ask("/v1/models/late/metadata")
    signature = said["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: one["dtype"] for name, one in signature["inputs"].items()} == {
        "id": "DT_STRING", "distance": "DT_DOUBLE", "hour": "DT_INT64", "night": "DT_BOOL", "wind": "DT_DOUBLE",
        "carrier": "DT_STRING", "sched": "DT_STRING",
    }  # fmt: skip
    assert said["model_spec"] == {"name": "late", "signature_name": "", "version": "1"}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/early:predict", {"instances": ROWS}, 404, "model: there is no such model (got 'early')"),
        ("/v1/models/late/versions/9:predict", {"instances": ROWS}, 404, "version: there is no such version"),
        ("/v1/models/late:explain", {"instances": ROWS}, 405, "method: does not go with this route"),
        ("/v1/models/late/labels/x:predict", {"instances": ROWS}, 404, "path: there is no such route"),
        (PATH, {}, 400, "body: has both or neither of the fields"),
        (PATH, {"instances": ROWS, "inputs": COLUMNS}, 400, "body: has both or neither of the fields"),
        (PATH, {"instances": ROWS, "signature_name": "other"}, 400, "signature_name: is not known (got 'other')"),
        (PATH, {"instances": ROWS, "parameters": {"a": 1}}, 400, "parameters: the model takes no parameters"),
        (PATH, {"instances": [{**ROW, "hour": 1.5}]}, 400, "[0].hour: must be a whole number (got 1.5)"),
        (PATH, {"instances": [{**ROW, "night": 1}]}, 400, "[0].night: must be true or false (got 1)"),
        (PATH, {"inputs": {**COLUMNS, "hour": [1]}}, 400, "hour: has 1 values where id has 2"),
        (PATH, json.dumps({"instances": [{**ROW, "wind": 1.0}]}).replace("1.0", "NaN").encode(), 400,
         "the body is not JSON"),
        (PATH, b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "body: is nested too deep"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_tf_servings_words(
    served: Any, path: str, body: Any, status: int, message: str
) -> None:
    answered, said, _ = served.ask(path, body)
    assert (answered, list(said)) == (status, ["error"])
    assert said["error"].startswith(message)
