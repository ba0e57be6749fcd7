"""Training as control sees it: order the work, take the files, and commit version, run and reason together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Row, insert, select

from mainspring.features.frame import FrameSpec
from mainspring.features.service import FeatureService
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, Damaged, InvalidInput, MainspringError, NotFound, unknown
from mainspring.kernel.ids import digest_of, new_id
from mainspring.kernel.schema import Column, Signature, Task
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.ports import Blobs
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import CHAMPION
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec, Recipe
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Environment, Lineage, Version
from mainspring.training.backtest import BacktestResult, Origin, judge
from mainspring.training.graphs import GraphFound, signature_for
from mainspring.training.inputs import BoundSpec, signature_of
from mainspring.training.order import BacktestManifest, BacktestOrder, ChampionOrder, TrainManifest, TrainOrder
from mainspring.training.ports import Job, Jobs, Progress, Result
from mainspring.training.runtime import Package
from mainspring.training.spec import window_us
from mainspring.training.tables import backtests, training_runs

HELD_OUT = "held_out"


class Run(msgspec.Struct, frozen=True):
    """One run of a recipe. ``reused`` says that nothing had changed, so an earlier run's version is returned."""

    id: str
    model: str
    recipe: str
    status: str
    version: str | None
    number: int | None
    started_us: int
    finished_us: int
    reason: str
    numbers: dict[str, Any] = {}
    reused: bool = False


class ReadGraph(msgspec.Struct, frozen=True):
    """An ONNX file that a worker could load: its blob, and what it asks for and answers."""

    blob: str
    found: GraphFound


