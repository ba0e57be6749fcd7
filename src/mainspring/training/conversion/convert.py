"""Which estimators become graphs: trees and linear models by hand, the rest through skl2onnx where that works.

Trees are those of scikit-learn's histogram boosting, of XGBoost and of LightGBM.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mainspring.kernel.schema import Signature
from mainspring.training.answers import class_places
from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import OUTPUT, CannotConvert, GraphWriter, Tensor, input_tensors
from mainspring.training.conversion.lightgbm import ZERO, LightGbmTrees
from mainspring.training.conversion.steps import transform
from mainspring.training.conversion.trees import boosted_trees
from mainspring.training.conversion.xgboost import xgboost_trees

BOOSTED = frozenset({"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"})
LINEAR = frozenset({"LinearRegression", "Ridge", "Lasso", "ElasticNet", "RidgeCV", "LassoCV", "ElasticNetCV"})
LOGISTIC = frozenset({"LogisticRegression", "LogisticRegressionCV"})
PACKED = "mainspring_inputs"
EXPONENTIAL = frozenset({"poisson", "gamma"})


def to_onnx(estimator: Any, signature: Signature) -> bytes:
    """Return a graph with one input a column and one output: P(positive), the estimate, or P(class) ``(n, k)``.

    Raises ``CannotConvert`` with the reason. The result is a claim: prove it with ``parity.prove`` before use.
    """
    if signature.task not in ("binary", "regression", "multiclass"):
        raise CannotConvert(f"{signature.task} answers are not written as a graph yet")
    try:
        return _by_hand(estimator, signature)
    except CannotConvert as refusal:
        return _by_skl2onnx(estimator, signature, refusal)


def splits(estimator: Any, signature: Signature, most: int = 20) -> dict[str, list[float]]:
    """Return thresholds of the trees, spread over all, for each input that reaches them as it is: the hardest rows."""
    steps, last = _taken_apart(estimator)
    graph = GraphWriter()
    try:
        columns = list(input_tensors(signature).values())
        for step in steps:
            columns = transform(graph, step, columns)
        thresholds = _ensemble(last)[0].thresholds
    except CannotConvert:
        return {}
    names = [column.name for column in columns for _ in range(column.width)]
    known = {column.name for column in signature.inputs}
    found: dict[str, list[float]] = {column.name: [] for column in signature.inputs}
    for feature, values in thresholds.items():
        if names[feature] in known:
            distinct = sorted(set(values))
            found[names[feature]] += distinct[:: max(1, len(distinct) // most)][:most]
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
    inputs = graph.joined(columns)
    sparse = _is_sparse(steps)
    if sparse and _library(last) == "xgboost":
        inputs = _zeros_missing(graph, inputs)  # in a sparse matrix XGBoost takes a zero for a missing value
    answer = _answer(graph, last, inputs, sparse=sparse)
    if signature.task != "multiclass":
        return graph.finish(signature.inputs, answer)
    order = graph.constant(_order(last, signature))
    return graph.finish(signature.inputs, graph.add("Gather", [answer, order], axis=1), len(signature.classes))


def _taken_apart(estimator: Any) -> tuple[list[Any], Any]:
    if type(estimator).__name__ != "Pipeline":
        return [], estimator
    return [step for _, step in estimator.steps[:-1]], estimator.steps[-1][1]


def _answer(graph: GraphWriter, last: Any, inputs: Tensor, *, sparse: bool) -> str:
    name = type(last).__name__
    if _library(last) == "lightgbm":
        return _lightgbm(graph, last, inputs, sparse=sparse)
    if _library(last) not in ("sklearn", "xgboost"):
        raise CannotConvert(f"{name} is not an estimator of scikit-learn, XGBoost or LightGBM")
    if name in BOOSTED or _library(last) == "xgboost":
        ensemble, base, operator = _ensemble(last)
        return _last(graph, operator, ensemble.write(graph, inputs.name, base))
    if name in LINEAR or name in LOGISTIC:
        coefficients = np.atleast_2d(np.asarray(last.coef_, dtype=np.float64))
        if coefficients.shape[0] != 1 and name in LINEAR:
            raise CannotConvert("more than one target is not written as a graph yet")
        raw = graph.add("MatMul", [inputs.name, graph.constant(coefficients.T)])
        intercept = np.reshape(np.asarray(last.intercept_, dtype=np.float64), (1, -1))
        raw = graph.add("Add", [raw, graph.constant(intercept)])
        if name in LINEAR:
            return raw
        return _last(graph, "Sigmoid" if coefficients.shape[0] == 1 else "Softmax", raw)
    raise CannotConvert(f"{name} has no graph nodes here")


def _last(graph: GraphWriter, operator: str, raw: str) -> str:
    """Append what follows the sums: none, or the operator that makes probabilities or rates of them."""
    if operator == "Identity":
        return raw
    return graph.add(operator, [raw], axis=1) if operator == "Softmax" else graph.add(operator, [raw])


def _order(last: Any, signature: Signature) -> np.typing.NDArray[np.int64]:
    """Return which of the estimator's classes each class of the signature is."""
    places = class_places(list(last.classes_), signature.classes)
    if sorted(places) != list(range(len(signature.classes))) or len(places) == 2:
        raise CannotConvert("knows not every class of the model, or two alone")
    return np.argsort(np.array(places)).astype(np.int64)


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]


