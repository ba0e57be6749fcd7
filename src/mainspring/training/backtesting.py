"""Backtests as control sees them: order them, put the workers' answers together, and keep the verdict."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import polars as pl
from sqlalchemy import insert, select

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict
from mainspring.kernel.ids import digest_of, new_id
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.registry.alias import CHAMPION
from mainspring.registry.model import Recipe
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.training.backtest import BacktestResult, Origin, judge
from mainspring.training.order import BacktestManifest, BacktestOrder
from mainspring.training.ordering import Ordering, renewed_recipe
from mainspring.training.ports import Job, Jobs, Progress
from mainspring.training.tables import backtests


class BacktestService:
    """Asks the past whether retraining would have helped."""

    def __init__(
        self, *, store: Store, registry: Registry, ordering: Ordering, log: PredictionLog, jobs: Jobs, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._ordering = ordering
        self._log = log
        self._jobs = jobs
        self._clock = clock

    def run(
        self, model_id: str, origins: int = 6, *, by: str, on_progress: Progress | None = None, retraining: str = ""
    ) -> BacktestResult:
        """Ask whether retraining would have helped in the last four weeks; at most ``origins`` fits.

        For one ``retraining`` that is asked once: whoever asks again, after a crash, gets the first verdict.
        """
        judged = [one for one in self.of(model_id) if retraining and one.retraining == retraining]
        if judged:
            return judged[0]
        with self._log.reading():  # the files that the workers are given stay until they have ended
            return self._run(model_id, origins, by, on_progress, retraining)

    def of(self, model_id: str) -> list[BacktestResult]:
        """Return the backtests of a model, newest first."""
        query = select(backtests.c.body).where(backtests.c.model == self._registry.model(None, model_id).id)
        with self._store.read() as connection:
            rows = connection.scalars(query.order_by(backtests.c.at_us.desc())).all()
        return [msgspec.json.decode(body, type=BacktestResult) for body in rows]

    def _run(
        self, model_id: str, origins: int, by: str, on_progress: Progress | None, retraining: str
    ) -> BacktestResult:
        row = self._registry.model(None, model_id)
        spec = row.declared()
        champion = self._registry.alias(row.id, CHAMPION)
        if champion is None:
            raise Conflict("has no champion to compare with", field="model", value=row.name, remedy="train one first")
        chosen = renewed_recipe(spec, champion)
        order = self._ordering.backtest(row, spec, chosen, champion, self._clock.now_us(), origins)
        made = judge(spec.task, *self._side_by_side(order, on_progress))
        made = msgspec.structs.replace(made, retraining=retraining)
        return self._keep(row, champion, chosen, made, digest_of(msgspec.to_builtins(order)), by)

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

    def _keep(
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
