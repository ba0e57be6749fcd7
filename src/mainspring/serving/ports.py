"""What runs a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]
"""One row in the order of the signature's inputs; times are microseconds, None is missing."""


class Runtime(Protocol):
    """A loaded version in this process. Satisfied by ONNX Runtime, by a pickled estimator and by a rule."""

    def run(self, rows: Sequence[Row]) -> list[float]:
        """Return one number a row: the probability of the positive class, or the estimate."""
        ...


Columns = Sequence[Any]
"""One array or list of values for each input, in the order of the signature; NaN and None are missing."""


class GraphRuntime(Runtime, Protocol):
    """A runtime without user code, which a gateway may hold. Satisfied by ONNX Runtime.

    ``together`` says that rows are answered together as each is alone, to the last bit.
    """

    together: bool

    def one(self, row: Row) -> float:
        """Return the number for one row; for the one thread that owns this runtime alone."""
        ...

    def few(self, rows: Sequence[Row]) -> list[float]:
        """Return the numbers for a few rows; for the one thread that owns this runtime alone."""
        ...

    def run_columns(self, columns: Columns, count: int) -> list[float]:
        """Return one number a row, as ``run`` does, for rows that are held as columns."""
        ...