def _ensemble(last: Any) -> tuple[Ensemble, list[float], str]:
    """Return the trees of an estimator, what their sums begin with, and the operator that follows them."""
    name = type(last).__name__
    if name in BOOSTED and _library(last) == "sklearn":
        ensemble, base = boosted_trees(last)
        if name.endswith("Classifier"):
            return ensemble, base, "Sigmoid" if len(base) == 1 else "Softmax"
        return ensemble, base, "Exp" if last.loss in EXPONENTIAL else "Identity"
    if _library(last) == "xgboost" and hasattr(last, "get_booster"):
        return xgboost_trees(last)
    if _library(last) == "lightgbm" and hasattr(last, "booster_"):
        trees = LightGbmTrees(last)
        return trees.ensemble, [0.0] * trees.targets, trees.last
    raise CannotConvert(f"{name} has no trees that are written as a graph here")


def _lightgbm(graph: GraphWriter, last: Any, inputs: Tensor, *, sparse: bool) -> str:
    trees = LightGbmTrees(last)
    name = inputs.name
    if trees.none:
        unseen = graph.add("And", [graph.add("IsNaN", [name]), _mask(graph, inputs, trees.none)])
        name = graph.add("Where", [unseen, graph.constant(np.zeros((1, 1))), name])
    if trees.zero or (trees.splits_at_zero and not sparse):
        small = graph.constant(np.full((1, 1), ZERO))
        zero = graph.add("LessOrEqual", [graph.add("Abs", [name]), small])
        if sparse:  # there LightGBM takes numbers as they are, except where zero stands for missing
            zero = graph.add("And", [zero, _mask(graph, inputs, trees.zero)])
        meant = np.zeros((1, inputs.width))
        meant[0, trees.zero] = np.nan
        name = graph.add("Where", [zero, graph.constant(meant), name])
    raw = trees.ensemble.write(graph, name, [0.0] * trees.targets)
    if trees.scale != 1.0:
        raw = graph.add("Mul", [raw, graph.constant(np.full((1, 1), trees.scale))])
    return _last(graph, trees.last, raw)


def _mask(graph: GraphWriter, inputs: Tensor, features: list[int]) -> str:
    mask = np.zeros((1, inputs.width), dtype=np.bool_)
    mask[0, features] = True
    return graph.constant(mask)


def _is_sparse(steps: list[Any]) -> bool:
    """Say whether the last step receives a sparse matrix, as the fitted steps before it tell."""
    for step in reversed(steps):
        name = type(step).__name__
        if name == "ColumnTransformer":
            return bool(step.sparse_output_)
        if name == "OneHotEncoder":
            return bool(step.sparse_output)
        if name == "Pipeline":
            return _is_sparse([part for _, part in step.steps])
        if name not in ("StandardScaler", "str"):
            return False
    return False


def _zeros_missing(graph: GraphWriter, inputs: Tensor) -> Tensor:
    zero = graph.add("Equal", [inputs.name, graph.constant(np.zeros((1, 1)))])
    missing = graph.constant(np.full((1, 1), np.nan))
    return Tensor(graph.add("Where", [zero, missing, inputs.name]), inputs.width)


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
    options = {id(_taken_apart(estimator)[1]): {"zipmap": False}} if classifies else None
    try:
        model = convert_sklearn(estimator, initial_types=kinds, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
        order = _order(_taken_apart(estimator)[1], signature) if signature.task == "multiclass" else np.array([1])
        return _in_our_shape(model, signature, order)
    except Exception as error:  # whatever a converter of other people's raises, the estimator still runs as it is
        raise CannotConvert(f"{refusal.what}; skl2onnx: {type(error).__name__}: {str(error)[:200]}") from error


def _has_named_columns(estimator: Any) -> bool:
    steps, last = _taken_apart(estimator)
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
