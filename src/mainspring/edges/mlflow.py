"""What MLflow's clients load our versions with: ``mlflow.pyfunc.load_model("models:/late@champion")``.

MLflow names this module in the folder that it downloads from control. A pickled version is unpickled
by whoever loads it.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

from mainspring.adapters.runtimes.package import load
from mainspring.kernel.classes import class_texts
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.values import Vector
from mainspring.serving.routing import VersionRoute

VERSION_FILE = "version.json"


class Loaded:
    """A version as MLflow calls it: a DataFrame in, one answer a row out, or a column a class."""

    def __init__(self, version: VersionRoute, folder: Path) -> None:
        files = {digest: folder / name for name, digest in version.package.files.items()}
        self._columns = version.signature.inputs
        self._classes = version.signature.classes
        self._runtime = load(version, lambda digest: files[digest].read_bytes(), Path(mkdtemp(prefix="mainspring-")))

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the answers to the rows of a pandas DataFrame."""
        import numpy as np

        missing = [column.name for column in self._columns if column.name not in frame]
        if missing:
            raise InvalidInput("is not in the frame", field=missing[0])
        names = [column.name for column in self._columns]
        chosen = frame[names]
        rows = chosen.astype(object).where(chosen.notna(), None).itertuples(index=False, name=None)
        said = self._runtime.run(list(rows))
        if not self._classes:
            return np.array(said)
        import pandas as pd

        numbers = [one.numbers for one in said if isinstance(one, Vector)]
        return pd.DataFrame(numbers, columns=list(class_texts(self._classes)))


def _load_pyfunc(path: str) -> Loaded:
    folder = Path(path)
    version = msgspec.json.decode((folder / VERSION_FILE).read_bytes(), type=VersionRoute)
    return Loaded(version, folder)
