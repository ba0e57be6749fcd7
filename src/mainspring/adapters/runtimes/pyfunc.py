"""MLflow's own function format. Imported in model processes and workers alone; MLflow comes from their environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mainspring.adapters.runtimes.estimator import answers, numbers, pandas_builder
from mainspring.kernel.errors import InvalidInput, WorkerFailed
from mainspring.kernel.schema import Signature
from mainspring.serving.ports import Row

PREFIX = "mlflow/"


class PyfuncRuntime:
    """An ``mlflow.pyfunc`` model: its answer is the last of at most two columns of what ``predict`` returns.

    Of a model with classes it is as many columns: by their names, or in the classes' order.
    """

    def __init__(self, folder: Path, signature: Signature) -> None:
        os.environ |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_TRACKING_URI": "file:///dev/null",
        }
        import mlflow.pyfunc

        self._signature = signature
        self._frame = pandas_builder(signature.inputs)
        self._model = mlflow.pyfunc.load_model(str(folder))

    def run(self, rows: Sequence[Row]) -> list[float]:
        answer: Any = self._model.predict(self._frame(rows))
        if self._signature.task == "multiclass":
            return answers(answer, self._signature, len(rows))
        if hasattr(answer, "to_numpy"):
            answer = answer.to_numpy()
        if getattr(answer, "ndim", 1) == 2:
            if answer.shape[1] > 2:
                raise WorkerFailed(f"answers {answer.shape[1]} numbers a row, and one is served", field="model")
            answer = answer[:, -1]
        return numbers(answer, len(rows))


def write_folder(files: dict[str, str], get: Callable[[str], bytes], folder: Path) -> Path:
    """Write a version's MLflow files below ``folder`` as they stood in theirs."""
    root = folder / "mlflow"
    for name, digest in files.items():
        if not name.startswith(PREFIX):
            continue
        path = (folder / name).resolve()
        if not path.is_relative_to(root.resolve()):
            raise InvalidInput("a file of the package lies outside it", field="files", value=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(get(digest))
    return root
