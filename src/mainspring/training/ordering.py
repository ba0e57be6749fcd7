"""What a worker needs to know of a model: its rows, its code, its champion."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from mainspring.features.frame import FrameSpec
from mainspring.features.service import FeatureService
from mainspring.kernel.errors import Conflict, NotFound, unknown
from mainspring.kernel.ids import digest_of
from mainspring.log.ports import Blobs
from mainspring.registry.alias import CHAMPION
from mainspring.registry.model import ModelSpec, Recipe
from mainspring.registry.service import ModelRow, Registry
from mainspring.registry.version import Version
from mainspring.serving.routing import version_route
from mainspring.training.order import BacktestOrder, ChampionOrder, JudgeOrder, TrainOrder
from mainspring.training.ports import Folders
from mainspring.training.spec import window_us

UNREGISTERED = "ver_asked"  # what a version is called that has no id yet


class Ordering:
    """Makes the orders of training and of backtests out of what stands in the registry."""

    def __init__(
        self,
        *,
        registry: Registry,
        features: FeatureService,
        blobs: Blobs,
        folders: Folders,
        root_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self._registry = registry
        self._features = features
        self._blobs = blobs
        self._folders = folders
        self._root_of = root_of

    def train(self, row: ModelRow, spec: ModelSpec, chosen: Recipe, now_us: int) -> tuple[TrainOrder, str]:
        """Return what a worker is asked to make, and the digest of all that goes into it."""
        frame, champion = self._frame(row, spec, chosen, now_us)
        order = TrainOrder(
            project=row.project_name,
            model=spec,
            recipe=chosen,
            frame=frame,
            code=self._code(row),
            root=self._root_of(row.project) if self._root_of else None,
            champion=None if champion is None else self._champion(champion),
            folders=self._folders,
        )
        content = [msgspec.to_builtins(spec), msgspec.to_builtins(chosen), self.files(row)]
        return order, digest_of([*content, frame.key(), champion.id if champion else None])

    def backtest(
        self, row: ModelRow, spec: ModelSpec, chosen: Recipe, champion: Version, now_us: int, origins: int
    ) -> BacktestOrder:
        """Return what workers are asked about the past."""
        whole = msgspec.structs.replace(chosen, window="expanding")  # each origin takes its own window from it
        frame, comparable = self._frame(row, spec, whole, now_us)
        if comparable is None:
            raise Conflict(
                "its champion looks up views that are declared no more, so it cannot be asked about the past",
                field="model",
                value=row.name,
                remedy="train and release a version with the views of now",
            )
        return BacktestOrder(
            project=row.project_name,
            model=spec,
            recipe=chosen,
            frame=frame,
            champion=self._champion(champion),
            until_us=now_us,
            code=self._code(row),
            origins=origins,
            folders=self._folders,
        )

    def ask(self, version: Version) -> JudgeOrder:
        """Return the order to start a version that is to be registered, and to ask it about one row."""
        route = version_route(version, self._registry.environments.lock_of(version) or "")
        for blob in version.files.values():
            self._blobs.path(blob)
        return JudgeOrder(msgspec.structs.replace(route, id=UNREGISTERED), self._folders)

    def judge(self, row: ModelRow, version: Version, now_us: int) -> JudgeOrder | None:
        """Return the order to ask it about rows that the first recipe holds out, or None where there are no rows."""
        if row.spec is None or not row.spec.recipes:
            return None
        recipe = named_recipe(row.spec, None)
        frame, champion = self._frame(row, row.spec, recipe, now_us)
        if not any(source.rows for source in frame.sources.values()):
            return None
        compared = None if champion is None else self._champion(champion)
        return msgspec.structs.replace(self.ask(version), recipe=recipe, frame=frame, champion=compared)

    def files(self, row: ModelRow) -> dict[str, str]:
        """Return the blobs of the project's modules, by name."""
        if row.revision is None:
            return {}
        revision = msgspec.json.decode(self._blobs.get(row.revision))
        files: dict[str, str] = revision["files"]
        return files

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

    def _code(self, row: ModelRow) -> dict[str, str]:
        return {name: str(self._blobs.path(blob)) for name, blob in self.files(row).items()}

    def _champion(self, version: Version) -> ChampionOrder:
        for blob in version.files.values():
            self._blobs.path(blob)  # a copy of each is on this machine now
        route = version_route(version, self._registry.environments.lock_of(version) or "")
        return ChampionOrder(route, version.lineage.trained_until_us)


def named_recipe(spec: ModelSpec, name: str | None) -> Recipe:
    """Return a recipe of the model, the first one by default."""
    found = spec.recipe(name)
    if found is None:
        raise unknown("recipe", name or "", (recipe.name for recipe in spec.recipes))
    return found


def renewed_recipe(spec: ModelSpec, champion: Version | None) -> Recipe:
    """Return the recipe of a retraining: the champion's, or the first where that is a rule or declared no more."""
    own = spec.recipe(champion.lineage.recipe) if champion is not None and champion.lineage.recipe else None
    return own if own is not None and own.kind == "trainer" else named_recipe(spec, None)
