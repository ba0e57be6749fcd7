"""A mean over days like those seen: days, not rows, are the sample, and may be of any size. Pure, for one look.

Day g brings a weight w_g and a sum x_g; the mean is ``Σx/Σw``, and ``h_g = w_g/Σw``. A large day pulls the mean towards
itself, so its residual is too small: it counts ``1/(1-2h_g+Σh²)`` times, which makes the variance unbiased where days
are independent and alike (CR2 of Bell and McCaffrey 2002). The degrees of freedom are those of that variance, by
Satterthwaite; with days of one size they are the days less one, and the interval is Student's t of their means.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
LEAST_FACTOR = 1e-9  # of a day that is nearly all there is: its residual says nothing


def interval_by_days(w: Floats, x: Floats, alpha: float) -> tuple[float, float, float]:
    """Return (mean, low, high) of ``Σx/Σw`` from at least two days' weights and sums (n,), two-sided at ``alpha``.

    >>> interval_by_days(np.full(14, 100.0), 1.0 + np.arange(14) % 2, 0.05)
    (0.015, 0.0120..., 0.0179...)
    """
    from scipy.special import stdtrit  # a third of a second, which what starts without it does not wait for

    total = float(w.sum())
    mean = float(x.sum()) / total
    h = w / total
    factor = np.maximum(1.0 - 2.0 * h + float((h * h).sum()), LEAST_FACTOR)
    error = math.sqrt(float(np.square(x - mean * w) @ (1.0 / factor))) / total
    reach = float(stdtrit(degrees(h, factor), 1.0 - alpha / 2.0)) * error
    return mean, mean - reach, mean + reach


def degrees(h: Floats, factor: Floats) -> float:
    """Return ``tr(B)²/tr(B²)`` of the variance ``dᵀBd`` of day means d that are independent and vary alike."""
    a, squares = h * h / factor, float((h * h).sum())
    alone, beside = squares - 2.0 * h, a.sum()
    first, second = float(a @ h), float(a @ (h * h))
    crossed = squares**2 * beside**2 + 2.0 * beside * second + 2.0 * first**2 - 4.0 * squares * beside * first
    crossed += float((a * a) @ (np.square(1.0 + alone) - np.square(alone)))
    return max(float(a @ (1.0 + alone)) ** 2 / float(crossed), 1.0)
