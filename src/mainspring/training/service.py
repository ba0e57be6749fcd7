"""Training as control sees it: order the work, take the files, and commit version, run and reason together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.features.service import FeatureService
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, MainspringError
from mainspring.kernel.ids import digest_of, new_id
from mainspring.ledger.ports import Store
from mainspring.log.ports import Blobs
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import CHAMPION
from mainspring.registry.service import Registry
from mainspring.registry.version import HELD_OUT, Lineage, Version
from mainspring.training.order import TrainManifest, TrainOrder
from mainspring.training.ordering import Ordering, named_recipe, renewed_recipe
from mainspring.training.ports import Job, Jobs, Progress, Result
from mainspring.training.runs import Attempt, Run, Runs


class TrainingService:
    """Makes versions in workers; user code never runs in this process."""

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
        self._runs = Runs(store)

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

    def renewing(self, model_id: str) -> str:
        """Return the recipe of a retraining: the champion's, or the first where that is a rule or declared no more."""
        row = self._registry.model(None, model_id)
        return renewed_recipe(row.declared(), self._registry.alias(row.id, CHAMPION)).name

    def runs(self, model_id: str) -> list[Run]:
        """Return the runs of a model, newest first."""
        return self._runs.of(self._registry.model(None, model_id).id)

    def run(self, id: str) -> Run:
        """Return one run."""
        return self._runs.one(id)

    def _train(self, model_id: str, recipe: str | None, by: str, reason: str, on_progress: Progress | None) -> Run:
        row = self._registry.model(None, model_id)
        spec = row.declared()
        chosen = named_recipe(spec, recipe)
        now_us = self._clock.now_us()
        order, key = self._ordering.train(row, spec, chosen, now_us)
        earlier = self._runs.earlier(row.id, key)
        if earlier is not None:
            return msgspec.structs.replace(earlier, reused=True)
        attempt = Attempt(new_id("run"), row, chosen.name, key, now_us, reason)
        content = msgspec.to_builtins(order)
        job = Job("train", content, timeout_s=chosen.timeout_s, on_progress=on_progress, id=attempt.id)
        try:
            result = self._jobs.run(job)
            try:
                return self._take(attempt, order, result, by)
            finally:
                self._jobs.discard(result)
        except MainspringError as error:
            self._failed(attempt, error, by)
            raise

    def _take(self, attempt: Attempt, order: TrainOrder, result: Result, by: str) -> Run:
        manifest = msgspec.convert(result.manifest, TrainManifest)
        files = {name: self._stored(path, result.folder) for name, path in manifest.files.items()}
        held_out = self._blobs.put_file(Path(manifest.held_out))
        reached("training.after_blobs")
        used = order.recipe.features
        version = Version(
            id="",
            model=attempt.model.id,
            number=0,
            runtime=manifest.runtime,  # type: ignore[arg-type]
            files=files,
            signature=manifest.signature,
            environment=manifest.environment,
            lineage=self._lineage(attempt, order, manifest, held_out),
            views=order.frame.view_digests(used),
            definitions=order.frame.view_definitions(used),
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
            registered = self._registry.register(tx, version, attempt.reason)
            numbers["number"] = registered.number
            self._runs.end(tx, attempt, "done", numbers, registered.id)
            reached("training.before_commit")
        return self.run(attempt.id)

    def _stored(self, path: str, folder: Path) -> str:
        """Take a file that the worker wrote; what was handed to it by path is a blob already, named by its digest."""
        made = Path(path)
        if made.is_relative_to(folder):
            return self._blobs.put_file(made)
        if not self._blobs.has(made.name):
            raise Damaged("the worker names a file that it neither wrote nor was given", field="files", value=path)
        return made.name

    def _lineage(self, attempt: Attempt, order: TrainOrder, manifest: TrainManifest, held_out: str) -> Lineage:
        row, chosen = attempt.model, order.recipe
        champion = self._registry.alias(row.id, CHAMPION)
        return Lineage(
            recipe=chosen.name,
            revision=row.revision or "",
            commit=manifest.commit,
            dirty=manifest.dirty,
            source_digest=digest_of(self._ordering.files(row)),
            snapshots={
                "frame": manifest.frame_digest,
                HELD_OUT: held_out,
                **{f"source:{name}": digest_of(list(one.digests)) for name, one in order.frame.sources.items()},
            },
            params=chosen.params,
            seed=chosen.seed,
            trained_from_us=manifest.from_us,
            trained_until_us=manifest.until_us if chosen.kind == "trainer" else None,
            run=attempt.id,
            parent=champion.id if champion else "",
        )

    def _failed(self, attempt: Attempt, error: MainspringError, by: str) -> None:
        told = {"code": error.code, "message": error.sentence()}
        row = attempt.model
        with self._store.begin(by) as tx:
            self._runs.end(tx, attempt, "failed", told)
            numbers = {"model": row.name, "recipe": attempt.recipe, **told}
            tx.record("run.failed", attempt.id, f"{attempt.reason}: {error.what[:300]}", numbers, project=row.project)
