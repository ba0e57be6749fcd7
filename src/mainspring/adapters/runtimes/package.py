"""From the blobs of a version to a runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from mainspring.kernel.errors import Damaged, Refused
from mainspring.registry.environment import mismatches
from mainspring.registry.version import Environment
from mainspring.serving import packing
from mainspring.serving.ports import GraphRuntime, Runtime
from mainspring.serving.routing import VersionRoute

Get = Callable[[str], bytes]


def load_onnx(version: VersionRoute, get: Get) -> GraphRuntime:
    """Load the graph of a version, the packed one where there is one; ``get`` returns a blob by digest, verified."""
    from mainspring.adapters.runtimes.onnx import OnnxRuntime
    from mainspring.adapters.runtimes.vector_graph import VectorGraph

    files = version.package.files
    made = VectorGraph if version.signature.task == "multiclass" else OnnxRuntime
    if packing.FILE in files:
        packed = packing.read_packing(get(files[packing.FILE]))
        return made(get(files[packing.GRAPH]), version.signature, packed)
    if "model.onnx" not in files:
        raise Damaged("the package has no model.onnx", field="version", value=version.id)
    return made(get(files["model.onnx"]), version.signature)


def load(version: VersionRoute, get: Get, folder: Path) -> Runtime:
    """Load any version, user code included: for model processes and workers alone."""
    if version.package.runtime == "onnx":
        return load_onnx(version, get)
    from mainspring.adapters.runtimes.estimator import EstimatorRuntime, RuleFile, RuleRuntime, importable

    check_environment(version.environment)
    files = version.package.files
    if version.package.runtime == "mlflow":
        from mainspring.adapters.runtimes.pyfunc import PyfuncRuntime, write_folder

        return PyfuncRuntime(write_folder(files, get, folder), version.signature)
    importable({name.removeprefix("code/"): get(d) for name, d in files.items() if name.startswith("code/")}, folder)
    if version.package.runtime == "rule":
        return RuleRuntime(msgspec.json.decode(get(files["rule.json"]), type=RuleFile), version.signature)
    return EstimatorRuntime(get(files["model.pkl"]), version.signature)


def check_environment(made_in: Environment | None) -> None:
    """Refuse to load what was made with another interpreter or other versions of its libraries."""
    faults = mismatches(made_in) if made_in is not None else []
    if faults:
        raise Refused(
            "the version was made in another environment: " + "; ".join(faults),
            field="environment",
            remedy="install those versions, or train again",
        )
