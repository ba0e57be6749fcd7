"""Paired terms: both versions scored the same row, so what the row itself brings cancels."""

from __future__ import annotations

import numpy as np

from mainspring.release.evidence.eprocess import Floats


def paired_terms(challenger: Floats, stable: Floats) -> tuple[Floats, Floats, Floats]:
    """Return w, X and V's terms, each (n,), from the losses of both versions on the same rows."""
    x = challenger - stable
    return np.ones_like(x), x, x * x
