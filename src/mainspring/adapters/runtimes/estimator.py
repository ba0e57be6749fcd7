"""Pickled estimators and rules. Imported in model processes and workers alone: nothing else ever unpickles."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.errors import InvalidInput, WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.ports import Row


class RuleFile(msgspec.Struct, frozen=True):
    """What ``rule.json`` says: the function, its parameters, and the kind of frame it asked for."""

    function: str
    params: dict[str, Any] = {}
    frame: str = "pandas"


class EstimatorRuntime:
    """A fitted scikit-learn-like estimator: ``predict_proba`` for binary models, ``predict`` for regressions."""

    def __init__(self, pickled: bytes, signature: Signature) -> None:
        import cloudpickle

        self._columns = signature.inputs
        estimator = cloudpickle.loads(pickled)
        self._answer: Callable[[Any], Any]
        if signature.task == "binary":
            if not hasattr(estimator, "predict_proba"):
                raise InvalidInput("a binary model needs predict_proba", value=type(estimator).__name__)
            self._answer = lambda frame: estimator.predict_proba(frame)[:, 1]
        else:
            self._answer = estimator.predict

    def run(self, rows: Sequence[Row]) -> list[float]:
        return _numbers(self._answer(pandas_frame(rows, self._columns)), len(rows))


class RuleRuntime:
    """A plain function ``(frame, params) -> one answer a row``."""

    def __init__(self, rule: RuleFile, signature: Signature) -> None:
        module, _, name = rule.function.partition(":")
        self._function = getattr(importlib.import_module(module), name)
        self._params = rule.params
        self._columns = signature.inputs
        self._frame = polars_frame if rule.frame == "polars" else pandas_frame

    def run(self, rows: Sequence[Row]) -> list[float]:
        return _numbers(self._function(self._frame(rows, self._columns), self._params), len(rows))


def pandas_frame(rows: Sequence[Row], columns: Sequence[Column]) -> Any:
    """Return the rows as pandas shows them to user code: numbers with gaps are float64, times are datetimes in UTC."""
    import pandas

    data = {}
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        if column.kind == "time":
            data[column.name] = pandas.to_datetime(pandas.Series(values), unit="us", utc=True)
        elif column.kind in ("int", "float"):
            gaps = column.kind == "float" or any(value is None for value in values)
            data[column.name] = pandas.Series(values, dtype="float64" if gaps else "int64")
        else:
            data[column.name] = pandas.Series(list(values))
    return pandas.DataFrame(data)


def polars_frame(rows: Sequence[Row], columns: Sequence[Column]) -> Any:
    """Return the rows as Polars shows them to user code."""
    import polars

    kinds = {
        "int": polars.Int64, "float": polars.Float64, "bool": polars.Boolean, "str": polars.String,
        "time": polars.Datetime("us", "UTC"),
    }  # fmt: skip
    return polars.DataFrame(
        list(rows), schema={column.name: kinds[column.kind] for column in columns}, orient="row", strict=False
    )


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
    values = answer.tolist() if hasattr(answer, "tolist") else answer.to_list() if hasattr(answer, "to_list") else answer
    numbers = [float("nan") if value is None else float(value) for value in values]
    if len(numbers) != count:
        raise WorkerFailed(f"the model answered {len(numbers)} rows for {count}", field="model")
    return numbers
