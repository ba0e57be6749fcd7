"""The words of a project: sources, feature views, models, outcomes. Plain values; nothing is read or trained here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar, overload

from mainspring.features.spec import CsvReader, Feature, ParquetReader, PushReader, Reader, SqlReader
from mainspring.kernel.classes import checked_classes
from mainspring.kernel.duration import parse_duration, show_duration
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.schema import Column, Kind, Label, Task
from mainspring.project.collection import Declaration, Faulty, fault, guarded
from mainspring.registry.model import Batching

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KINDS: tuple[Kind, ...] = ("int", "float", "bool", "str", "time")
_PASSWORD = re.compile(r"://[^/@:]*:(?!\$\{)[^/@]+@")
_TASKS = ("binary", "regression", "multiclass", "quantiles", "ranking", "embedding")
_SERVED = ("binary", "regression", "multiclass")
_MICROSECOND = timedelta(microseconds=1)
_OPERATORS = {">=": " ge ", "<=": " le ", "!=": " ne ", "<>": " ne ", ">": " gt ", "<": " lt ", "=": " eq "}


class Push:
    """Rows that only arrive by ``POST /sources/{name}``; made by ``push``."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns


class Source(metaclass=Declaration):
    """Name rows with two times: when something happened (``time``) and when it was known.

    ``data`` is a Parquet file or folder, a ``.csv`` file (both relative to the project), ``ms.sql(…)`` or
    ``ms.push(…)``. Give ``known_at`` (a column) or ``known_after`` (a span after ``time``). ``key`` names the columns
    that identify a row; without it a row is identified by its time and the keys of the views that read it. ``subject``
    is the column that says whose row it is; texts in ``pii`` are sealed with that subject's key.

    >>> import mainspring as ms
    >>> weather = ms.Source("weather", "data/weather.parquet", time="observed_at", known_after="30m", key="station")
    """

    broken: bool

    def __init__(
        self,
        name: str,
        data: str | Reader | Push,
        *,
        time: str,
        known_at: str | None = None,
        known_after: str | None = None,
        key: str | Sequence[str] = (),
        null_values: Sequence[str] | None = None,
        subject: str | None = None,
        pii: str | Sequence[str] = (),
    ) -> None:
        place = f"Source({name!r})"
        self.name = checked_name(place, name)
        self.columns = data.columns if isinstance(data, Push) else ()
        self.reader = _reader(place, data, null_values)
        self.time = text(f"{place}.time", time)
        self.known_at = optional_text(f"{place}.known_at", known_at)
        self.known_after_us = span_us(f"{place}.known_after", known_after)
        self.key = names(f"{place}.key", key)
        self.subject = optional_text(f"{place}.subject", subject)
        self.pii = names(f"{place}.pii", pii)
        if (known_at is None) == (known_after is None):
            fault(
                "says when a row was known either twice or not at all",
                field=place,
                remedy="give known_at='column' or known_after='30m' (known_after='0s' if it is known as it happens)",
            )


class FeatureView(metaclass=Declaration):
    """Name features of one source by key. ``ttl`` is the oldest row that ``ms.last`` may use.

    >>> import mainspring as ms
    >>> flights = ms.Source("flights", "flights.parquet", time="sched_dep", known_at="landed_at", key="flight_id")
    >>> recent = ms.FeatureView("recent", source=flights, key="origin", features=[ms.share("delay > 15", over="3h")])
    >>> [feature.name for feature in recent.features]
    ['share_delay_gt_15_3h']
    """

    broken: bool

    def __init__(
        self,
        name: str,
        *,
        source: Source | str,
        key: str | Sequence[str],
        features: Sequence[Feature],
        ttl: str | None = None,
    ) -> None:
        place = f"FeatureView({name!r})"
        self.name = checked_name(place, name)
        self.source = reference(f"{place}.source", source, Source)
        self.key = names(f"{place}.key", key)
        self.ttl_us = span_us(f"{place}.ttl", ttl)
        self.features = _features(f"{place}.features", features)
        if not self.key:
            fault("is empty", field=f"{place}.key", remedy="name the columns that features are looked up by")


