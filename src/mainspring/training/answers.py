"""Asking an estimator or a rule. Needs nothing but NumPy, so that it runs in an environment of a version's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mainspring.kernel.classes import class_texts
from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Label, Signature

SUM_WITHIN = 1e-3


def estimator_scores(estimator: Any, frame: Any, signature: Signature) -> Any:
    """Return P(positive), the estimate, or P(class) ``(n, k)`` of a scikit-learn-like estimator."""
    if signature.task == "multiclass":
        return _in_order(np.asarray(estimator.predict_proba(frame), dtype=np.float64), estimator, signature.classes)
    if signature.task == "binary":
        return np.asarray(estimator.predict_proba(frame))[:, 1]
    return estimator.predict(frame)


def class_places(known: Sequence[Any], classes: Sequence[Label]) -> list[int]:
    """Return where each class that an estimator knows stands among ``classes``.

    An estimator that was fitted on 0, 1, 2 … knows the places of the classes in sorted order, as ``LabelEncoder`` and
    XGBoost count them.

    >>> class_places(["b", "a"], ("a", "b")), class_places([0, 1], ("a", "b"))
    ([1, 0], [0, 1])
    """
    ours = class_texts(classes)
    texts = class_texts([plain_label(one) for one in known])
    if set(texts) <= set(ours):
        return [ours.index(text) for text in texts]
    if list(texts) == [str(place) for place in range(len(ours))] and list(classes) == sorted(classes):
        return list(range(len(ours)))
    raise WorkerFailed(
        f"knows the classes {', '.join(texts)} where the model has {', '.join(ours)}",
        field="estimator.classes_",
        remedy="fit it on the label as it is given, or on its place among the sorted classes",
    )


def rule_vectors(answer: Any, classes: Sequence[Label]) -> Any:
    """Return a rule's answer ``(n, k)``: the columns of a frame by their names, or an array in the classes' order."""
    names = getattr(answer, "columns", None)
    if names is None:
        return answer
    given = {class_texts([plain_label(name)])[0]: answer[name] for name in names}
    missing = [text for text in class_texts(classes) if text not in given]
    if missing:
        raise WorkerFailed("lacks the column of a class", field="rule", value=missing[0], remedy="give one a class")
    return np.column_stack([np.asarray(given[text], dtype=np.float64) for text in class_texts(classes)])


def no_probabilities(vectors: Any) -> Any:
    """Return which rows (n,) are no probabilities of classes: not finite, outside [0, 1], or not adding up to 1."""
    sums = vectors.sum(axis=1)
    fine = np.isfinite(sums) & (np.abs(sums - 1.0) <= SUM_WITHIN)
    with np.errstate(invalid="ignore"):
        return ~(fine & (vectors.min(axis=1) >= 0.0) & (vectors.max(axis=1) <= 1.0))


def _in_order(scores: Any, estimator: Any, classes: Sequence[Label]) -> Any:
    known = getattr(estimator, "classes_", None)
    if known is None:
        return scores
    places = class_places(list(known), classes)
    if scores.ndim != 2 or scores.shape[1] != len(places):
        return scores
    ordered = np.zeros((scores.shape[0], len(classes)))
    ordered[:, places] = scores
    return ordered


def plain_label(label: Any) -> Any:
    """Return a class as Python has it; numbers that are whole count as whole numbers."""
    plain = label.item() if isinstance(label, np.generic) else label
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
