"""The Open Inference Protocol, asked by NVIDIA's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from mainspring.log.records import Request, Scored

PATH = "/v2/models/late/infer"
VALUES = {
    "id": np.array(["f1", "f2"], dtype=np.object_),
    "distance": np.array([100.0, -100.0], dtype=np.float32),
    "hour": np.array([10, 0], dtype=np.int64),
    "night": np.array([True, False]),
}
EXPECTED = [0.8807971, 0.2689414]  # logistic(2), logistic(-1)


@pytest.fixture
def client(served: Any) -> Iterator[Any]:
    made = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    yield made
    made.close()


def tensors(binary: bool = True, **changes: Any) -> list[Any]:
    made = []
    for name, values in {**VALUES, **changes}.items():
        tensor = triton.InferInput(name, list(values.shape), triton_type(values))
        made.append(tensor.set_data_from_numpy(values, binary_data=binary))
    return made


def triton_type(values: Any) -> str:
    if values.dtype == np.object_:
        return "BYTES"
    return {"f": "FP", "i": "INT", "u": "UINT", "b": "BOOL"}[values.dtype.kind] + (
        "" if values.dtype == bool else str(values.dtype.itemsize * 8)
    )


def test_the_server_and_its_model_are_told(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "2")
    assert not client.is_model_ready("late", "9")
    assert not client.is_model_ready("early")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = client.get_model_metadata("late")
    assert (told["name"], told["versions"]) == ("late", ["1", "2"])
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [
        ("id", "BYTES", [-1]), ("distance", "FP64", [-1]), ("hour", "INT64", [-1]), ("night", "BOOL", [-1]),
        ("wind", "FP64", [-1]), ("carrier", "BYTES", [-1]), ("sched", "BYTES", [-1]),
    ]  # fmt: skip
    assert [(one["name"], one["datatype"]) for one in told["outputs"]] == [
        ("value", "FP64"), ("decision", "BOOL"), ("version", "INT64"),
    ]  # fmt: skip


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_rows_are_answered_in_json_and_in_bytes(client: Any, binary_in: bool, binary_out: bool) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("value", "decision", "version")]
    result = client.infer("late", tensors(binary_in), request_id="mine-7", outputs=wanted)
    assert result.as_numpy("value") == pytest.approx(EXPECTED, abs=1e-6)
    assert result.as_numpy("decision").tolist() == [True, False]
    assert result.as_numpy("version").tolist() == [1, 1]
    said = result.get_response()
    assert (said["model_name"], said["model_version"], said["id"]) == ("late", "1", "mine-7")


def test_every_output_comes_as_bytes_unless_some_are_chosen(client: Any) -> None:
    result = client.infer("late", tensors())
    assert [one["name"] for one in result.get_response()["outputs"]] == ["value", "decision", "version"]
    chosen = client.infer("late", tensors(), outputs=[triton.InferRequestedOutput("version")])
    assert [one["name"] for one in chosen.get_response()["outputs"]] == ["version"]
    assert chosen.as_numpy("version").tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"])
def test_every_kind_of_whole_number_is_taken(client: Any, kind: str) -> None:
    result = client.infer("late", tensors(hour=np.array([10, 0], dtype=kind)))
    assert result.as_numpy("value") == pytest.approx(EXPECTED, abs=1e-6)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("binary", [True, False])
def test_every_kind_of_number_is_taken_for_a_float(client: Any, kind: str, binary: bool) -> None:
    result = client.infer("late", tensors(binary, distance=np.array([100, -100], dtype=kind)))
    assert result.as_numpy("value") == pytest.approx(EXPECTED, abs=1e-6)


def test_a_column_of_shape_rows_by_one_is_taken(client: Any) -> None:
    result = client.infer("late", tensors(distance=np.array([[100.0], [-100.0]])))
    assert result.as_numpy("value") == pytest.approx(EXPECTED, abs=1e-6)


def test_a_version_in_the_path_answers(client: Any, served: Any) -> None:
    result = client.infer("late", tensors(), model_version="2")
    assert result.as_numpy("value") == pytest.approx([0.549834, 0.4750208], abs=1e-6)
    assert result.get_response()["model_version"] == "2"
    served.wait(lambda: any(one.role == "pinned" for one in served.records(Scored)))


def test_what_is_missing_is_nan_in_bytes_or_left_out(client: Any, served: Any) -> None:
    given = tensors(
        wind=np.array([np.nan, 3.5]), sched=np.array(["2013-05-03T12:00Z", "2013-05-03T13:00Z"], dtype=np.object_)
    )
    id = client.infer("late", given).get_response()["parameters"]["prediction_id"]
    served.wait(lambda: any(one.prediction_id == id for one in served.records(Scored)))
    logged = next(one for one in served.records(Request) if one.prediction_id == id)
    assert json.loads(logged.body) == [
        {"id": "f1", "distance": 100.0, "hour": 10, "night": True, "wind": None, "carrier": None,
         "sched": "2013-05-03T12:00Z"},
        {"id": "f2", "distance": -100.0, "hour": 0, "night": False, "wind": 3.5, "carrier": None,
         "sched": "2013-05-03T13:00Z"},
    ]  # fmt: skip
    assert logged.entities == ("f1", "f2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"distance": np.array([1.0, np.nan])},
            "[1].distance: is not a finite number (got nan); send a number",
        ),
        (
            {"wind": np.array([1.0, np.inf])},
            "[1].wind: is not a finite number (got inf); send NaN if it is missing",
        ),
        (
            {"hour": np.array([1.0, 2.0])},
            "hour: has a datatype that does not fit (got 'FP64'); send it as INT64",
        ),
        (
            {"hour": np.array([1, 2**63], dtype=np.uint64)},
            "[1].hour: does not fit in 64 bits (got 9223372036854775808)",
        ),
        (
            {"hour": np.array([1, 2, 3])},
            "hour: has 3 values where id has 2; send as many values in every column",
        ),
        ({"hours": np.array([1, 2])}, "hours: is not an input here; did you mean 'hour'?"),
        (
            {"sched": np.array(["noon", "noon"], dtype=np.object_)},
            "[0].sched: is not an ISO 8601 time (got 'noon'); write it like 2013-05-03T12:00Z",
        ),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_is_refused_by_name(client: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer("late", tensors(**changes))
    assert refused.value.status() == "400"
    assert refused.value.message() == message


def test_an_unknown_output_model_or_version_is_refused(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="did you mean 'value'") as refused:
        client.infer("late", tensors(), outputs=[triton.InferRequestedOutput("values")])
    assert refused.value.status() == "400"
    with pytest.raises(InferenceServerException, match="no such model") as refused:
        client.infer("early", tensors())
    assert refused.value.status() == "404"
    with pytest.raises(InferenceServerException, match="no such version") as refused:
        client.infer("late", tensors(), model_version="9")
    assert refused.value.status() == "404"


def test_a_compressed_body_is_refused_unread(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="is not taken") as refused:
        client.infer("late", tensors(), request_compression_algorithm="gzip")
    assert refused.value.status() == "415"


HEAD = {
    "inputs": [
        {"name": "id", "shape": [1], "datatype": "BYTES", "data": ["f1"]},
        {"name": "distance", "shape": [1], "datatype": "FP64", "data": [1.0]},
        {"name": "hour", "shape": [1], "datatype": "INT64", "data": [1]},
        {"name": "night", "shape": [1], "datatype": "BOOL", "data": [True]},
    ]
}


def with_binary(shape: Any, datatype: str, size: Any, name: str = "hour") -> dict[str, Any]:
    tensor = {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    return {"inputs": [one for one in HEAD["inputs"] if one["name"] != name] + [tensor]}


@pytest.mark.parametrize(
    ("head", "behind", "message"),
    [
        (with_binary([1], "INT64", 8), b"\1" + bytes(6), "hour: claims bytes that are not there: 7 are left"),
        (with_binary([1], "INT64", 7), b"\1" + bytes(6), "hour: has 7 bytes where its shape and datatype make 8"),
        (with_binary([1], "INT64", 8), bytes(9), "body: holds 1 bytes that no input claims"),
        (with_binary([1], "INT64", -8), bytes(8), "hour: claims bytes that are not there: 8 are left"),
        (with_binary([1], "INT64", True), bytes(8), "hour: claims bytes that are not there: 8 are left"),
        (with_binary([1], "INT64", 1e300), bytes(8), "hour: claims bytes that are not there: 8 are left"),
        (with_binary([2**62], "INT64", 8), bytes(8), "hour: has 8 bytes where its shape and datatype make"),
        (with_binary([1, 2], "INT64", 8), bytes(8), "hour: has a shape that does not fit a column (got [1, 2])"),
        (with_binary([], "INT64", 8), bytes(8), "hour: has a shape that does not fit a column (got [])"),
        (with_binary([-1], "INT64", 8), bytes(8), "hour: has a shape that does not fit a column (got [-1])"),
        (with_binary([1], "BF16", 2), bytes(2), "hour: has a datatype that does not fit (got 'BF16')"),
        (with_binary([1], "BOOL", 1, "night"), b"\2", "night: holds bytes that are neither 0 nor 1"),
        (with_binary([1], "BYTES", 4, "id"), b"\xff\xff\xff\xff", "[0].id: claims a text that is longer than"),
        (with_binary([1], "BYTES", 3, "id"), bytes(3), "id: has bytes behind its last text"),
        (with_binary([1], "BYTES", 8, "id"), bytes(8), "id: has bytes behind its last text"),
        (with_binary([1], "BYTES", 0, "id"), b"", "id: has 0 values where its shape says 1"),
        (with_binary([1], "BYTES", 5, "id"), b"\1\0\0\0\xff", "[0].id: is not UTF-8 text"),
    ],
)  # fmt: skip
def test_bytes_behind_the_json_that_do_not_add_up_are_refused(
    served: Any, head: Any, behind: bytes, message: str
) -> None:
    text = json.dumps(head).encode()
    status, said, _ = served.ask(PATH, text + behind, inference_header_content_length=str(len(text)))
    assert status == 400
    assert said["error"].startswith(message)


@pytest.mark.parametrize("length", ["9999", "-1", "1e3", "9" * 5_000, ""])
def test_a_length_of_the_json_that_cannot_be_is_refused(served: Any, length: str) -> None:
    status, said, _ = served.ask(PATH, HEAD, inference_header_content_length=length)
    assert status == 400
    assert said["error"].startswith("inference-header-content-length: is not the length of the JSON")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"[]", "body: expected `object`, got `array`"),
        (b'{"inputs": ' + b"[" * 100_000, None),
        (b'{"inputs": [], "parameters": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "body: is nested too deep"),
        (json.dumps({"inputs": [], "input": []}).encode(), "body: object contains unknown field `input`"),
        (json.dumps({"inputs": []}).encode(), "id: is missing; send every column"),
        (json.dumps(HEAD).replace("1.0", "NaN").encode(), "the body is not JSON"),
        (json.dumps(HEAD).replace("1.0", "1e400").encode(), None),
        (json.dumps(HEAD).replace('"f1"', '"\\ud800"').encode(), "the body is not JSON"),
        (json.dumps(HEAD).replace("[1.0]", "[true]").encode(), "[0].distance: must be a number (got True)"),
        (json.dumps(HEAD).replace("[1.0]", "[null]").encode(), "[0].distance: must be a number (got 'null')"),
        (json.dumps(HEAD).replace("INT64", "INT8").replace("[1]}", "[300]}").encode(), None),
        (json.dumps({**HEAD, "parameters": {"sequence_id": 7}}).encode(), "sequence_id: the model keeps no state"),
        (json.dumps({**HEAD, "parameters": {"binary_data_output": 1}}).encode(), "binary_data_output: must be true"),
        (json.dumps({"inputs": HEAD["inputs"] * 2}).encode(), "id: is given twice"),
    ],
)  # fmt: skip
def test_json_that_is_no_request_is_refused(served: Any, body: bytes, message: str | None) -> None:
    status, said, _ = served.ask(PATH, body)
    assert status == 400
    assert message is None or said["error"].startswith(message)


def test_parameters_that_nobody_knows_change_nothing(client: Any) -> None:
    result = client.infer("late", tensors(), parameters={"team": "ops"}, timeout=1_000)
    assert result.as_numpy("value") == pytest.approx(EXPECTED, abs=1e-6)


def test_an_empty_request_and_one_with_too_many_rows_are_refused(client: Any) -> None:
    none = {name: values[:0] for name, values in VALUES.items()}
    with pytest.raises(InferenceServerException, match="the list is empty"):
        client.infer("late", tensors(**none))
    many = {name: np.repeat(values, 101, axis=0) for name, values in VALUES.items()}
    with pytest.raises(InferenceServerException, match="has too many rows") as refused:
        client.infer("late", tensors(**many))
    assert refused.value.status() == "413"