class Outcome(metaclass=Declaration):
    """Say what comes true: a Polars SQL expression over the columns of ``source``.

    ``matures_after`` is how long after the moment of prediction the outcome is waited for. ``if_absent`` says what an
    outcome that never comes means. Set ``affected_by_answer=False`` only if no answer can change what comes true; then
    versions are compared on the same rows, which needs a hundredth of the traffic.

    >>> import mainspring as ms
    >>> landed = ms.Outcome("arr_delay > 15", source="flights", matures_after="36h", affected_by_answer=False)
    """

    broken: bool
    name: str

    def __init__(
        self,
        expression: str,
        *,
        source: Source | str,
        matures_after: str,
        if_absent: Literal["unlabelled", "negative"] = "unlabelled",
        affected_by_answer: bool = True,
    ) -> None:
        place = f"Outcome({expression!r})"
        self.expression = text(place, expression)
        self.source = reference(f"{place}.source", source, Source)
        self.matures_after_us = span_us(f"{place}.matures_after", matures_after) or 0
        self.if_absent = one_of(f"{place}.if_absent", if_absent, ("unlabelled", "negative"))
        self.affected_by_answer = bool(typed(f"{place}.affected_by_answer", affected_by_answer, bool, "True or False"))


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


def sql(url: str, query: str, *, watermark: str) -> SqlReader:
    """Read a query again and again for rows at or above the greatest ``watermark`` seen.

    ``${NAME}`` in the URL is taken from the environment when the query runs, so that no secret is stored.

    >>> import mainspring as ms
    >>> ms.sql("postgresql://${DB}/ops", "select * from weather", watermark="observed_at").watermark
    'observed_at'
    """
    if _PASSWORD.search(text("sql.url", url)):
        remedy = "put it into an environment variable and write ${NAME} in its place"
        fault("holds a password, which would be stored", field="sql.url", remedy=remedy)
    return SqlReader(url=url, query=query, watermark=watermark)


def push(columns: Mapping[str, str]) -> Push:
    """Declare rows that arrive by ``POST /sources/{name}``; a kind with ``?`` may be missing.

    >>> import mainspring as ms
    >>> columns = {"user": "str", "at": "time", "price": "float?"}
    >>> clicks = ms.Source("clicks", ms.push(columns), time="at", known_after="0s")
    """
    declared = []
    for name, kind in columns.items():
        bare = kind.removesuffix("?")
        found = next((known for known in _KINDS if known == bare), None)
        if found is None:
            fault("is not a kind of column", field=f"push.{name}", value=kind, remedy=nearest(bare, _KINDS))
            continue
        declared.append(Column(name, found, kind.endswith("?")))
    return Push(tuple(declared))


def last(column: str, *, name: str | None = None) -> Feature:
    """Take the value of ``column`` in the newest row of a key, called ``last_<column>`` unless named."""
    column = text("last.column", column)
    return Feature(name or derived("last", column), "last", column=column)


