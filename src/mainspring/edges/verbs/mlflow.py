"""Verbs that meet MLflow: its model folders become versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.registry import Naming, classes_of, declared_for, model_for, refuse_unknown
from mainspring.edges.verbs.verb import Nothing, Verb, Why, Work, machine_path
from mainspring.kernel.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from mainspring.adapters.mlflow_folder import MlflowFolder
    from mainspring.platform import Platform


class RegisterFolder(Work, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which folder to register."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    folder: Annotated[str, machine_path("a folder with MLmodel, as MLflow saves models")]
    new: Annotated[bool, Meta(description="make the model, without a project, if there is none")] = False
    task: Annotated[
        Literal["binary", "regression", "multiclass"], Meta(description="what a model without a project answers")
    ] = "binary"
    classes: Annotated[
        str,
        Meta(description="the classes of its answers in their order, with commas, without a project"),
    ] = ""
    threshold: Annotated[float | None, Meta(description="above it a model without a project decides yes")] = None
    environment: Annotated[
        str, Meta(description="digest of an approved environment that it must run in, where it is no graph")
    ] = ""
    reason: Why = "registered from MLflow"


def register_folder(platform: Platform, asked: RegisterFolder, by: str) -> Any:
    from mainspring.adapters.mlflow_folder import read_folder

    naming = Naming(asked.model, asked.new, asked.reason)
    refuse_unknown(platform, naming)
    folder = read_folder(Path(asked.folder))
    graph = folder.graph()
    if graph is not None:
        read = platform.intake.read_graph(graph)
        return platform.intake.register_graph(
            model_for(platform, naming, by),
            read,
            by=by,
            reason=asked.reason,
            task=asked.task,
            threshold=asked.threshold,
            classes=classes_of(asked.classes),
        )
    return _register_function(platform, asked, folder, naming, by)


def _register_function(platform: Platform, asked: RegisterFolder, folder: MlflowFolder, naming: Naming, by: str) -> Any:
    if "python_function" not in folder.model.flavors:
        flavors = ", ".join(folder.model.flavors)
        raise InvalidInput("has neither the flavour onnx nor python_function", field="folder", value=flavors)
    if not folder.model.inputs:
        remedy = "save it with a signature: mlflow.models.infer_signature(rows, answers)"
        raise InvalidInput("does not say its columns", field="folder", value=str(folder.root), remedy=remedy)
    environment = folder.model.environment
    if asked.environment:
        lock = platform.registry.environments.one(asked.environment)
        if "mlflow" not in lock.packages:
            raise Refused("does not hold mlflow", field="environment", value=asked.environment)
        environment = msgspec.structs.replace(environment, lock=lock.lock)
    files = folder.keep(platform.blobs)
    read = platform.intake.read_function(
        folder.model.inputs,
        files,
        environment,
        declared=declared_for(platform, naming),
        task=asked.task,
        classes=classes_of(asked.classes),
    )
    return platform.intake.register_function(
        model_for(platform, naming, by),
        read,
        by=by,
        reason=asked.reason,
        task=asked.task,
        threshold=asked.threshold,
        classes=classes_of(asked.classes),
    )


def mirrored(platform: Platform, asked: Nothing, by: str) -> Any:
    return platform.mirror.state()


VERBS = (
    Verb(
        name="mlflow register",
        group="Registry",
        summary="Register an MLflow model folder as a version",
        arguments=RegisterFolder,
        call=register_folder,
        permission="owner",
        positional=("model", "folder"),
        long_running=True,
    ),
    Verb(
        name="mlflow mirror",
        group="Registry",
        summary="Show what an MLflow server was last told of versions and aliases, or why it was not",
        arguments=Nothing,
        call=mirrored,
    ),
)
