"""Asking an estimator. Needs nothing but NumPy, so that it runs in an environment of a version's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.kernel.schema import Signature


def estimator_scores(estimator: Any, frame: Any, signature: Signature) -> Any:
    """Return P(positive) or the estimate of a scikit-learn-like estimator."""
    if signature.task == "binary":
        return np.asarray(estimator.predict_proba(frame))[:, 1]
    return estimator.predict(frame)
