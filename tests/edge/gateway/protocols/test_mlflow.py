"""MLflow scoring, asked by MLflow's own client and with what its own code encodes."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    from mlflow.deployments import PredictionsResponse
    from mlflow.protos.databricks_pb2 import ErrorCode
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient
    from mlflow.utils.proto_json_utils import dump_input_data

from mainspring.log.records import Request

FRAME = pd.DataFrame(
    {
        "id": ["f1", "f2"], "distance": [100.0, -100.0], "hour": [10, 0], "night": [True, False],
        "wind": [np.nan, 3.5], "carrier": ["UA", None], "sched": ["2013-05-03T12:00Z", None],
    }
)  # fmt: skip
EXPECTED = [0.8807971, 0.2689414]
PATH = "/invocations"


@pytest.fixture
def client(served: Any) -> ScoringServerClient:
    return ScoringServerClient("127.0.0.1", served.port)


def values(said: Any) -> list[float]:
    return [one["value"] for one in said["predictions"]]


def test_the_client_finds_it_ready_and_scores_a_frame(client: ScoringServerClient, served: Any) -> None:
    client.wait_server_ready(timeout=10)
    answer = client.invoke(FRAME.assign(id=["mlflow-1", "mlflow-2"]))
    assert isinstance(answer, PredictionsResponse)
    predictions = answer.get_predictions()
    assert predictions["value"].tolist() == pytest.approx(EXPECTED, abs=1e-6)
    assert predictions["decision"].tolist() == [True, False]
    mine = ("mlflow-1", "mlflow-2")
    served.wait(lambda: any(one.entities == mine for one in served.records(Request)))
    logged = json.loads(next(one.body for one in served.records(Request) if one.entities == mine))
    assert (logged[0]["wind"], logged[1]["wind"], logged[1]["carrier"]) == (None, 3.5, None)


RECORDS = FRAME.to_dict(orient="records")
LISTS = FRAME.astype(object).where(FRAME.notna(), None).to_numpy().tolist()
COLUMNS = {name: FRAME[name].astype(object).where(FRAME[name].notna(), None).tolist() for name in FRAME.columns}


@pytest.mark.parametrize(
    "body",
    [
        dump_input_data(FRAME),
        json.dumps({"dataframe_split": FRAME.to_dict(orient="split")}),
        json.dumps({"dataframe_split": FRAME[FRAME.columns[::-1]].to_dict(orient="tight")}).replace(
            ', "index_names": [null], "column_names": [null]', ""
        ),
        json.dumps({"dataframe_records": RECORDS}),
        json.dumps({"instances": RECORDS, "params": {}}),
        json.dumps({"inputs": RECORDS}),
        json.dumps({"instances": LISTS}),
        json.dumps({"inputs": LISTS, "params": None}),
        json.dumps({"inputs": COLUMNS}),
        json.dumps({"inputs": {name: [[value] for value in column] for name, column in COLUMNS.items()}}),
    ],
)
def test_every_form_is_answered_alike(served: Any, body: str) -> None:
    status, said, headers = served.ask(PATH, body.encode(), content_type="application/json; charset=utf-8")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert values(said) == pytest.approx(EXPECTED, abs=1e-6)
    assert headers["x-mainspring-version"] == "1"
    assert headers["x-mainspring-prediction-id"]


def test_csv_as_pandas_writes_it_is_answered(served: Any) -> None:
    body = FRAME.to_csv(index=False).encode()
    status, said, _ = served.ask(PATH, body, content_type="text/csv")
    assert status == 200
    assert values(said) == pytest.approx(EXPECTED, abs=1e-6)


def test_whole_numbers_that_pandas_made_floats_are_whole_numbers(served: Any) -> None:
    frame = FRAME.astype({"hour": float})
    assert values(served.ask(PATH, dump_input_data(frame).encode())[1]) == pytest.approx(EXPECTED, abs=1e-6)
    buffer = io.BytesIO()
    frame.to_csv(buffer, index=False)
    answer = served.ask(PATH, buffer.getvalue(), content_type="text/csv")[1]
    assert values(answer) == pytest.approx(EXPECTED, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"[1]", "body: expected `object`, got `array`"),
        (b"{}", "body: has 0 of the fields; send an object with exactly one of dataframe_split"),
        (json.dumps({"inputs": [], "instances": []}).encode(), "body: has 2 of the fields"),
        (json.dumps({"columns": [], "data": []}).encode(), "body: object contains unknown field `columns`"),
        (json.dumps({"instances": RECORDS, "params": {"t": 1}}).encode(), "params: the model takes no parameters"),
        (json.dumps({"instances": []}).encode(), "body: the list is empty"),
        (json.dumps({"instances": 7}).encode(), "instances: is not a list"),
        (json.dumps({"instances": [7]}).encode(), "[0]: is not a list of values (got 7)"),
        (json.dumps({"instances": [[1]]}).encode(), "[0]: has 1 values where there are 7 columns"),
        (json.dumps({"dataframe_records": [{"id": "f1"}]}).encode(), "[0].distance: is missing"),
        (json.dumps({"dataframe_split": {"columns": ["id", "id"], "data": []}}).encode(), "id: is given twice"),
        (json.dumps({"dataframe_split": {"columns": ["id"], "data": [[7]]}}).encode(), "distance: is missing"),
        (json.dumps({"inputs": {"id": "f1"}}).encode(), "id: is not a list of values (got 'f1')"),
        (dump_input_data(FRAME.assign(distance=[1.0, np.nan])).encode(), "[1].distance: must be a number (got 'null')"),
        (dump_input_data(FRAME.assign(distance=[1.0, np.inf])).encode(), "the body is not JSON"),
        (dump_input_data(FRAME.assign(hour=[1.5, 2])).encode(), "[0].hour: must be a whole number (got 1.5)"),
        (dump_input_data(FRAME.assign(distnce=1)).encode(), "distnce: is not a column here; did you mean 'distance'?"),
        (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body: is nested too deep"),
        (b'{"inputs": [["\\ud800"]]}', "the body is not JSON"),
        (b'{"inputs": [[1e400]]}', None),
        (b'{"inputs": [[' + b"9" * 5_000 + b"]]}", None),
        (b'{"inputs": "\xff"}', None),
        (b'{"inputs": [NaN, "' + b'\\"' * 1_000_000, "the body is not JSON"),  # read in one go, not from every quote on
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_mlflows_words(served: Any, body: bytes, message: str | None) -> None:
    status, said, _ = served.ask(PATH, body)
    assert (status, said["error_code"]) == (400, "BAD_REQUEST")
    assert message is None or said["message"].startswith(message)


def test_error_codes_are_those_that_mlflow_knows(served: Any) -> None:
    status, said, _ = served.ask(PATH + "?version=9", dump_input_data(FRAME).encode())
    assert (status, said["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    many = dump_input_data(pd.concat([FRAME] * 101)).encode()
    status, said, _ = served.ask(PATH, many)
    assert (status, said["error_code"]) == (413, "BAD_REQUEST")
    known = set(ErrorCode.keys())
    assert {"BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED", "RESOURCE_CONFLICT"} <= known
    assert {"REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED"} <= known


def test_a_version_and_a_moment_are_taken_as_everywhere(served: Any) -> None:
    _, said, headers = served.ask(PATH, dump_input_data(FRAME).encode(), x_mainspring_version="2")
    assert said["predictions"] == pytest.approx([0.549834, 0.4750208], abs=1e-6)
    assert headers["x-mainspring-version"] == "2"
    status, said, _ = served.ask(PATH, dump_input_data(FRAME).encode(), x_mainspring_at="2113-01-01T00:00Z")
    assert (status, said["message"].startswith("x-mainspring-at: lies in the future")) == (400, True)
    status, said, _ = served.ask(PATH + "?version=1", dump_input_data(FRAME).encode(), x_mainspring_version="2")
    assert (status, said["message"]) == (400, "version: is stated twice (got ['1', '2']); state one version")
