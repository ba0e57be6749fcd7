"""Which of three airports: declared, trained, asked, told what came true, and decided between versions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.story.classes.conftest import AIRPORTS, ROWS, Told

from mainspring.kernel.errors import MainspringError


def decided(release: dict[str, Any]) -> tuple[str, str]:
    return release["status"], release["decision"]["reason"]


def test_checks_measure_every_class_at_once(told: Told) -> None:
    said = {result["name"]: result for result in told.checks}
    assert said["metric:accuracy"]["status"] == "passed"
    assert 0.4 < said["metric:accuracy"]["numbers"]["value"] < 0.9
    assert said["schema"]["status"] == "passed"


def test_the_classes_are_learnt_in_a_fixed_order_and_the_graph_is_proven(told: Told) -> None:
    version = told.story.verb("version", model="airport", version="2")
    assert version["signature"]["classes"] == list(AIRPORTS)
    proof = version["parity"]
    assert (version["runtime"], proof["equal"], proof["flips"]) == ("onnx", True, 0), proof


def test_a_better_version_is_promoted_on_paired_evidence_of_class_vectors(told: Told) -> None:
    assert decided(told.better) == ("promoted", "better")
    (quality,) = [one for one in told.better["decision"]["measured"] if one["name"] == "quality"]
    assert quality["estimate"] < -0.1
    assert quality["e_promote"] >= quality["promote_at"]
    assert {1, 2} in [set(versions) for versions in told.story.versions], "a canary was met"


def test_a_rule_that_knows_nothing_is_stopped_in_shadow_and_never_answers(told: Told) -> None:
    assert decided(told.worse) == ("rolled_back", "quality_worse")
    assert {version for versions in told.story.versions for version in versions} == {1, 2}


def test_every_request_was_answered(told: Told) -> None:
    assert told.story.failed == []
    assert [sum(versions.values()) for versions in told.story.versions] == [ROWS] * told.story.turn


def test_a_release_is_explained_and_its_numbers_come_out_of_the_log_again(told: Told) -> None:
    explained = told.story.verb("release explain", release=told.better["id"])
    assert "of airport against champion 1" in explained[0]
    assert any("matured" in sentence for sentence in explained), explained
    again = told.story.verb("release recompute", release=told.better["id"])
    assert again
    assert all(one["equal"] is not False for one in again), again


def test_predictions_replay_to_the_byte(told: Told) -> None:
    for id in (told.first, told.story.ids[-1]):
        replayed = told.story.verb("replay", id=id)
        assert (replayed["equal"], replayed["difference"]) == (True, "")
        assert len(replayed["rows"][0]["then"]) == 3
        assert replayed["rows"][0]["then"] == replayed["rows"][0]["again"]


def test_where_versions_disagree_is_told_by_class(told: Told) -> None:
    (whole,) = told.disagreement
    assert whole["rows"] == ROWS
    assert 0.1 < whole["decided_otherwise"] < 0.9
    assert {one["champion_class"] for one in told.sample} <= set(AIRPORTS)
    assert {one["picked"] for one in told.sample} == {"largest", "chance"}


def test_monitors_watch_quality_against_shares_of_classes_and_the_classes_that_are_answered(told: Told) -> None:
    found = {one["monitor"]: one for one in told.story.verb("monitors", model="airport")}
    quality, drift = found["quality"], found["drift"]
    assert quality["matured"] > 0
    assert 0.0 < quality["numbers"]["loss"] < 1.1
    assert "answered class" in drift["numbers"]["effects"]


def test_an_outcome_that_is_no_class_is_kept_counted_and_told(told: Told) -> None:
    assert told.accepted == {"accepted": 3, "unknown_classes": ["PHL"]}
    (quality,) = [one for one in told.story.verb("monitors", model="airport") if one["monitor"] == "quality"]
    assert quality["numbers"]["unknown_classes"] == {"PHL": 3}
    assert "3 came true as what it does not know: PHL" in quality["reason"]
    status, said = told.story.refused("/outcomes/airport", b'{"trip_id": "t1_0", "value": 1.0}')
    assert (status, said["field"]) == (400, "value")


def test_a_rehearsal_foresees_the_same_from_recomputed_class_vectors(told: Told) -> None:
    rehearsed = told.story.verb("rehearse", model="airport", challenger="3", plays=20)
    assert rehearsed["recomputed_rows"] > 0
    assert "rollback in 100.0%" in rehearsed["sentence"]


def test_what_drawing_versions_was_worth_is_told_by_a_loss_and_not_by_the_outcome_itself(told: Told) -> None:
    worth = told.story.verb("value", model="airport", challenger="2", reward="log_loss")
    assert 0.4 < worth["value"]["estimate"] < worth["logged"]["estimate"] + 0.2
    with pytest.raises(MainspringError, match="is a class, which is no amount"):
        told.story.verb("value", model="airport", challenger="2")


def test_a_backtest_asks_whether_retraining_would_have_helped_by_log_loss(told: Told) -> None:
    told.story.verb("ingest")
    found = told.story.verb("backtest", model="airport", origins=2)
    assert (found["metric"], found["rows"] > 0) == ("log_loss", True)
    assert all(0.4 < origin["champion_loss"] < 1.2 for origin in found["origins"] if origin["champion_loss"])


def test_a_file_is_scored_with_a_column_a_class(told: Told, tmp_path: Path, native: Any) -> None:
    pl.DataFrame([ROW, {**ROW, "trip_id": "t1"}]).write_csv(tmp_path / "rows.csv")
    told.story.verb("score", model="airport", file=str(tmp_path / "rows.csv"), out=str(tmp_path / "out.parquet"))
    answers = pl.read_parquet(tmp_path / "out.parquet")
    assert answers["class"].to_list() == ["EWR", "EWR"]
    said = [answers[f"probability.{name}"][0] for name in AIRPORTS]
    assert said == pytest.approx([native["probabilities"][name] for name in AIRPORTS], abs=1e-6)


ROW = {"trip_id": "t0", "x": 1.5, "y": -1.0}


@pytest.fixture(scope="module")
def native(told: Told) -> Any:
    return told.story.http("/predict/airport", json.dumps(ROW).encode())


def test_every_protocol_says_the_class_and_the_probabilities_of_all(told: Told, native: Any) -> None:
    assert (native["version"], native["class"]) == (2, "EWR")
    probabilities = [native["probabilities"][name] for name in AIRPORTS]
    told_as = {"class": "EWR", "probabilities": native["probabilities"]}
    records = json.dumps({"dataframe_records": [ROW]}).encode()
    as_json = {"content-type": "application/json"}
    assert told.story.http("/invocations", records, **as_json) == {"predictions": [told_as]}
    csv = told.story.http(
        "/invocations", b"trip_id,x,y\nt0,1.5,-1.0\n", **{"content-type": "text/csv", "accept": "text/csv"}
    )
    assert csv.decode() == ",".join(["EWR", *map(repr, probabilities)]) + "\n"
    lines = {"content-type": "application/jsonlines", "accept": "application/jsonlines"}
    assert told.story.http("/invocations", json.dumps(ROW).encode(), **lines) == {"version": 2, **told_as}
    tensor = {"class": "EWR", "probabilities": probabilities, "all_classes": list(AIRPORTS)}
    instances = json.dumps({"instances": [ROW]}).encode()
    assert told.story.http("/v1/models/airport:predict", instances) == {"predictions": [tensor]}
    columns = json.dumps({"inputs": {name: [value] for name, value in ROW.items()}}).encode()
    by_column = told.story.http("/v1/models/airport:predict", columns)
    assert by_column == {"outputs": {name: [value] for name, value in tensor.items()}}


def test_the_open_inference_protocol_gives_a_row_of_probabilities(told: Told, native: Any) -> None:
    import tritonclient.http as triton

    client = triton.InferenceServerClient(f"127.0.0.1:{told.story.port}")
    described = client.get_model_metadata("airport")
    assert described["outputs"] == [
        {"name": "class", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
        {"name": "version", "datatype": "INT64", "shape": [-1]},
    ]
    inputs = []
    for name, kind, values in (("trip_id", "BYTES", np.array([b"t0", b"t1"], object)),
                               ("x", "FP64", np.array([1.5, -1.5])), ("y", "FP64", np.array([-1.0, 1.5]))):  # fmt: skip
        inputs.append(triton.InferInput(name, [2], kind))
        inputs[-1].set_data_from_numpy(values)
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("class", "probabilities")]
        answer = client.infer("airport", inputs, outputs=wanted)
        assert answer.as_numpy("class").tolist() in ([b"EWR", b"JFK"], ["EWR", "JFK"])
        assert answer.as_numpy("probabilities").shape == (2, 3)
        assert answer.as_numpy("probabilities")[0].tolist() == [native["probabilities"][name] for name in AIRPORTS]
        assert json.loads(answer.get_response()["parameters"]["classes"]) == list(AIRPORTS)
    client.close()


def test_arrow_has_a_struct_with_a_field_a_class(told: Told, native: Any) -> None:
    import io

    body = io.BytesIO()
    pl.DataFrame([ROW, {**ROW, "x": -1.5, "y": 1.5}]).write_ipc_stream(body)
    kind = {"content-type": "application/vnd.apache.arrow.stream"}
    frame = pl.read_ipc_stream(told.story.http("/predict/airport", body.getvalue(), **kind))
    assert frame["class"].to_list() == ["EWR", "JFK"]
    assert frame["probabilities"][0] == native["probabilities"]
    assert frame["version"].to_list() == [2, 2]


def test_openapi_describes_the_answer(told: Told) -> None:
    document = told.story.http("/openapi.json", None)  # type: ignore[arg-type]
    answer = document["paths"]["/predict/airport"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    one = answer["anyOf"][0]["properties"]
    assert one["class"] == {"type": "string"}
    assert list(one["probabilities"]["properties"]) == list(AIRPORTS)
    told_of = document["paths"]["/outcomes/airport"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert told_of["anyOf"][0]["properties"]["value"] == {"type": "string"}


def test_the_page_shows_the_model_its_releases_and_rows_to_sign_off(told: Told) -> None:
    for path in ("/", "/models/airports/airport", f"/releases/{told.better['id']}"):
        assert "airport" in told.story.page(path)
    assert "Look before you approve" in told.page
    assert re.search(r"(EWR|JFK|LGA) \((EWR|JFK|LGA) 0\.\d\d\)", told.page), (
        "another class, and what it gave to this one"
    )
