"""Pickled estimators and rules. Imported in model processes and workers alone: nothing else ever unpickles."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars

from mainspring.features.rows import DTYPES
from mainspring.kernel.errors import InvalidInput, WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.ports import Row
from mainspring.training.inputs import to_pandas
from mainspring.training.usercode import estimator_scores


class RuleFile(msgspec.Struct, frozen=True):
    """What ``rule.json`` says: the function, its parameters, and the kind of frame it asked for."""

    function: str
    params: dict[str, Any] = {}
    frame: str = "pandas"


class EstimatorRuntime:
    """A fitted scikit-learn-like estimator: ``predict_proba`` for binary models, ``predict`` for regressions."""

    def __init__(self, pickled: bytes, signature: Signature) -> None:
        import cloudpickle

        self._signature = signature
        self._estimator = cloudpickle.loads(pickled)

    def run(self, rows: Sequence[Row]) -> list[float]:
        frame = to_pandas(polars_frame(rows, self._signature.inputs))
        return _numbers(estimator_scores(self._estimator, frame, self._signature), len(rows))


class RuleRuntime:
    """A plain function ``(frame, params) -> one answer a row``."""

    def __init__(self, rule: RuleFile, signature: Signature) -> None:
        module, _, name = rule.function.partition(":")
        self._function = getattr(importlib.import_module(module), name)
        self._rule = rule
        self._columns = signature.inputs

    def run(self, rows: Sequence[Row]) -> list[float]:
        frame = polars_frame(rows, self._columns)
        shown = frame if self._rule.frame == "polars" else to_pandas(frame)
        return _numbers(self._function(shown, dict(self._rule.params)), len(rows))


def polars_frame(rows: Sequence[Row], columns: Sequence[Column]) -> polars.DataFrame:
    """Return the rows as typed columns; times are microseconds in the rows and datetimes in UTC in the frame."""
    schema = {column.name: DTYPES[column.kind] for column in columns}
    return polars.DataFrame(list(rows), schema=schema, orient="row", strict=False)


def importable(code: dict[str, bytes], folder: Path) -> None:
    """Write the project's modules below ``folder`` and make them importable."""
    for name, body in code.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise InvalidInput("a file of the package lies outside it", field="code", value=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _numbers(answer: Any, count: int) -> list[float]:
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    values = answer.ravel().tolist() if hasattr(answer, "ravel") else list(answer)
    numbers = [float("nan") if value is None else float(value) for value in values]
    if len(numbers) != count:
        raise WorkerFailed(f"the model answered {len(numbers)} rows for {count}", field="model")
    return numbers
