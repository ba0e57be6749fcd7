"""Scikit-learn's linear models, support vector machines and small networks as graph nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

ESTIMATES = frozenset({
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso",
    "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LinearSVR",
    "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "QuantileRegressor", "Ridge", "RidgeCV",
    "SGDRegressor", "TheilSenRegressor",
})  # fmt: skip
GENERALISED = frozenset({"GammaRegressor", "PoissonRegressor", "TweedieRegressor"})
PROBABILITIES = frozenset({"LinearDiscriminantAnalysis", "LogisticRegression", "LogisticRegressionCV", "SGDClassifier"})
SOFTMAX = frozenset({"LinearDiscriminantAnalysis", "LogisticRegression", "LogisticRegressionCV"})  # of several classes
DECISIONS = PROBABILITIES | {"LinearSVC", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"}
MACHINES = frozenset({"SVC", "NuSVC", "SVR", "NuSVR"})
NETWORKS = frozenset({"MLPClassifier", "MLPRegressor"})
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "softmax": "Softmax"}
_LIBSVM_LEAST = 1e-7  # libsvm keeps probabilities that far from 0 and 1


def linear(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a linear model: its estimate, its decision value, or the probability that it makes of that."""
    name = type(estimator).__name__
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    several = coefficients.shape[0] != 1
    if several and (name not in SOFTMAX or method != "predict_proba"):
        raise CannotConvert("more than one target or more than two classes are not written as a graph yet")
    raw = graph.add("MatMul", [inputs.name, graph.constant(np.ascontiguousarray(coefficients.T))])
    intercept = np.ravel(np.asarray(estimator.intercept_, dtype=np.float64))
    raw = graph.add("Add", [raw, graph.row(intercept[: coefficients.shape[0]])])
    if name in GENERALISED:
        return graph.add("Exp", [raw]) if _is_log(estimator) else raw
    if method != "predict_proba":
        return raw
    if name == "SGDClassifier" and estimator.loss == "modified_huber":
        low, high, half = graph.number(-1.0), graph.number(1.0), graph.number(0.5)
        raw = graph.add("Where", [graph.add("Less", [raw, low]), low, raw])
        raw = graph.add("Where", [graph.add("Greater", [raw, high]), high, raw])
        return graph.add("Mul", [graph.add("Add", [raw, high]), half])
    return graph.add("Softmax", [raw], axis=1) if several else graph.add("Sigmoid", [raw])


def _is_log(estimator: Any) -> bool:
    if type(estimator).__name__ != "TweedieRegressor":
        return True
    return bool(estimator.link == "log" or (estimator.link == "auto" and estimator.power > 0))


def machine(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a support vector machine by its support vectors."""
    if np.asarray(estimator.dual_coef_).shape[0] != 1:
        raise CannotConvert("more than two classes are not written as a graph yet")
    if getattr(estimator, "_sparse", False):
        raise CannotConvert("a machine that was fitted on a sparse matrix is not written as a graph yet")
    kernel = _kernel(graph, inputs, estimator, np.asarray(estimator.support_vectors_, dtype=np.float64))
    raw = graph.add("MatMul", [kernel, graph.constant(np.asarray(estimator.dual_coef_, dtype=np.float64).T.copy())])
    raw = graph.add("Add", [raw, graph.number(float(np.ravel(estimator.intercept_)[0]))])
    if method != "predict_proba":
        return raw
    slope, shift = (float(np.ravel(one)[0]) for one in (estimator._probA, estimator._probB))
    # libsvm's own decision value has the other sign, and its probability is that of the first class.
    first = graph.add("Add", [graph.add("Mul", [raw, graph.number(slope)]), graph.number(-shift)])
    low, high = graph.number(_LIBSVM_LEAST), graph.number(1 - _LIBSVM_LEAST)
    first = graph.add("Sigmoid", [first])
    first = graph.add("Where", [graph.add("Less", [first, low]), low, first])
    first = graph.add("Where", [graph.add("Greater", [first, high]), high, first])
    return graph.add("Sub", [graph.number(1.0), first])


def naive(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a ``GaussianNB``: one quadratic form, the difference of both classes' log-likelihoods."""
    if len(estimator.classes_) != 2:
        raise CannotConvert("more than two classes are not written as a graph yet")
    means, variances = (np.asarray(one, dtype=np.float64) for one in (estimator.theta_, estimator.var_))
    constant = np.log(estimator.class_prior_) - 0.5 * np.log(2 * np.pi * variances).sum(axis=1)
    found = []
    for place in (0, 1):
        apart = graph.add("Sub", [inputs.name, graph.row(means[place])])
        weights = graph.constant((-0.5 / variances[place]).reshape(-1, 1))
        found.append(graph.add("MatMul", [graph.add("Mul", [apart, apart]), weights]))
    raw = graph.add("Add", [graph.add("Sub", [found[1], found[0]]), graph.number(float(constant[1] - constant[0]))])
    return graph.add("Sigmoid", [raw])


def _kernel(graph: GraphWriter, inputs: Tensor, estimator: Any, vectors: Any) -> str:
    """Return the kernel of every row with every support vector, ``(n, vectors)``."""
    product = graph.add("MatMul", [inputs.name, graph.constant(np.ascontiguousarray(vectors.T))])
    if estimator.kernel == "linear":
        return product
    gamma = graph.number(float(estimator._gamma))
    if estimator.kernel == "rbf":
        axis = graph.constant(np.asarray([1], dtype=np.int64))
        square = graph.add("ReduceSum", [graph.add("Mul", [inputs.name, inputs.name]), axis], keepdims=1)
        distance = graph.add("Add", [square, graph.row((vectors**2).sum(axis=1))])
        distance = graph.add("Sub", [distance, graph.add("Mul", [product, graph.number(2.0)])])
        return graph.add("Exp", [graph.add("Mul", [distance, graph.number(-float(estimator._gamma))])])
    moved = graph.add("Add", [graph.add("Mul", [product, gamma]), graph.number(float(estimator.coef0))])
    if estimator.kernel == "sigmoid":
        return graph.add("Tanh", [moved])
    if estimator.kernel == "poly":
        made = moved
        for _ in range(int(estimator.degree) - 1):
            made = graph.add("Mul", [made, moved])
        return made
    raise CannotConvert("a kernel of one's own has no graph nodes")


def network(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a multi-layer perceptron with one output, or one a class."""
    if estimator.n_outputs_ != 1 and estimator.out_activation_ != "softmax":
        raise CannotConvert("more than one target is not written as a graph yet")
    name = inputs.name
    last = len(estimator.coefs_) - 1
    for layer, (weights, biases) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        name = graph.add("MatMul", [name, graph.constant(np.ascontiguousarray(weights, dtype=np.float64))])
        name = graph.add("Add", [name, graph.row(biases)])
        activation = estimator.activation if layer < last else estimator.out_activation_
        if activation != "identity":
            if activation not in _ACTIVATIONS:
                raise CannotConvert(f"the activation {activation} is not written as a graph yet")
            options: dict[str, Any] = {"axis": 1} if activation == "softmax" else {}
            name = graph.add(_ACTIVATIONS[activation], [name], **options)
    return name
