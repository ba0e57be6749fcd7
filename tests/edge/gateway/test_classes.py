"""Several classes at a real gateway: a challenger with a class that is no number, and versions that know other ones."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from onnx import TensorProto, helper

from mainspring.kernel.schema import Column, Signature
from mainspring.log.records import ClassOutcomes, ScoredVectors
from mainspring.serving.routing import Package, ReleaseRoute, ShadowRoute, VersionRoute
from mainspring.testing.models import COLUMNS, model_route, routing

INPUTS = (Column("distance", "float"),)
ROW = {"id": "f1", "distance": 1.0, "carrier": "UA"}


def graph(weights: list[float]) -> bytes:
    """Return a graph that answers the softmax of ``weight · distance``, one a class."""
    constant = helper.make_tensor("w", TensorProto.FLOAT, [1, len(weights)], weights)
    nodes = [helper.make_node("MatMul", ["distance", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"], axis=1)]
    given = helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])
    made = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, len(weights)])
    whole = helper.make_graph(nodes, "softmax", [given], [made], [constant])
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())


def version(site: Any, number: int, weights: list[float], classes: tuple[Any, ...]) -> VersionRoute:
    package = Package({"model.onnx": site.blobs.put(graph(weights))}, "onnx", in_gateway=True)
    signature = Signature("multiclass", INPUTS, COLUMNS, classes=classes)
    return VersionRoute(f"ver_{number}", number, package, signature)


def up(site: Any, champion: VersionRoute, challenger: VersionRoute, **changes: Any) -> None:
    route = model_route(champion, outcome_kind="class", **changes)
    site.publish(routing(1, route, [champion, challenger]))
    site.gateway()
    site.ready()


def test_one_class_that_is_no_number_is_a_fault_and_the_stable_version_answers(site: Any) -> None:
    good = version(site, 1, [0.0, 1.0, 0.0], ("a", "b", "c"))
    bad = version(site, 2, [0.0, float("nan"), 0.0], ("a", "b", "c"))
    up(site, good, bad, release=ReleaseRoute("rel_1", 1, "salt", "ver_2", 1.0))
    status, said, _ = site.ask("/predict/late", ROW)
    assert (status, said["version"], said["class"]) == (200, 1, "b")
    site.wait(lambda: len(site.records(ScoredVectors)) == 2)
    tried, answered = site.records(ScoredVectors)
    assert (tried.version, tried.status, tried.reason, tried.outputs, tried.vectors) == (
        "ver_2", "invalid", "invalid", (None,), (None,),
    )  # fmt: skip
    assert (answered.version, answered.role, answered.parts) == ("ver_1", "fallback", ("a", "b", "c"))
    assert answered.vectors[0] == pytest.approx(tuple(said["probabilities"].values()))


def test_versions_that_know_other_classes_answer_side_by_side(site: Any) -> None:
    old = version(site, 1, [0.0, 1.0], ("a", "b"))
    new = version(site, 2, [0.0, 1.0, 2.0], ("c", "a", "b"))
    up(site, old, new, release=ReleaseRoute("rel_1", 1, "salt", "ver_2", 0.5), shadows=(ShadowRoute("ver_1", "rel_1"),))
    rows = [{**ROW, "id": f"f{number}"} for number in range(40)]
    status, said, _ = site.ask("/predict/late", rows)
    assert status == 200
    by_version = {one["version"]: list(one["probabilities"]) for one in said["predictions"]}
    assert by_version == {1: ["a", "b"], 2: ["c", "a", "b"]}
    inputs = [
        {"name": name, "shape": [40], "datatype": kind, "data": [row[name] for row in rows]}
        for name, kind in (("id", "BYTES"), ("distance", "FP64"), ("carrier", "BYTES"))
    ]
    status, told, _ = site.ask("/v2/models/late/infer", {"inputs": inputs})
    assert status == 200, told
    outputs = {one["name"]: one for one in told["outputs"]}
    assert sorted(json.loads(told["parameters"]["classes"])) == ["a", "b", "c"]
    assert outputs["probabilities"]["shape"] == [40, 3]
    place = json.loads(told["parameters"]["classes"]).index("c")
    unknown = [numbers for numbers in outputs["probabilities"]["data"][place::3] if numbers == 0.0]
    assert len(unknown) == outputs["version"]["data"].count(1), "who does not know a class gives it nothing"


@pytest.mark.parametrize(
    ("classes", "came", "label", "wrong"),
    [((1, 2, 3), 2, "2", "two"), ((False, True), True, "true", 1)],
)
def test_outcomes_are_of_the_classes_own_kind(
    site: Any, classes: tuple[Any, ...], came: Any, label: str, wrong: Any
) -> None:
    one = version(site, 1, [0.1 * place for place in range(len(classes))], classes)
    up(site, one, msgspec.structs.replace(one, id="ver_2", number=2))
    status, said, _ = site.ask("/predict/late", ROW)
    assert (status, said["class"]) == (200, classes[-1])
    assert site.ask("/outcomes/late", {"id": "f1", "value": came})[:2] == (202, {"accepted": 1})
    status, refused, _ = site.ask("/outcomes/late", {"id": "f1", "value": wrong})
    assert (status, refused["field"]) == (400, "value")
    site.wait(lambda: site.records(ClassOutcomes))
    (kept,) = site.records(ClassOutcomes)
    assert (kept.entities, kept.labels, kept.values) == (("f1",), (label,), ())
