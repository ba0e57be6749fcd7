"""Running finished versions inside a worker: a graph here, a pickle or a rule in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import polars as pl

from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Signature
from mainspring.registry.model import Recipe
from mainspring.serving.packing import Filler, PackedGraph
from mainspring.training.answers import estimator_scores
from mainspring.training.inputs import to_pandas
from mainspring.training.usercode import Fitted, Floats, checked_scores, materialise

_NUMBERS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


class Package(msgspec.Struct, frozen=True):
    """A version's files where a worker finds them: name in the package to path."""

    runtime: str
    files: dict[str, str]
    signature: Signature


class OnnxScorer:
    """A graph with one input a column, run with one thread; it gives ``width`` numbers a row."""

    def __init__(self, model: bytes | str, width: int = 1) -> None:
        self._width = width
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.types = {one.name: one.type for one in self._session.get_inputs()}

    def scores(self, inputs: pl.DataFrame) -> Floats:
        """Return one answer a row: the last columns of the last output."""
        answer = self._session.run(None, self.feed(inputs))[-1]
        wide = np.asarray(answer, dtype=np.float64).reshape(inputs.height, -1)
        return wide[:, -1] if self._width == 1 else wide[:, -self._width :]

    def feed(self, inputs: pl.DataFrame) -> dict[str, Any]:
        """Return the input arrays ``(n, 1)``; missing text is empty, missing numbers are NaN."""
        return {name: _array(inputs.get_column(name), kind).reshape(-1, 1) for name, kind in self.types.items()}

    def run(self, feed: dict[str, Any]) -> Any:
        return self._session.run(None, feed)


class PackedScorer(OnnxScorer):
    """A graph whose columns are packed into one tensor, fed as a gateway feeds it."""

    def __init__(self, packed: PackedGraph, signature: Signature) -> None:
        super().__init__(packed.graph, width_of(signature))
        self._packing = packed.packing
        self._filler = Filler(packed.packing, signature)
        self._names = [column.name for column in signature.inputs]

    def feed(self, inputs: pl.DataFrame) -> dict[str, Any]:
        columns = self._filler.columns([column.to_list() for column in inputs.select(self._names)])
        kind = np.float32 if self._packing.kind == "float" else np.float64
        return {self._packing.input: np.ascontiguousarray(np.array(columns, dtype=kind).T)}


def width_of(signature: Signature) -> int:
    """Return how many numbers a row an answer holds: one for each class, or one."""
    return len(signature.classes) if signature.task == "multiclass" else 1


def _array(column: pl.Series, kind: str) -> np.typing.NDArray[Any]:
    if kind == "tensor(string)":
        return column.cast(pl.String).fill_null("").to_numpy().astype(object)
    if kind == "tensor(bool)":
        return column.cast(pl.Boolean).fill_null(value=False).to_numpy()
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(_NUMBERS.get(kind, np.float32))


def p999_ms(answer: Callable[[], Any], budget_s: float = 0.4, most: int = 2_000) -> float | None:
    """Return the 99.9th percentile of single calls of ``answer`` in milliseconds; None if a call raises."""
    taken: list[int] = []
    try:
        answer()  # warms up
        end = perf_counter_ns() + int(budget_s * 1e9)
        while len(taken) < most and (perf_counter_ns() < end or len(taken) < 2):
            start = perf_counter_ns()
            answer()
            taken.append(perf_counter_ns() - start)
    except Exception:  # user code may refuse this very row: then there is nothing to measure
        return None
    return float(np.quantile(taken, 0.999)) / 1e6


def score_package(package: Package, inputs: pl.DataFrame, staging: Path) -> Floats:
    """Return a version's answers; user code of another revision runs in a process of its own, in this process group."""
    if package.runtime == "onnx":
        return OnnxScorer(package.files["model.onnx"], width_of(package.signature)).scores(inputs)
    folder = staging / "champion"
    folder.mkdir(exist_ok=True)
    inputs.write_parquet(folder / "inputs.parquet")
    (folder / "package.json").write_bytes(msgspec.json.encode(package))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mainspring.training.runtime", str(folder)], check=False, capture_output=True
    )
    if done.returncode != 0:
        raise WorkerFailed(done.stderr.decode(errors="replace")[-500:].strip(), field="champion")
    return pl.read_parquet(folder / "scores.parquet").get_column("score").to_numpy()


def main(folder: Path) -> None:
    """Score the rows of a folder with its package: the other side of ``score_package``."""
    package = msgspec.json.decode((folder / "package.json").read_bytes(), type=Package)
    inputs = pl.read_parquet(folder / "inputs.parquet")
    code = {name.removeprefix("code/"): path for name, path in package.files.items() if name.startswith("code/")}
    materialise(code, folder / "code")
    if package.runtime == "rule":
        rule = msgspec.json.decode(Path(package.files["rule.json"]).read_bytes())
        recipe = Recipe("champion", rule["function"], "rule", params=rule["params"], frame=rule["frame"])
        from mainspring.training.usercode import function_of

        scores = Fitted(function_of(recipe, "champion"), recipe, package.signature, "champion").scores(inputs)
    else:
        import cloudpickle

        estimator = cloudpickle.loads(Path(package.files["model.pkl"]).read_bytes())
        raw = estimator_scores(estimator, to_pandas(inputs), package.signature)
        scores = checked_scores(raw, inputs.height, package.signature, "champion")
    pl.DataFrame([pl.Series("score", scores)]).write_parquet(folder / "scores.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
