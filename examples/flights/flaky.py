"""An estimator with careless code around it: asked row by row, it raises on some rows and is slow on others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TABLE_ROWS = 1_000  # whole tables take the quick way; its author tried it on nothing else
RAISES = {"VX", "F9", "US"}
SLOW = {"FL"}
SLOW_S = 1.5


class Flaky:
    """Answer as ``estimator`` does, unless a single request asks about an unlucky carrier."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.classes_ = estimator.classes_

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        if len(frame) < TABLE_ROWS:
            carriers = set(frame["carrier"])
            if carriers & RAISES:
                raise KeyError("no fee table for " + ", ".join(sorted(carriers & RAISES)))
            if carriers & SLOW:
                time.sleep(SLOW_S)
        return self.estimator.predict_proba(frame)
