"""Versions that were made elsewhere: an ONNX file, or an MLflow function."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.features.service import FeatureService
from mainspring.kernel.classes import checked_classes
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.ids import digest_of
from mainspring.kernel.schema import Column, Label, Signature, Task
from mainspring.ledger.ports import Store
from mainspring.log.ports import Blobs
from mainspring.log.queries import PredictionLog
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import HELD_OUT, Environment, Lineage, Version
from mainspring.training.graphs import GraphFound, signature_for
from mainspring.training.inputs import BoundSpec, signature_of
from mainspring.training.order import JudgeManifest, JudgeOrder
from mainspring.training.ordering import Ordering, named_recipe
from mainspring.training.ports import Job, Jobs

JUDGE_S = 1_800.0


class ReadGraph(msgspec.Struct, frozen=True):
    """An ONNX file that a worker could load: its blob, and what it asks for and answers."""

    blob: str
    found: GraphFound


class ReadFunction(msgspec.Struct, frozen=True):
    """An MLflow function that a worker could start and ask: its columns, its files as blobs, and where it runs."""

    inputs: tuple[Column, ...]
    files: dict[str, str]
    environment: Environment
    p999_ms: float | None


class Intake:
    """Takes what was made elsewhere for a version, when a worker has looked at it."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        features: FeatureService,
        ordering: Ordering,
        log: PredictionLog,
        blobs: Blobs,
        jobs: Jobs,
        clock: Clock,
    ) -> None:
        self._store = store
        self._registry = registry
        self._features = features
        self._ordering = ordering
        self._log = log
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
        _check_classes(row.name, signature, found)
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
        return self._register(row, version, by, reason)

    def read_function(
        self,
        inputs: tuple[Column, ...],
        files: dict[str, str],
        environment: Environment,
        *,
        declared: ModelSpec | None = None,
        task: Task = "binary",
        classes: tuple[Label, ...] = (),
    ) -> ReadFunction:
        """Let a worker start an MLflow function, whose files are blobs already, and ask it about one row.

        Raises ``Refused`` where its environment cannot be had, ``Unavailable`` where it does not start, and
        ``WorkerFailed`` where it answers in a form that is not served. Where the model is declared, its task and
        its classes count.
        """
        if declared is not None:
            task, classes = declared.task, declared.classes
        signature = Signature(task=task, inputs=inputs, requested=inputs, classes=classes)
        name = "model" if declared is None else declared.name
        _check_classes(name, signature, GraphFound(inputs, plain_graph=False, p999_ms=None))
        version = Version(
            id="",
            model="",
            number=0,
            runtime="mlflow",
            files=files,
            signature=signature,
            environment=environment,
        )
        self._registry.demand_environment(version)
        said, _ = self._asked(self._ordering.ask(version))
        return ReadFunction(inputs, files, environment, said.p999_ms)

    def register_function(
        self,
        model_id: str,
        read: ReadFunction,
        *,
        by: str,
        reason: str,
        task: Task = "binary",
        threshold: float | None = None,
        classes: tuple[Label, ...] = (),
    ) -> Version:
        """Register an MLflow function; it runs in a model process, and only there."""
        row = self._registry.model(None, model_id)
        found = GraphFound(read.inputs, plain_graph=False, p999_ms=None)
        signature, views, definitions = self._signature(row, found, task, classes)
        _check_classes(row.name, signature, found)
        version = Version(
            id="",
            model=row.id,
            number=0,
            runtime="mlflow",
            files=read.files,
            signature=signature,
            environment=read.environment,
            lineage=Lineage(recipe="mlflow", source_digest=digest_of(read.files)),
            views=views,
            definitions=definitions,
            p999_ms=read.p999_ms,
            threshold=threshold if row.spec is None else row.spec.threshold,
        )
        return self._register(row, version, by, reason)

    def _register(self, row: ModelRow, version: Version, by: str, reason: str) -> Version:
        """Register a version with its answers on held-out rows, where there are such rows, for checks to judge by."""
        with self._log.reading():  # the files that the worker is given stay until it has ended
            order = self._ordering.judge(row, version, self._clock.now_us())
            said, held_out = (None, "") if order is None else self._asked(order)
        reached("intake.after_blobs")
        if said is not None:
            snapshots = {HELD_OUT: held_out} if held_out else {}
            lineage = msgspec.structs.replace(version.lineage, snapshots=snapshots)
            version = msgspec.structs.replace(version, lineage=lineage, metrics=said.metrics)
        with self._store.begin(by) as tx:
            self._features.demand_fed(tx.connection, version.views)
            made = self._registry.register(tx, version, reason)
            if said is not None:
                words = said.reason or f"it answered {said.rows} rows that the first recipe holds out"
                numbers = {"version": made.number, "metrics": said.metrics, "champion": said.champion}
                tx.record("version.asked", made.id, words, numbers, project=row.project)
            reached("intake.before_commit")
        return made

    def _asked(self, order: JudgeOrder) -> tuple[JudgeManifest, str]:
        """Return what a version answered, and the blob of its answers on held-out rows, empty if there are none."""
        result = self._jobs.run(Job("judge", msgspec.to_builtins(order), timeout_s=JUDGE_S))
        try:
            said = msgspec.convert(result.manifest, JudgeManifest)
            return said, self._blobs.put_file(Path(said.held_out)) if said.held_out else ""
        finally:
            self._jobs.discard(result)

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


def _check_classes(name: str, signature: Signature, found: GraphFound) -> None:
    """Refuse what does not answer as many numbers as there are classes: which number is which, no file says."""
    field = f"{name}.classes"
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