def mean(column: str, *, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at") -> Feature:
    """Take the mean of the non-missing values of ``column`` in a window that ends at the moment of prediction."""
    column = text("mean.column", column)
    return Feature(name or derived("mean", column, over), "mean", column=column, over_us=_over(over), by=by)


def count(*, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at") -> Feature:
    """Count the rows of a key in a window that ends at the moment of prediction."""
    return Feature(name or derived("count", "", over), "count", over_us=_over(over), by=by)


def share(
    condition: str, *, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at"
) -> Feature:
    """Take the share of a key's rows in a window for which a Polars SQL condition holds, where it is not missing."""
    condition = text("share.condition", condition)
    called = name or derived("share", condition, over)
    return Feature(called, "share", condition=condition, over_us=_over(over), by=by)


def derived(kind: str, what: str, over: str = "") -> str:
    """Return the name of a feature that was not given one.

    >>> derived("share", "arr_delay > 15", "3h"), derived("last", "temp")
    ('share_arr_delay_gt_15_3h', 'last_temp')
    """
    for sign, word in _OPERATORS.items():
        what = what.replace(sign, word)
    words = re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_")
    span = show_duration(parse_duration(over, field=f"{kind}.over")).replace(".", "_") if over else ""
    return "_".join(part for part in (kind, words, span) if part)


def predict_at_of(field: str, given: Any) -> tuple[str, int]:
    """Read ``column``, ``column - 2h`` or ``column + 30m``.

    >>> predict_at_of("predict_at", "sched_dep - 2h")
    ('sched_dep', -7200000000)
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:([+-])\s*(\S.*?))?\s*", given) if isinstance(given, str) else None
    if match is None:
        remedy = "write a time column and a span, such as 'sched_dep - 2h'"
        fault("is not a moment", field=field, value=given, remedy=remedy)
        return "", 0
    offset_us = span_us(field, match[3]) or 0
    return match[1], -offset_us if match[2] == "-" else offset_us


def checked_name(place: str, name: Any) -> str:
    """Return a name of a declared thing; note a fault if it cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fault(
            "is not a name",
            field=f"{place}.name",
            value=name,
            remedy="use lower-case letters, digits and _, beginning with a letter, at most 63",
        )
    return str(name)


def text(field: str, value: Any) -> str:
    """Return a non-empty text; note a fault otherwise."""
    if not isinstance(value, str) or not value:
        fault("must be a text", field=field, value=value, remedy="write it in quotes")
        return ""
    return value


def optional_text(field: str, value: Any) -> str | None:
    """Return a text or nothing."""
    return None if value is None else text(field, value)


def names(field: str, value: Any) -> tuple[str, ...]:
    """Return one name or a list of distinct names as a tuple."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        fault("must be a name or a list of names", field=field, value=value)
        return ()
    for item in {item for item in value if value.count(item) > 1}:
        fault("is listed twice", field=field, value=item)
    return tuple(dict.fromkeys(value))


def span_us(field: str, value: Any) -> int | None:
    """Return a span such as ``36h`` in microseconds."""
    if value is None:
        return None
    try:
        return parse_duration(value, field=field) // _MICROSECOND
    except InvalidInput as error:
        fault(error.what, field=field, value=value, remedy=error.remedy)
        return None


def share_of(field: str, value: Any) -> float:
    """Return a share of at least nothing and less than half."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 0.5:
        fault("must be a share from 0 to below 0.5", field=field, value=value)
        return 0.0
    return float(value)


def one_of(field: str, value: Any, known: Sequence[str]) -> Any:
    """Return one of the known words."""
    if value not in known:
        fault("is not one of the known words", field=field, value=value, remedy=nearest(str(value), known))
        return known[0]
    return value


def typed(field: str, value: Any, kind: type | tuple[type, ...], words: str) -> Any:
    """Return a value of a type, None where it is of another."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if not isinstance(value, Faulty):
        fault(f"must be {words}", field=field, value=value)
    return None


def reference(field: str, value: Any, kind: type) -> str:
    """Return the name of something declared, given as itself or by name."""
    if isinstance(value, kind):
        return str(value.name)  # type: ignore[attr-defined]
    if isinstance(value, str):
        return value
    if isinstance(value, Faulty):
        return ""
    fault(f"must be an ms.{kind.__name__} or its name", field=field, value=value)
    return ""


def references(field: str, value: Any, kind: type) -> tuple[str, ...]:
    """Return the names of several declared things."""
    if not isinstance(value, (list, tuple)):
        fault(f"must be a list of ms.{kind.__name__}", field=field, value=value, remedy="write it in square brackets")
        return ()
    found = dict.fromkeys(reference(field, item, kind) for item in value)
    return tuple(name for name in found if name)


def _reader(place: str, data: Any, null_values: Sequence[str] | None) -> Reader:
    if isinstance(data, Push):
        return PushReader()
    if isinstance(data, (SqlReader, PushReader, ParquetReader, CsvReader)):
        return data
    if isinstance(data, Faulty):
        return PushReader()
    if not isinstance(data, str) or not data:
        fault("must be a path, ms.sql(…) or ms.push(…)", field=f"{place}.data", value=data)
        return PushReader()
    suffix = data.rpartition("/")[2].rpartition(".")[2].lower() if "." in data.rpartition("/")[2] else ""
    if suffix == "csv":
        return CsvReader(data) if null_values is None else CsvReader(data, tuple(null_values))
    if suffix not in ("parquet", "pq", ""):
        remedy = "give .parquet, a folder or .csv"
        fault("is not a Parquet or CSV file", field=f"{place}.data", value=data, remedy=remedy)
    if null_values is not None:
        fault("only a CSV file has null_values", field=f"{place}.null_values", value=list(null_values))
    return ParquetReader(data)


def _features(field: str, features: Any) -> tuple[Feature, ...]:
    if isinstance(features, Faulty):
        return ()
    if not isinstance(features, (list, tuple)):
        fault("must be a list of features", field=field, value=features, remedy="write it in square brackets")
        return ()
    good = []
    for feature in features:
        if isinstance(feature, Feature):
            checked_name(field, feature.name)
            good.append(feature)
        elif not isinstance(feature, Faulty):
            remedy = f"write ms.last({feature!r})" if isinstance(feature, str) else "use ms.last, mean, count or share"
            fault("is not a feature", field=field, value=feature, remedy=remedy)
    if not features:
        fault("is empty", field=field, remedy="use ms.last, mean, count or share")
    return tuple(good)


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


def _over(over: Any) -> int:
    return parse_duration(over, field="over") // _MICROSECOND


PUBLIC: dict[str, Any] = {
    "Source": Source,
    "FeatureView": FeatureView,
    "Outcome": Outcome,
    "Model": Model,
    **{made.__name__: guarded(made, made.__name__) for made in (sql, push, last, mean, count, share)},
}
