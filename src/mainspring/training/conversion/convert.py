"""From a fitted estimator to a graph: written here in double precision, or through skl2onnx where that works."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mainspring.kernel.schema import Signature
from mainspring.training.answers import class_places
from mainspring.training.conversion.estimators import taken_apart, write
from mainspring.training.conversion.graph import OUTPUT, CannotConvert, GraphWriter, input_tensors

PACKED = "mainspring_inputs"


def to_onnx(estimator: Any, signature: Signature) -> bytes:
    """Return a graph with one input a column and one output: P(positive), the estimate, or P(class) ``(n, k)``.

    Raises ``CannotConvert`` with the reason. The result is a claim: prove it with ``parity.prove`` before use.
    """
    if signature.task not in ("binary", "regression", "multiclass"):
        raise CannotConvert(f"{signature.task} answers are not written as a graph yet")
    try:
        return _by_hand(estimator, signature)
    except CannotConvert as refusal:
        if refusal.remedy:  # what the user may change is better than what another converter makes of it
            raise
        return _by_skl2onnx(estimator, signature, refusal)


def splits(estimator: Any, signature: Signature, most: int = 20) -> dict[str, list[float]]:
    """Return thresholds of the trees, spread over all, for each input that reaches them: the hardest rows.

    Where an input is scaled first, they are the values that are scaled to the thresholds.
    """
    graph = GraphWriter()
    try:
        write(graph, estimator, list(input_tensors(signature).values()), _method(signature))
    except CannotConvert:
        return {}
    found: dict[str, list[float]] = {column.name: [] for column in signature.inputs}
    for name, values in graph.splits.items():
        distinct = sorted(set(values))
        found[name] = distinct[:: max(1, len(distinct) // most)][:most]
    return found


def _by_hand(estimator: Any, signature: Signature) -> bytes:
    graph = GraphWriter()
    columns = list(input_tensors(signature).values())
    known = list(getattr(estimator, "feature_names_in_", ()))
    if known and known != [column.name for column in columns]:
        raise CannotConvert("was fitted on other columns than the model's inputs")
    answer = write(graph, estimator, columns, _method(signature))
    if signature.task != "multiclass":
        return graph.finish(signature.inputs, answer)
    order = graph.constant(_order(taken_apart(estimator)[1], signature))
    return graph.finish(signature.inputs, graph.add("Gather", [answer, order], axis=1), len(signature.classes))


def _method(signature: Signature) -> str:
    return "predict" if signature.task == "regression" else "predict_proba"


def _order(last: Any, signature: Signature) -> np.typing.NDArray[np.int64]:
    """Return which of the estimator's classes each class of the signature is."""
    places = class_places(list(last.classes_), signature.classes)
    if sorted(places) != list(range(len(signature.classes))) or len(places) == 2:
        raise CannotConvert("knows not every class of the model, or two alone")
    return np.argsort(np.array(places)).astype(np.int64)


def _by_skl2onnx(estimator: Any, signature: Signature, refusal: CannotConvert) -> bytes:
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    except ImportError:
        raise refusal from None
    numeric = all(column.kind != "str" for column in signature.inputs)
    if numeric and not _has_named_columns(estimator):
        kinds = [(PACKED, FloatTensorType([None, len(signature.inputs)]))]
    else:
        kinds = [
            (column.name, StringTensorType([None, 1]) if column.kind == "str" else FloatTensorType([None, 1]))
            for column in signature.inputs
        ]
    classifies = signature.task != "regression"
    options = {id(taken_apart(estimator)[1]): {"zipmap": False}} if classifies else None
    try:
        model = convert_sklearn(estimator, initial_types=kinds, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        order = _order(taken_apart(estimator)[1], signature) if signature.task == "multiclass" else np.array([1])
        return _in_our_shape(model, signature, order)
    except Exception as error:  # whatever a converter of other people's raises, the estimator still runs as it is
        raise CannotConvert(f"{refusal.what}; skl2onnx: {type(error).__name__}: {str(error)[:200]}") from error


def _has_named_columns(estimator: Any) -> bool:
    steps, last = taken_apart(estimator)
    return any(type(step).__name__ == "ColumnTransformer" for step in (*steps, last))


def _in_our_shape(model: Any, signature: Signature, order: np.typing.NDArray[np.int64]) -> bytes:
    """Give a graph one input a column and one output, whatever it had: of probabilities those that ``order`` names."""
    graph = model.graph
    if [one.name for one in graph.input] == [PACKED]:
        del graph.input[:]
        names = [column.name for column in signature.inputs]
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names)
        graph.node.insert(0, helper.make_node("Concat", names, [PACKED], axis=1))
    answer = graph.output[-1].name
    if signature.task != "regression":
        graph.initializer.append(helper.make_tensor("mainspring_classes", TensorProto.INT64, [len(order)], order))
        node = helper.make_node("Gather", [answer, "mainspring_classes"], [OUTPUT], axis=1)
    else:
        node = helper.make_node("Identity", [answer], [OUTPUT])
    graph.node.append(node)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, len(order)]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
