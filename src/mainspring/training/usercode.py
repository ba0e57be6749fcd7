"""Calling a project's own functions: every way in which they can go wrong has a sentence."""

from __future__ import annotations

import importlib
import random
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mainspring.kernel.classes import class_texts
from mainspring.kernel.errors import MainspringError, WorkerFailed
from mainspring.kernel.schema import Signature
from mainspring.registry.model import Recipe
from mainspring.training.answers import estimator_scores, no_probabilities, rule_vectors
from mainspring.training.inputs import LABEL, to_pandas

Floats = np.typing.NDArray[np.float64]
WITH_CLASSES = ("binary", "multiclass")


def materialise(code: dict[str, str], folder: Path) -> None:
    """Copy a project's files (name to path) below ``folder`` and make them importable."""
    for name, path in code.items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise WorkerFailed("a file of the project lies outside it", field="code", value=name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def function_of(recipe: Recipe, place: str) -> Callable[[Any, dict[str, Any]], Any]:
    """Import the recipe's function."""
    module, _, name = recipe.function.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except MainspringError:
        raise
    except BaseException as error:  # users' code may raise anything, or try to end the process
        raise _raised(error, place, f"importing {recipe.function} raised") from error
    if not callable(found):
        raise WorkerFailed("is not a function", field=place, value=recipe.function)
    called: Callable[[Any, dict[str, Any]], Any] = found
    return called


def shown(frame: pl.DataFrame, recipe: Recipe) -> Any:
    """Return a frame as the recipe asked for it."""
    return frame if recipe.frame == "polars" else to_pandas(frame)


class Fitted:
    """What a recipe made: an estimator, or a rule's function with its parameters."""

    def __init__(self, made: Any, recipe: Recipe, signature: Signature, place: str) -> None:
        self.made = made
        self._recipe = recipe
        self._signature = signature
        self._place = place

    def scores(self, inputs: pl.DataFrame) -> Floats:
        """Return one answer a row, checked: finite, and probabilities where the model gives such."""
        try:
            raw = self._raw(inputs)
        except MainspringError:
            raise
        except BaseException as error:  # users' code may raise anything, or try to end the process
            raise _raised(error, self._place, "answering held-out rows raised") from error
        return checked_scores(raw, inputs.height, self._signature, self._place)

    def _raw(self, inputs: pl.DataFrame) -> Any:
        if self._recipe.kind == "rule":
            said = self.made(shown(inputs, self._recipe), dict(self._recipe.params))
            return rule_vectors(said, self._signature.classes) if self._signature.task == "multiclass" else said
        return estimator_scores(self.made, to_pandas(inputs), self._signature)


def fit(recipe: Recipe, inputs: pl.DataFrame, label: pl.Series, signature: Signature, place: str) -> Fitted:
    """Call the trainer on the inputs with ``label``; a rule needs no rows and is returned as it is."""
    function = function_of(recipe, place)
    if recipe.kind == "rule":
        return Fitted(function, recipe, signature, place)
    if signature.task in WITH_CLASSES and label.n_unique() < 2:
        raise WorkerFailed(
            f"all {label.len()} outcomes to fit on are the same", field=f"{place}.window", remedy="widen the window"
        )
    frame = shown(inputs.with_columns(label.alias(LABEL)), recipe)
    random.seed(recipe.seed)
    np.random.seed(recipe.seed)
    try:
        made = function(frame, dict(recipe.params))
    except MainspringError:
        raise
    except BaseException as error:  # users' code may raise anything, or try to end the process
        raise _raised(error, place, "the trainer raised") from error
    _demand_estimator(made, signature, place)
    return Fitted(made, recipe, signature, place)


def checked_scores(raw: Any, rows: int, signature: Signature, place: str) -> Floats:
    """Return answers as an array, ``(n, k)`` where there are classes; or say what is wrong with them."""
    try:
        scores = np.asarray(raw.to_numpy() if hasattr(raw, "to_numpy") else raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise WorkerFailed("the answers are not numbers", field=place, value=type(raw).__name__) from error
    if signature.task == "multiclass":
        return _checked_vectors(scores, rows, signature, place)
    scores = scores.ravel()
    if scores.size != rows:
        raise WorkerFailed(f"gave {scores.size} answers for {rows} rows", field=place)
    if not np.isfinite(scores).all():
        raise WorkerFailed(f"gave {int((~np.isfinite(scores)).sum())} answers that are not finite", field=place)
    if signature.task == "binary" and (scores.min(initial=0) < 0 or scores.max(initial=0) > 1):
        worst = scores[np.argmax(np.abs(scores - 0.5))]
        raise WorkerFailed("a probability must lie in [0, 1]", field=place, value=float(worst))
    return scores


def _checked_vectors(scores: Floats, rows: int, signature: Signature, place: str) -> Floats:
    wanted = (rows, len(signature.classes))
    if scores.shape != wanted:
        what = f"gave answers of shape {scores.shape} for {wanted[0]} rows and {wanted[1]} classes"
        raise WorkerFailed(what, field=place, remedy=f"give the probabilities of {_shown(signature)}, in this order")
    bad = no_probabilities(scores)
    if bad.any():
        what = f"{int(bad.sum())} answers are no probabilities of the classes, which add up to 1"
        raise WorkerFailed(what, field=place, value=scores[int(bad.argmax())].tolist())
    return scores


def _shown(signature: Signature) -> str:
    return ", ".join(class_texts(signature.classes))


def _demand_estimator(made: Any, signature: Signature, place: str) -> None:
    needed = "predict_proba" if signature.task in WITH_CLASSES else "predict"
    if not callable(getattr(made, needed, None)):
        raise WorkerFailed(
            f"must return a fitted estimator with {needed}",
            field=place,
            value=type(made).__name__,
            remedy="end the trainer with: return estimator.fit(frame, label)",
        )
    classes = getattr(made, "classes_", None)
    if signature.task == "binary" and classes is not None and len(classes) != 2:
        raise WorkerFailed("must know two classes", field=place, value=[str(one) for one in classes])


def _raised(error: BaseException, place: str, what: str) -> WorkerFailed:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/code/" in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    words = " ".join(str(error).split())[:400]
    return WorkerFailed(f"{what} {type(error).__name__}{where}: {words}", field=place, remedy="mend it and apply again")
