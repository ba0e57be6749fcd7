"""From a notebook to a served model: ``ms.register(estimator, sample)``, then ``mainspring serve``."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from mainspring.adapters.home import HomeLock, create_home
from mainspring.edges.person import local_actor
from mainspring.features.rows import DTYPES, kind_of
from mainspring.kernel.classes import checked_classes
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.schema import Column, Label, Signature, Task
from mainspring.platform import Platform, open_platform
from mainspring.registry.alias import CHAMPION
from mainspring.registry.version import Lineage, Version
from mainspring.training.answers import estimator_scores, plain_label
from mainspring.training.environment import environment_of
from mainspring.training.inputs import to_pandas
from mainspring.training.package import Packed, pack_estimator
from mainspring.training.usercode import checked_scores

DEFAULT_HOME = "mainspring-home"
FEWEST_ROWS = 2


class Registered(msgspec.Struct, frozen=True):
    """What was registered. ``champion`` says whether it answers now; ``largest_difference`` is that of its graph."""

    model: str
    number: int
    runtime: str
    champion: bool
    largest_difference: float | None
    home: str


def register(
    estimator: Any,
    sample: Any,
    *,
    name: str = "model",
    threshold: float | None = None,
    home: str | Path | None = None,
    by: str | None = None,
    reason: str = "registered from a notebook",
) -> Registered:
    """Keep a fitted scikit-learn estimator as a version of the model ``name``; the first one answers at once.

    ``sample`` is a DataFrame of some dozens of rows as the estimator takes them, without what it predicts: it tells
    the columns that a request carries, and on its rows an ONNX build is proven equal. ``home`` is
    ``$MAINSPRING_HOME`` or ``./mainspring-home`` unless given, and is made if there is none. A later version is
    released by hand.

    >>> import mainspring as ms
    >>> registered = ms.register(estimator, sample, name="late")  # doctest: +SKIP
    """
    rows, columns = _sample(sample)
    signature = _signature(estimator, columns, threshold)
    _check_answers(estimator, rows, signature)
    actor = local_actor(by)
    place = create_home(Path(home or os.environ.get("MAINSPRING_HOME") or DEFAULT_HOME))
    with tempfile.TemporaryDirectory(prefix="mainspring-") as folder:
        packed = pack_estimator(estimator, signature, rows, Path(folder), threshold=threshold)
        with HomeLock(place.root, "a notebook"), closing(open_platform(place)) as platform:
            version = _version(platform, packed, signature, estimator, threshold)
            stored = _store(platform, version, name, actor, reason)
            platform.checks.run(stored.id, by=actor)
            first = platform.registry.alias(stored.model, CHAMPION) is None
            champion = first and platform.checks.passed(stored.id)
            if champion:
                platform.releases.first_champion(stored.model, stored.id, by=actor, reason=reason)
                platform.publisher.publish()
    difference = packed.parity.largest_difference if packed.parity and packed.runtime == "onnx" else None
    return Registered(name, stored.number, stored.runtime, champion, difference, str(place.root))


def _version(
    platform: Platform, packed: Packed, signature: Signature, estimator: Any, threshold: float | None
) -> Version:
    files = {name: platform.blobs.put_file(Path(path)) for name, path in packed.files.items()}
    return Version(
        id="",
        model="",
        number=0,
        runtime=packed.runtime,  # type: ignore[arg-type]
        files=files,
        signature=signature,
        environment=environment_of(estimator),
        lineage=Lineage(recipe="notebook"),
        parity=packed.parity,
        plain_graph=packed.plain_graph,
        p999_ms=packed.p999_ms,
        threshold=threshold,
    )


def _store(platform: Platform, version: Version, name: str, by: str, reason: str) -> Version:
    with platform.store.begin(by) as tx:
        model = platform.projects.undeclared(tx, name)
        return platform.registry.register(tx, msgspec.structs.replace(version, model=model), reason)


def _check_answers(estimator: Any, rows: pl.DataFrame, signature: Signature) -> None:
    """Refuse an estimator that does not answer its own sample; nothing is made of it."""
    try:
        raw = estimator_scores(estimator, to_pandas(rows), signature)
    except Exception as error:  # an estimator may raise anything
        fitted = [str(name) for name in getattr(estimator, "feature_names_in_", rows.columns)]
        if missing := [name for name in fitted if name not in rows.columns]:
            what = "lacks a column that the estimator was fitted on"
            remedy = nearest(missing[0], rows.columns)
            raise InvalidInput(what, field="sample", value=missing[0], remedy=remedy) from error
        if extra := [name for name in rows.columns if name not in fitted]:
            what = "has a column that the estimator was not fitted on"
            raise InvalidInput(what, field="sample", value=extra[0], remedy="take it out") from error
        what = f"does not answer the sample: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        remedy = "fit it, and give rows as it takes them"
        raise InvalidInput(what, field="estimator", value=type(estimator).__name__, remedy=remedy) from error
    checked_scores(raw, rows.height, signature, "estimator")


def _sample(sample: Any) -> tuple[pl.DataFrame, tuple[Column, ...]]:
    if isinstance(sample, pl.DataFrame):
        frame = sample
    elif hasattr(sample, "to_dict") and hasattr(sample, "columns"):
        _refuse_times(sample)
        frame = pl.from_pandas(sample)
    else:
        remedy = "give some rows as a pandas or Polars DataFrame"
        raise InvalidInput("is not a DataFrame", field="sample", value=type(sample).__name__, remedy=remedy)
    if frame.height < FEWEST_ROWS:
        remedy = f"give at least {FEWEST_ROWS}"
        raise InvalidInput("has too few rows to prove anything on", field="sample", value=frame.height, remedy=remedy)
    columns = tuple(_column(column) for column in frame.iter_columns())
    return frame.select(pl.col(column.name).cast(DTYPES[column.kind]) for column in columns), columns


def _column(column: pl.Series) -> Column:
    kind = kind_of(pl.String() if column.dtype == pl.Categorical else column.dtype)
    if kind is None or kind == "time":
        raise _cannot_ask_with(column.name, column.dtype)
    return Column(column.name, kind, nullable=column.null_count() > 0)


def _refuse_times(sample: Any) -> None:
    """Refuse times before pandas warns of how they are converted."""
    for name, dtype in sample.dtypes.items():
        if str(dtype).startswith("datetime64"):
            raise _cannot_ask_with(name, dtype)


def _cannot_ask_with(column: str, dtype: Any) -> InvalidInput:
    remedy = "turn it into a number, a text or a truth value"
    return InvalidInput("cannot be asked with", field=f"sample.{column}", value=str(dtype), remedy=remedy)


def _signature(estimator: Any, columns: tuple[Column, ...], threshold: float | None) -> Signature:
    task = _task(estimator)
    classes = _classes(estimator) if task == "multiclass" else ()
    if classes and threshold is not None:
        remedy = "leave it out: the likeliest class is the answer"
        raise InvalidInput("cuts one probability in two", field="threshold", value=threshold, remedy=remedy)
    return Signature(task=task, inputs=columns, requested=columns, classes=classes)


def _classes(estimator: Any) -> tuple[Label, ...]:
    return checked_classes([plain_label(one) for one in estimator.classes_], "estimator.classes_")


def _task(estimator: Any) -> Task:
    if not hasattr(estimator, "predict_proba"):
        if hasattr(estimator, "predict"):
            return "regression"
        remedy = "give a fitted scikit-learn estimator"
        raise InvalidInput("cannot predict", field="estimator", value=type(estimator).__name__, remedy=remedy)
    classes = len(getattr(estimator, "classes_", (0, 1)))
    if classes < 2:
        remedy = "fit it on outcomes that differ"
        raise InvalidInput("must know two classes", field="estimator.classes_", value=classes, remedy=remedy)
    return "binary" if classes == 2 else "multiclass"
