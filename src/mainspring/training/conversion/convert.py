"""Which estimators become graphs: trees and linear models by hand, the rest through skl2onnx where that works."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mainspring.kernel.schema import Signature
from mainspring.training.conversion.graph import OUTPUT, CannotConvert, GraphWriter, Tensor, input_tensors
from mainspring.training.conversion.steps import transform
from mainspring.training.conversion.trees import boosted_trees

BOOSTED = frozenset({"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"})
LINEAR = frozenset({"LinearRegression", "Ridge", "Lasso", "ElasticNet", "RidgeCV", "LassoCV", "ElasticNetCV"})
LOGISTIC = frozenset({"LogisticRegression", "LogisticRegressionCV"})
PACKED = "mainspring_inputs"
EXPONENTIAL = frozenset({"poisson", "gamma"})


def to_onnx(estimator: Any, signature: Signature) -> bytes:
    """Return a graph with one input a column and one output ``output`` ``(n, 1)``: P(positive) or the estimate.

    Raises ``CannotConvert`` with the reason. The result is a claim: prove it with ``parity.prove`` before use.
    """
    if signature.task not in ("binary", "regression"):
        raise CannotConvert(f"{signature.task} answers are not written as a graph yet")
    try:
        return _by_hand(estimator, signature)
    except CannotConvert as refusal:
        return _by_skl2onnx(estimator, signature, refusal)


def splits(estimator: Any, signature: Signature, most: int = 5) -> dict[str, list[float]]:
    """Return some thresholds of the trees for each input that reaches them as it is: the hardest rows."""
    steps, last = _taken_apart(estimator)
    if type(last).__name__ not in BOOSTED:
        return {}
    graph = GraphWriter()
    try:
        columns = list(input_tensors(signature).values())
        for step in steps:
            columns = transform(graph, step, columns)
    except CannotConvert:
        return {}
    names = [column.name for column in columns for _ in range(column.width)]
    found: dict[str, list[float]] = {column.name: [] for column in signature.inputs}
    for tree in last._predictors:
        for node in tree[0].nodes:
            values = found.get(names[node["feature_idx"]])
            if values is not None and not node["is_leaf"] and len(values) < most:
                values.append(float(node["num_threshold"]))
    return found


def _by_hand(estimator: Any, signature: Signature) -> bytes:
    graph = GraphWriter()
    columns = list(input_tensors(signature).values())
    steps, last = _taken_apart(estimator)
    known = list(getattr(estimator, "feature_names_in_", ()))
    if known and known != [column.name for column in columns]:
        raise CannotConvert("was fitted on other columns than the model's inputs")
    for step in steps:
        columns = transform(graph, step, columns)
    if any(column.text for column in columns):
        raise CannotConvert("text reaches the last step")
    return graph.finish(signature.inputs, _answer(graph, last, graph.joined(columns)))


def _taken_apart(estimator: Any) -> tuple[list[Any], Any]:
    if type(estimator).__name__ != "Pipeline":
        return [], estimator
    return [step for _, step in estimator.steps[:-1]], estimator.steps[-1][1]


def _answer(graph: GraphWriter, last: Any, inputs: Tensor) -> str:
    name = type(last).__name__
    if not type(last).__module__.startswith("sklearn."):
        raise CannotConvert(f"{name} is not an estimator of scikit-learn")
    if name in BOOSTED:
        raw = graph.add("Cast", [boosted_trees(graph, last, inputs)], to=TensorProto.DOUBLE)
        if name.endswith("Classifier"):
            return graph.add("Sigmoid", [raw])
        return graph.add("Exp", [raw]) if last.loss in EXPONENTIAL else raw
    if name in LINEAR or name in LOGISTIC:
        coefficients = np.atleast_2d(np.asarray(last.coef_, dtype=np.float64))
        if coefficients.shape[0] != 1:
            raise CannotConvert("more than one target or more than two classes are not written as a graph yet")
        raw = graph.add("MatMul", [inputs.name, graph.constant(coefficients.T)])
        intercept = np.reshape(np.asarray(last.intercept_, dtype=np.float64), (1, 1))
        raw = graph.add("Add", [raw, graph.constant(intercept)])
        return graph.add("Sigmoid", [raw]) if name in LOGISTIC else raw
    raise CannotConvert(f"{name} has no graph nodes here")


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
    options = {id(_taken_apart(estimator)[1]): {"zipmap": False}} if signature.task == "binary" else None
    try:
        model = convert_sklearn(estimator, initial_types=kinds, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        return _in_our_shape(model, signature)
    except Exception as error:  # whatever a converter of other people's raises, the estimator still runs as it is
        raise CannotConvert(f"{refusal.what}; skl2onnx: {type(error).__name__}: {str(error)[:200]}") from error


def _has_named_columns(estimator: Any) -> bool:
    steps, last = _taken_apart(estimator)
    return any(type(step).__name__ == "ColumnTransformer" for step in (*steps, last))


def _in_our_shape(model: Any, signature: Signature) -> bytes:
    """Give a graph one input a column and one output, whatever it had."""
    graph = model.graph
    if [one.name for one in graph.input] == [PACKED]:
        del graph.input[:]
        names = [column.name for column in signature.inputs]
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names)
        graph.node.insert(0, helper.make_node("Concat", names, [PACKED], axis=1))
    answer = graph.output[-1].name
    if signature.task == "binary":
        graph.initializer.append(helper.make_tensor("mainspring_positive", TensorProto.INT64, [1], [1]))
        node = helper.make_node("Gather", [answer, "mainspring_positive"], [OUTPUT], axis=1)
    else:
        node = helper.make_node("Identity", [answer], [OUTPUT])
    graph.node.append(node)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