class TrainingService:
    """Makes versions and backtests in workers; user code never runs in this process."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        features: FeatureService,
        log: PredictionLog,
        blobs: Blobs,
        jobs: Jobs,
        clock: Clock,
        root_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._features = features
        self._log = log
        self._blobs = blobs
        self._jobs = jobs
        self._clock = clock
        self._root_of = root_of

    def train(
        self,
        model_id: str,
        recipe: str | None = None,
        *,
        by: str,
        reason: str = "asked for",
        on_progress: Progress | None = None,
    ) -> Run:
        """Make a version with a recipe (the first one by default) from all that is known now.

        With the same code, parameters and rows as an earlier run, that run's version is returned. A run that fails is
        recorded and its error raised; no version is left behind.
        """
        with self._log.reading():  # the files that the worker is given stay until it has ended
            return self._train(model_id, recipe, by, reason, on_progress)

    def _train(
        self, model_id: str, recipe: str | None, by: str, reason: str, on_progress: Progress | None
    ) -> Run:  # fmt: skip
        row = self._registry.model(None, model_id)
        spec = row.declared()
        chosen = _recipe(spec, recipe)
        now_us = self._clock.now_us()
        order, key = self._train_order(row, spec, chosen, now_us)
        earlier = self._earlier(row.id, key)
        if earlier is not None:
            return msgspec.structs.replace(earlier, reused=True)
        run_id = new_id("run")
        job = Job("train", msgspec.to_builtins(order), timeout_s=chosen.timeout_s, on_progress=on_progress, id=run_id)
        try:
            result = self._jobs.run(job)
            try:
                return self._take(row, chosen, order, result, run_id, key, now_us, by=by, reason=reason)
            finally:
                self._jobs.discard(result)
        except MainspringError as error:
            self._failed(row, chosen, run_id, key, now_us, by=by, reason=reason, error=error)
            raise

    def renewing(self, model_id: str) -> str:
        """Return the recipe of a retraining: the champion's, or the first where that is a rule or declared no more."""
        row = self._registry.model(None, model_id)
        return _renewed(row.declared(), self._registry.alias(row.id, CHAMPION)).name

    def backtest(
        self, model_id: str, origins: int = 6, *, by: str, on_progress: Progress | None = None, retraining: str = ""
    ) -> BacktestResult:
        """Ask whether retraining would have helped in the last four weeks; at most ``origins`` fits.

        For one ``retraining`` that is asked once: whoever asks again, after a crash, gets the first verdict.
        """
        judged = [one for one in self.backtests(model_id) if retraining and one.retraining == retraining]
        if judged:
            return judged[0]
        with self._log.reading():
            return self._backtest(model_id, origins, by, on_progress, retraining)

    def _backtest(
        self, model_id: str, origins: int, by: str, on_progress: Progress | None, retraining: str
    ) -> BacktestResult:
        row = self._registry.model(None, model_id)
        spec = row.declared()
        champion = self._registry.alias(row.id, CHAMPION)
        if champion is None:
            raise Conflict("has no champion to compare with", field="model", value=row.name, remedy="train one first")
        chosen = _renewed(spec, champion)
        now_us = self._clock.now_us()
        whole = msgspec.structs.replace(chosen, window="expanding")  # each origin takes its own window from it
        frame, comparable = self._frame(row, spec, whole, now_us)
        if comparable is None:
            raise Conflict(
                "its champion looks up views that are declared no more, so it cannot be asked about the past",
                field="model",
                value=row.name,
                remedy="train and release a version with the views of now",
            )
        order = BacktestOrder(
            project=row.project_name,
            model=spec,
            recipe=chosen,
            frame=frame,
            champion=self._champion(champion),
            until_us=now_us,
            code=self._code(row),
            origins=origins,
        )
        made = judge(spec.task, *self._side_by_side(order, on_progress))
        made = msgspec.structs.replace(made, retraining=retraining)
        return self._keep_backtest(row, champion, chosen, made, digest_of(msgspec.to_builtins(order)), by)

    def _side_by_side(self, order: BacktestOrder, on_progress: Progress | None) -> tuple[list[Origin], pl.DataFrame]:
        """Return every origin and all answers, from as many workers as may run at once; each takes every nth origin."""
        count = min(self._jobs.side_by_side, order.origins)
        shares = [tuple(range(first, order.origins, count)) for first in range(count)]
        with ThreadPoolExecutor(count) as pool:
            running = [pool.submit(self._some_origins, order, turns, count, on_progress) for turns in shares]
            found = [one.result() for one in running]
        origins = {number: origin for turns, (told, _) in zip(shares, found, strict=True)
                   for number, origin in zip(turns, told, strict=True)}  # fmt: skip
        answers = pl.concat([answers for _, answers in found]).sort("origin", maintain_order=True)
        return [origins[number] for number in range(order.origins)], answers

    def _some_origins(
        self, order: BacktestOrder, turns: tuple[int, ...], shared_by: int, on_progress: Progress | None
    ) -> tuple[tuple[Origin, ...], pl.DataFrame]:
        share = msgspec.to_builtins(msgspec.structs.replace(order, turns=turns))
        timeout_s = order.recipe.timeout_s * len(turns)
        job = Job("backtest", share, timeout_s=timeout_s, on_progress=on_progress, shared_by=shared_by)
        result = self._jobs.run(job)
        try:
            made = msgspec.convert(result.manifest, BacktestManifest)
            return made.origins, pl.read_parquet(result.folder / Path(made.answers).name)
        finally:
            self._jobs.discard(result)

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
    ) -> Version:
        """Register an ONNX file as a version; a worker loads it first and says what it asks for.

        A declared model must have every input of the graph, as a request column or as a feature of its first recipe. A
        model without a declaration takes the graph's inputs as the request, and ``task`` as its task.
        """
        row = self._registry.model(None, model_id)
        read = self.read_graph(graph) if isinstance(graph, Path) else graph
        blob, found = read.blob, read.found
        signature, views, definitions = self._signature(row, found, task)
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
        with self._store.begin(by) as tx:
            self._features.demand_fed(tx.connection, version.views)
            return self._registry.register(tx, version, reason)

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
    ) -> Version:
        """Register an MLflow function whose files are blobs already; it runs in a model process, and only there."""
        row = self._registry.model(None, model_id)
        signature, views, definitions = self._signature(row, GraphFound(inputs, plain_graph=False, p999_ms=None), task)
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
        with self._store.begin(by) as tx:
            self._features.demand_fed(tx.connection, version.views)
            return self._registry.register(tx, version, reason)

    def runs(self, model_id: str) -> list[Run]:
        """Return the runs of a model, newest first."""
        query = select(training_runs).where(training_runs.c.model == self._registry.model(None, model_id).id)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(training_runs.c.started_us.desc(), training_runs.c.id)).all()
        return [_run(row) for row in rows]

    def run(self, id: str) -> Run:
        """Return one run."""
        with self._store.read() as connection:
            row = connection.execute(select(training_runs).where(training_runs.c.id == id)).first()
            known = () if row is not None else connection.scalars(select(training_runs.c.id)).all()
        if row is None:
            raise unknown("run", id, known)
        return _run(row)

    def backtests(self, model_id: str) -> list[BacktestResult]:
        """Return the backtests of a model, newest first."""
        query = select(backtests.c.body).where(backtests.c.model == self._registry.model(None, model_id).id)
        with self._store.read() as connection:
            rows = connection.scalars(query.order_by(backtests.c.at_us.desc())).all()
        return [msgspec.json.decode(body, type=BacktestResult) for body in rows]

    def _train_order(self, row: ModelRow, spec: ModelSpec, chosen: Recipe, now_us: int) -> tuple[TrainOrder, str]:
        frame, champion = self._frame(row, spec, chosen, now_us)
        order = TrainOrder(
            project=row.project_name,
            model=spec,
            recipe=chosen,
            frame=frame,
            code=self._code(row),
            root=self._root_of(row.project) if self._root_of else None,
            champion=None if champion is None else self._champion(champion),
        )
        content = [msgspec.to_builtins(spec), msgspec.to_builtins(chosen), self._files(row)]
        return order, digest_of([*content, frame.key(), champion.id if champion else None])

    def _frame(self, row: ModelRow, spec: ModelSpec, chosen: Recipe, now_us: int) -> tuple[FrameSpec, Version | None]:
        """Return the recipe's frame, widened by the champion's views where those are still what they were."""
        window = window_us(chosen.window)
        since_us = None if window is None else now_us - window
        champion = self._registry.alias(row.id, CHAMPION)
        if champion is not None:
            named = {feature.partition(".")[0] for feature in champion.signature.features.values()}
            both = msgspec.structs.replace(chosen, features=tuple(dict.fromkeys([*chosen.features, *sorted(named)])))
            with suppress(NotFound):  # a view that is declared no more: the champion cannot answer these rows
                wide = self._features.frame(spec, both, row.project, until_us=now_us, since_us=since_us)
                if {view.digest for view in wide.views} >= set(champion.views):
                    return wide, champion
        return self._features.frame(spec, chosen, row.project, until_us=now_us, since_us=since_us), None

    def _signature(
        self, row: ModelRow, found: GraphFound, task: Task
    ) -> tuple[Signature, tuple[str, ...], tuple[str, ...]]:
        if row.spec is None:
            return Signature(task=task, inputs=found.inputs, requested=found.inputs), (), ()
        recipe = _recipe(row.spec, None)
        frame = self._features.frame(row.spec, recipe, row.project, until_us=self._clock.now_us())
        bound = [BoundSpec(view.view, view.source) for view in frame.bound(recipe.features)]
        signature = signature_for(found, signature_of(row.spec, recipe, bound))
        used = sorted({feature.partition(".")[0] for feature in signature.features.values()})
        return signature, frame.view_digests(used), frame.view_definitions(used)

    def _files(self, row: ModelRow) -> dict[str, str]:
        if row.revision is None:
            return {}
        revision = msgspec.json.decode(self._blobs.get(row.revision))
        files: dict[str, str] = revision["files"]
        return files

    def _code(self, row: ModelRow) -> dict[str, str]:
        return {name: str(self._blobs.path(blob)) for name, blob in self._files(row).items()}

    def _champion(self, version: Version) -> ChampionOrder:
        files = {name: str(self._blobs.path(blob)) for name, blob in version.files.items()}
        package = Package(version.runtime, files, version.signature)
        return ChampionOrder(package, version.number, version.lineage.trained_until_us)

    def _earlier(self, model_id: str, key: str) -> Run | None:
        query = select(training_runs).where(
            training_runs.c.model == model_id, training_runs.c.key == key, training_runs.c.status == "done"
        )
        with self._store.read() as connection:
            row = connection.execute(query.order_by(training_runs.c.finished_us.desc()).limit(1)).first()
        return None if row is None else _run(row)

    def _take(
        self,
        row: ModelRow,
        chosen: Recipe,
        order: TrainOrder,
        result: Result,
        run_id: str,
        key: str,
        started_us: int,
        *,
        by: str,
        reason: str,
    ) -> Run:
        manifest = msgspec.convert(result.manifest, TrainManifest)
        files = {name: self._stored(path, result.folder) for name, path in manifest.files.items()}
        held_out = self._blobs.put_file(Path(manifest.held_out))
        reached("training.after_blobs")
        version = Version(
            id="",
            model=row.id,
            number=0,
            runtime=manifest.runtime,  # type: ignore[arg-type]
            files=files,
            signature=manifest.signature,
            environment=manifest.environment,
            lineage=self._lineage(row, chosen, order, manifest, run_id, held_out),
            views=order.frame.view_digests(chosen.features),
            definitions=order.frame.view_definitions(chosen.features),
            metrics=manifest.metrics,
            parity=manifest.parity,
            plain_graph=manifest.plain_graph,
            p999_ms=manifest.p999_ms,
            threshold=order.model.threshold,
        )
        numbers = {
            "metrics": manifest.metrics,
            "rows": manifest.rows,
            "champion": manifest.champion,
            "runtime": manifest.runtime,
            "parity": msgspec.to_builtins(manifest.parity),
            "p999_ms": manifest.p999_ms,
        }
        with self._store.begin(by) as tx:
            self._features.demand_fed(tx.connection, version.views)
            registered = self._registry.register(tx, version, reason)
            numbers["number"] = registered.number
            self._insert(tx, row, chosen, run_id, key, started_us, "done", reason, numbers, registered.id)
            reached("training.before_commit")
        return self.run(run_id)

    def _stored(self, path: str, folder: Path) -> str:
        """Take a file that the worker wrote; what was handed to it by path is a blob already, named by its digest."""
        made = Path(path)
        if made.is_relative_to(folder):
            return self._blobs.put_file(made)
        if not self._blobs.has(made.name):
            raise Damaged("the worker names a file that it neither wrote nor was given", field="files", value=path)
        return made.name

    def _lineage(
        self, row: ModelRow, chosen: Recipe, order: TrainOrder, manifest: TrainManifest, run_id: str, held_out: str
    ) -> Lineage:
        champion = self._registry.alias(row.id, CHAMPION)
        return Lineage(
            recipe=chosen.name,
            revision=row.revision or "",
            commit=manifest.commit,
            dirty=manifest.dirty,
            source_digest=digest_of(self._files(row)),
            snapshots={
                "frame": manifest.frame_digest,
                HELD_OUT: held_out,
                **{f"source:{name}": digest_of(list(one.digests)) for name, one in order.frame.sources.items()},
            },
            params=chosen.params,
            seed=chosen.seed,
            trained_from_us=manifest.from_us,
            trained_until_us=manifest.until_us if chosen.kind == "trainer" else None,
            run=run_id,
            parent=champion.id if champion else "",
        )

    def _failed(
        self,
        row: ModelRow,
        chosen: Recipe,
        run_id: str,
        key: str,
        started_us: int,
        *,
        by: str,
        reason: str,
        error: MainspringError,
    ) -> None:
        told = {"code": error.code, "message": error.sentence()}
        with self._store.begin(by) as tx:
            self._insert(tx, row, chosen, run_id, key, started_us, "failed", reason, told, None)
            numbers = {"model": row.name, "recipe": chosen.name, **told}
            tx.record("run.failed", run_id, f"{reason}: {error.what[:300]}", numbers, project=row.project)

    def _insert(
        self,
        tx: Transaction,
        row: ModelRow,
        chosen: Recipe,
        run_id: str,
        key: str,
        started_us: int,
        status: str,
        reason: str,
        numbers: dict[str, Any],
        version: str | None,
    ) -> None:
        tx.connection.execute(
            insert(training_runs).values(
                id=run_id,
                model=row.id,
                recipe=chosen.name,
                key=key,
                status=status,
                version=version,
                started_us=started_us,
                finished_us=tx.at_us,
                reason=reason,
                body=msgspec.json.encode(numbers).decode(),
            )
        )

    def _keep_backtest(
        self, row: ModelRow, champion: Version, chosen: Recipe, made: BacktestResult, key: str, by: str
    ) -> BacktestResult:
        kept = msgspec.structs.replace(made, id=new_id("bck"), champion=champion.id, recipe=chosen.name)
        with self._store.begin(by) as tx:
            tx.connection.execute(
                insert(backtests).values(
                    id=kept.id,
                    model=row.id,
                    champion=champion.id,
                    key=key,
                    at_us=tx.at_us,
                    body=msgspec.json.encode(kept).decode(),
                )
            )
            numbers = {"model": row.name, "champion": champion.number, **msgspec.to_builtins(made)}
            tx.record("backtest.judged", kept.id, f"{made.verdict}: {made.reason}", numbers, project=row.project)
        return kept


def _recipe(spec: ModelSpec, name: str | None) -> Recipe:
    found = spec.recipe(name)
    if found is None:
        raise unknown("recipe", name or "", (recipe.name for recipe in spec.recipes))
    return found


def _renewed(spec: ModelSpec, champion: Version | None) -> Recipe:
    own = spec.recipe(champion.lineage.recipe) if champion is not None and champion.lineage.recipe else None
    return own if own is not None and own.kind == "trainer" else _recipe(spec, None)


def _run(row: Row[Any]) -> Run:
    numbers = msgspec.json.decode(row.body)
    return Run(
        id=row.id,
        model=row.model,
        recipe=row.recipe,
        status=row.status,
        version=row.version,
        number=numbers.get("number"),
        started_us=row.started_us,
        finished_us=row.finished_us,
        reason=row.reason,
        numbers=numbers,
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput("cannot be read", field="file", value=str(path), remedy="name an ONNX file") from error
