"""Versions that were made elsewhere: an ONNX file, or an MLflow function."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.features.service import FeatureService
from mainspring.kernel.classes import checked_classes
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import digest_of
from mainspring.kernel.schema import Column, Label, Signature, Task
from mainspring.ledger.ports import Store
from mainspring.log.ports import Blobs
from mainspring.registry.environment import capture
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Environment, Lineage, Version
from mainspring.training.graphs import GraphFound, signature_for
from mainspring.training.inputs import BoundSpec, signature_of
from mainspring.training.ordering import named_recipe
from mainspring.training.ports import Job, Jobs


class ReadGraph(msgspec.Struct, frozen=True):
    """An ONNX file that a worker could load: its blob, and what it asks for and answers."""

    blob: str
    found: GraphFound


class Intake:
    """Takes what was made elsewhere for a version, when a worker has looked at it."""

    def __init__(
        self, *, store: Store, registry: Registry, features: FeatureService, blobs: Blobs, jobs: Jobs, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._features = features
        self._blobs = blobs
        self._jobs = jobs
        self._clock = clock

    def read_graph(self, path: Path) -> ReadGraph:
        """Keep an ONNX file and let a worker load it, which says what it asks for."""
        blob = self._blobs.put(_bytes_of(path))
        result = self._jobs.run(Job("graph", {"path": str(self._blobs.path(blob))}, timeout_s=60))
        try:
            return ReadGraph(blob, msgspec.convert(result.manifest, GraphFound))
        finally:
            self._jobs.discard(result)

    def register_graph(
        self,
        model_id: str,
        graph: Path | ReadGraph,
        *,
        by: str,
        reason: str,
        task: Task = "binary",
        threshold: float | None = None,
        classes: tuple[Label, ...] = (),
    ) -> Version:
        """Register an ONNX file as a version; a worker loads it first and says what it asks for.

        A declared model must have every input of the graph, as a request column or as a feature of its first recipe. A
        model without a declaration takes the graph's inputs as the request, and ``task`` as its task, with ``classes``.
        """
        row = self._registry.model(None, model_id)
        read = self.read_graph(graph) if isinstance(graph, Path) else graph
        blob, found = read.blob, read.found
        signature, views, definitions = self._signature(row, found, task, classes)
        _check_classes(row, signature, found)
        version = Version(
            id="",
            model=row.id,
            number=0,
            runtime="onnx",
            files={"model.onnx": blob},
            signature=signature,
            environment=capture(("onnxruntime",)),
            lineage=Lineage(recipe="file", source_digest=blob),
            views=views,
            definitions=definitions,
            plain_graph=found.plain_graph,
            p999_ms=found.p999_ms,
            threshold=threshold if row.spec is None else row.spec.threshold,
        )
        return self._register(version, by, reason)

    def register_function(
        self,
        model_id: str,
        inputs: tuple[Column, ...],
        files: dict[str, str],
        environment: Environment,
        *,
        by: str,
        reason: str,
        task: Task = "binary",
        threshold: float | None = None,
        classes: tuple[Label, ...] = (),
    ) -> Version:
        """Register an MLflow function whose files are blobs already; it runs in a model process, and only there."""
        row = self._registry.model(None, model_id)
        found = GraphFound(inputs, plain_graph=False, p999_ms=None)
        signature, views, definitions = self._signature(row, found, task, classes)
        _check_classes(row, signature, found)
        version = Version(
            id="",
            model=row.id,
            number=0,
            runtime="mlflow",
            files=files,
            signature=signature,
            environment=environment,
            lineage=Lineage(recipe="mlflow", source_digest=digest_of(files)),
            views=views,
            definitions=definitions,
            threshold=threshold if row.spec is None else row.spec.threshold,
        )
        return self._register(version, by, reason)

    def _register(self, version: Version, by: str, reason: str) -> Version:
        with self._store.begin(by) as tx:
            self._features.demand_fed(tx.connection, version.views)
            return self._registry.register(tx, version, reason)

    def _signature(
        self, row: ModelRow, found: GraphFound, task: Task, classes: tuple[Label, ...]
    ) -> tuple[Signature, tuple[str, ...], tuple[str, ...]]:
        if row.spec is None:
            return Signature(task=task, inputs=found.inputs, requested=found.inputs, classes=classes), (), ()
        recipe = named_recipe(row.spec, None)
        frame = self._features.frame(row.spec, recipe, row.project, until_us=self._clock.now_us())
        bound = [BoundSpec(view.view, view.source) for view in frame.bound(recipe.features)]
        signature = signature_for(found, signature_of(row.spec, recipe, bound))
        used = sorted({feature.partition(".")[0] for feature in signature.features.values()})
        return signature, frame.view_digests(used), frame.view_definitions(used)


def _check_classes(row: ModelRow, signature: Signature, found: GraphFound) -> None:
    """Refuse what does not answer as many numbers as there are classes: which number is which, no file says."""
    field = f"{row.name}.classes"
    if signature.task != "multiclass":
        if signature.classes:
            raise InvalidInput("belong to the task multiclass", field=field, value=list(signature.classes))
        return
    if not signature.classes:
        remedy = "state them in the order of its answers"
        raise InvalidInput("must be said, for no file says them", field=field, remedy=remedy)
    checked_classes(signature.classes, field)
    if found.width is not None and found.width != len(signature.classes):
        what = f"answers {found.width} numbers a row where there are {len(signature.classes)} classes"
        raise InvalidInput(what, field="file", remedy="let its last output hold a probability a class")


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput("cannot be read", field="file", value=str(path), remedy="name an ONNX file") from error
