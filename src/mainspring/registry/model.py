"""What a model is: what it is asked about, what it sees, what comes true, and how versions of it are made."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Label, Task

MOST_BATCH_ROWS = 10_000
MOST_WAIT_MS = 1_000.0


class PredictAt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The moment of prediction of a training row: ``column + offset_us``, such as ``sched_dep - 2h``."""

    column: str
    offset_us: int = 0


class OutcomeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes true. ``expression`` is Polars SQL over the source's columns (``arr_delay > 15``)."""

    expression: str
    source: str
    matures_after_us: int
    kind: Literal["bool", "float", "class"] = "bool"
    if_absent: Literal["unlabelled", "negative"] = "unlabelled"
    affected_by_answer: bool = True


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way of making versions of a model. ``function`` is ``module:name`` inside the project.

    ``kind`` trainer: ``function(frame, params) -> estimator``; rule: ``function(frame, params) -> column of answers``.
    ``window`` is ``expanding`` or a duration (``30d``) back from the moment of training. With ``refit`` the registered
    version is fitted once more on all rows, the held-out ones included, after it was judged on those. A trainer that is
    declared ``deterministic`` is fitted twice on the same rows, and refused if the answers differ.
    """

    name: str
    function: str
    kind: Literal["trainer", "rule"] = "trainer"
    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    window: str = "expanding"
    params: dict[str, Any] = {}
    split: Literal["time", "random", "grouped"] = "time"
    group: str | None = None
    holdout_share: float = 0.2
    seed: int = 0
    deterministic: bool = False
    timeout_s: float = 3_600.0
    frame: Literal["pandas", "polars"] = "pandas"
    refit: bool = True


class Batching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model process puts rows that wait into one call: at most ``max_rows`` of them.

    While rows keep coming, it waits up to ``max_wait_ms`` for as many as came last; a row that finds it idle never
    waits.

    >>> Batching(max_rows=64, max_wait_ms=2).max_rows
    64
    """

    max_rows: int = 256
    max_wait_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_rows <= MOST_BATCH_ROWS:
            remedy = f"give a number from 1 to {MOST_BATCH_ROWS:,}"
            raise InvalidInput("is out of bounds", field="max_rows", value=self.max_rows, remedy=remedy)
        if not 0 <= self.max_wait_ms <= MOST_WAIT_MS:
            remedy = f"give a number from 0 to {MOST_WAIT_MS:g}"
            raise InvalidInput("is out of bounds", field="max_wait_ms", value=self.max_wait_ms, remedy=remedy)


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a project. A request carries ``entity``, ``keys`` and ``inputs``; ``features`` are views by name.

    ``source`` gives the training rows: it holds the entity, the keys, the inputs and the predict_at column.
    ``columns`` (filled in by ``apply``) are the request's columns with their kinds. ``unit`` is the column that routing
    draws by, ``subject`` the one whose data it is (both default to the entity, and to nobody). Predictions are kept for
    ``keep_us``; as long as the home's settings say if that is None. A share of units, the ``holdout``, always meets
    the champion. ``pii`` are request columns that are sealed in the log with a key of their subject.
    """

    name: str
    task: Task
    entity: str
    source: str
    predict_at: PredictAt
    outcome: OutcomeSpec
    recipes: tuple[Recipe, ...]
    keys: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    unit: str = ""
    subject: str | None = None
    keep_us: int | None = None
    pii: tuple[str, ...] = ()
    threshold: float | None = None
    deadline_ms: int = 1_000
    classes: tuple[Label, ...] = ()
    batching: Batching = Batching()
    holdout: float = 0.0

    def recipe(self, name: str | None = None) -> Recipe | None:
        """Return the recipe of that name, or the first one."""
        if name is None:
            return self.recipes[0] if self.recipes else None
        return next((recipe for recipe in self.recipes if recipe.name == name), None)
