"""Pickled estimators and rules. Imported in model processes and workers alone: nothing else ever unpickles."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from mainspring.adapters.runtimes.vectors import vectors
from mainspring.kernel.errors import InvalidInput, WorkerFailed
from mainspring.kernel.schema import Column, Kind, Signature
from mainspring.serving.ports import Row
from mainspring.training.answers import estimator_scores, rule_vectors

if TYPE_CHECKING:
    import polars


class RuleFile(msgspec.Struct, frozen=True):
    """What ``rule.json`` says: the function, its parameters, and the kind of frame it asked for."""

    function: str
    params: dict[str, Any] = {}
    frame: str = "pandas"


class EstimatorRuntime:
    """A fitted scikit-learn-like estimator: ``predict_proba`` where there are classes, ``predict`` for estimates."""

    def __init__(self, pickled: bytes, signature: Signature) -> None:
        import cloudpickle

        self._signature = signature
        self._frame = pandas_builder(signature.inputs)
        self._estimator = cloudpickle.loads(pickled)

    def run(self, rows: Sequence[Row]) -> list[float]:
        return answers(
            estimator_scores(self._estimator, self._frame(rows), self._signature), self._signature, len(rows)
        )


class RuleRuntime:
    """A plain function ``(frame, params) -> one answer a row``."""

    def __init__(self, rule: RuleFile, signature: Signature) -> None:
        module, _, name = rule.function.partition(":")
        self._function = getattr(importlib.import_module(module), name)
        self._params = rule.params
        self._signature = signature
        polars = rule.frame == "polars"
        self._frame = polars_builder(signature.inputs) if polars else pandas_builder(signature.inputs)

    def run(self, rows: Sequence[Row]) -> list[float]:
        return answers(self._function(self._frame(rows), dict(self._params)), self._signature, len(rows))


def polars_builder(columns: Sequence[Column]) -> Callable[[Sequence[Row]], polars.DataFrame]:
    """Return what makes a Polars frame of rows; times are microseconds in rows and datetimes in UTC in the frame."""
    import polars

    from mainspring.features.rows import DTYPES

    schema = {column.name: DTYPES[column.kind] for column in columns}
    return lambda rows: polars.DataFrame(list(rows), schema=schema, orient="row", strict=False)


def pandas_builder(columns: Sequence[Column]) -> Callable[[Sequence[Row]], Any]:
    """Return what makes a pandas frame of rows, as training showed it, column by column: a tenth of the usual time."""
    import pandas

    makers = [(column.name, _SERIES[column.kind]) for column in columns]

    def frame(rows: Sequence[Row]) -> Any:
        values = zip(*rows, strict=True)
        made = {name: make(column) for (name, make), column in zip(makers, values, strict=True)}
        return pandas.DataFrame(made, copy=False)

    return frame


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


def answers(answer: Any, signature: Signature, count: int) -> list[float]:
    """Return what user code answered: one number a row, or as many as there are classes."""
    if signature.task != "multiclass":
        return numbers(answer, count)
    return vectors(rule_vectors(answer, signature.classes), (count, len(signature.classes)))


def numbers(answer: Any, count: int) -> list[float]:
    """Return what user code answered as one number a row; None becomes NaN."""
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    values = answer.ravel().tolist() if hasattr(answer, "ravel") else list(answer)
    found = [float("nan") if value is None else float(value) for value in values]
    if len(found) != count:
        raise WorkerFailed(f"the model answered {len(found)} rows for {count}", field="model")
    return found


def _floats(values: Sequence[Any]) -> Any:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _integers(values: Sequence[Any]) -> Any:
    return _floats(values) if None in values else np.array(values, dtype=np.int64)


def _truths(values: Sequence[Any]) -> Any:
    return np.array(values, dtype=object if None in values else np.bool_)


def _texts(values: Sequence[Any]) -> Any:
    return np.array(values, dtype=object)


def _times(values: Sequence[Any]) -> Any:
    import pandas

    return pandas.to_datetime(pandas.Series(list(values)), unit="us", utc=True)


_SERIES: dict[Kind, Callable[[Sequence[Any]], Any]] = {
    "float": _floats,
    "int": _integers,
    "bool": _truths,
    "str": _texts,
    "time": _times,
}
