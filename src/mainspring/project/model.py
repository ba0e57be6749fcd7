"""A question with its recipes, checks, release, monitors and retraining, as a project declares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from mainspring.kernel.classes import checked_classes
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Label, Task
from mainspring.project.collection import Declaration, Faulty, fault
from mainspring.project.given import (
    checked_name,
    names,
    one_of,
    optional_text,
    predict_at_of,
    reference,
    references,
    share_of,
    span_us,
    text,
    typed,
)
from mainspring.project.outcome import Outcome
from mainspring.project.source import Source
from mainspring.project.view import FeatureView
from mainspring.registry.model import Batching

F = TypeVar("F", bound=Callable[..., Any])
_TASKS = ("binary", "regression", "multiclass", "quantiles", "ranking", "embedding")
_SERVED = ("binary", "regression", "multiclass")


class RecipeDeclared:
    """One way of making versions of a model, as it was declared."""

    def __init__(self, name: str, function: Callable[..., Any], kind: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.function = function
        self.kind = kind
        self.options = dict(options)


class Model(metaclass=Declaration):
    """Name a model: what it is asked about, what it sees, what comes true, and how its versions are made and released.

    A request carries ``entity``, ``keys`` (what features are looked up by) and ``inputs``. The trainer sees keys,
    inputs and features, each as known at ``predict_at``: a time column, plus or minus a span (``"sched_dep - 2h"``).
    ``source`` gives the training rows; it is the outcome's unless stated. ``unit`` is the column that a release draws
    by and ``subject`` the one whose data it is; both are request columns. ``keep`` is how long predictions are kept.
    Columns in ``pii`` are sealed in the log with a key of their subject (``pip install "mainspring[pii]"``).
    ``batching`` says how many rows that wait are put into one call where a version runs in a process of its own.
    A share of units, the ``holdout``, meets the champion for good, whatever is released.

    With ``task="multiclass"`` the outcome is a text, a whole number or a truth value, one of ``classes``; those that
    training meets, sorted, unless they are stated.

    >>> import mainspring as ms
    >>> late = ms.Model(
    ...     "late", entity="flight_id", inputs=["distance"], predict_at="sched_dep - 2h", task="binary",
    ...     outcome=ms.Outcome("arr_delay > 15", source="flights", matures_after="36h", affected_by_answer=False),
    ... )
    >>> @late.rule
    ... def far(frame, params):
    ...     return frame["distance"] > 2000
    """

    broken: bool

    def __init__(
        self,
        name: str,
        *,
        entity: str,
        predict_at: str,
        outcome: Outcome,
        task: Task,
        keys: str | Sequence[str] = (),
        inputs: str | Sequence[str] = (),
        features: Sequence[FeatureView | str] = (),
        source: Source | str | None = None,
        unit: str | None = None,
        subject: str | None = None,
        keep: str | None = None,
        pii: str | Sequence[str] = (),
        threshold: float | None = None,
        holdout: float = 0.0,
        deadline: str = "1s",
        classes: Sequence[Label] = (),
        checks: Sequence[Any] = (),
        release: Any = None,
        monitors: Sequence[Any] = (),
        retrain: Any = None,
        batching: Any = None,
    ) -> None:
        place = f"Model({name!r})"
        self.name = checked_name(place, name)
        self.entity = text(f"{place}.entity", entity)
        self.keys = names(f"{place}.keys", keys)
        self.inputs = names(f"{place}.inputs", inputs)
        self.features = references(f"{place}.features", features, FeatureView)
        self.predict_at = predict_at_of(f"{place}.predict_at", predict_at)
        self.outcome = typed(f"{place}.outcome", outcome, Outcome, "an ms.Outcome(…)")
        self.task = one_of(f"{place}.task", task, _TASKS)
        if task in _TASKS and task not in _SERVED:
            remedy = f"use {' or '.join(_SERVED)}"
            fault("is not served yet", field=f"{place}.task", value=task, remedy=remedy)
        outcome_source = getattr(outcome, "source", "")
        self.source = reference(f"{place}.source", source, Source) if source is not None else outcome_source
        self.unit = optional_text(f"{place}.unit", unit)
        self.subject = optional_text(f"{place}.subject", subject)
        self.keep_us = span_us(f"{place}.keep", keep)
        self.pii = names(f"{place}.pii", pii)
        self.threshold = typed(f"{place}.threshold", threshold, (int, float, type(None)), "a number")
        self.holdout = share_of(f"{place}.holdout", holdout)
        self.deadline_us = span_us(f"{place}.deadline", deadline) or 0
        self.classes = _classes(f"{place}.classes", classes, self.task)
        if self.task == "multiclass":
            self._refuse_halves(place)
        self.checks = _parts(f"{place}.checks", checks)
        self.monitors = _parts(f"{place}.monitors", monitors)
        self.release = None if isinstance(release, Faulty) else release
        self.retrain = None if isinstance(retrain, Faulty) else retrain
        wanted = typed(f"{place}.batching", batching, (Batching, type(None)), "an ms.Batching(…)")
        self.batching = wanted if isinstance(wanted, Batching) else Batching()
        self.recipes: list[RecipeDeclared] = []

    def _refuse_halves(self, place: str) -> None:
        """Note what has a meaning for two outcomes alone."""
        if self.threshold is not None:
            remedy = "leave it out: the likeliest class is the answer"
            fault("cuts one probability in two", field=f"{place}.threshold", value=self.threshold, remedy=remedy)
        if getattr(self.outcome, "if_absent", "unlabelled") != "unlabelled":
            remedy = "leave it out: rows without an outcome stay unlabelled"
            fault("says nothing of classes", field=f"{place}.outcome.if_absent", value="negative", remedy=remedy)

    @overload
    def trainer(self, function: F) -> F: ...
    @overload
    def trainer(self, **options: Any) -> Callable[[F], F]: ...
    def trainer(self, function: Any = None, **options: Any) -> Any:
        """Take ``function(frame, params)``, which returns a fitted estimator, as the recipe ``default``."""
        return self._recipe("default", "trainer", function, options)

    @overload
    def rule(self, function: F) -> F: ...
    @overload
    def rule(self, **options: Any) -> Callable[[F], F]: ...
    def rule(self, function: Any = None, **options: Any) -> Any:
        """Take ``function(frame, params)``, which returns one answer a row, as the recipe ``rule``."""
        return self._recipe("rule", "rule", function, options)

    def recipe(self, name: str, **options: Any) -> Callable[[F], F]:
        """Take a trainer as another recipe; ``window``, ``features``, ``inputs``, ``params``, ``seed`` … may differ."""
        return self._recipe(name, "trainer", None, options)  # type: ignore[no-any-return]

    def _recipe(self, name: str, kind: str, function: Any, options: Mapping[str, Any]) -> Any:
        def add(function: F) -> F:
            if not self.broken:
                self.recipes.append(RecipeDeclared(name, function, kind, options))
            return function

        return add if function is None else add(function)


def _parts(field: str, parts: Any) -> tuple[Any, ...]:
    if not isinstance(parts, (list, tuple)):
        fault("must be a list", field=field, value=parts, remedy="write it in square brackets")
        return ()
    return tuple(part for part in parts if not isinstance(part, Faulty))


def _classes(field: str, value: Any, task: str) -> tuple[Label, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        fault("must be a list of classes", field=field, value=value, remedy="write it in square brackets")
        return ()
    if not value:
        return ()
    if task != "multiclass":
        fault("belong to the task multiclass", field=field, value=list(value), remedy="leave them out")
        return ()
    try:
        return checked_classes(value, field)
    except InvalidInput as error:
        fault(error.what, field=field, value=error.value, remedy=error.remedy)
        return ()
