"""What a candidate must show before it may be released: what a project writes under ``checks``."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.errors import InvalidInput, nearest

Severity = Literal["block", "warn"]
HIGHER_IS_BETTER = {
    "roc_auc": True, "log_loss": False, "brier": False, "error": False, "accuracy": True, "f1": True,
    "mae": False, "rmse": False, "r2": True,
}  # fmt: skip
PAIRED = ("log_loss", "brier", "error", "mae", "squared_error")


class Schema(msgspec.Struct, frozen=True, tag="schema", kw_only=True, forbid_unknown_fields=True):
    """The candidate takes what the model declares and gives what its task says."""

    severity: Severity = "block"

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return "schema"


class Metric(msgspec.Struct, frozen=True, tag="metric", kw_only=True, forbid_unknown_fields=True):
    """A metric on held-out rows lies within its limits."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    severity: Severity = "block"

    def __post_init__(self) -> None:
        _known(self.metric, HIGHER_IS_BETTER, "checks.metric")
        if self.at_least is None and self.at_most is None:
            raise InvalidInput("needs a limit", field="checks.metric", remedy="give at_least or at_most")

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return f"metric:{self.metric}"


class NotWorseThanChampion(msgspec.Struct, frozen=True, tag="not_worse", kw_only=True, forbid_unknown_fields=True):
    """On the same held-out rows the candidate's loss is not shown to exceed the champion's by more than ``margin``."""

    metric: str = "log_loss"
    margin: float = 0.01
    severity: Severity = "block"

    def __post_init__(self) -> None:
        _known(self.metric, PAIRED, "checks.not_worse_than_champion")
        if not self.margin > 0:
            raise InvalidInput("must be above 0", field="checks.not_worse_than_champion.margin", value=self.margin)

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return f"not_worse_than_champion:{self.metric}"


class Slices(msgspec.Struct, frozen=True, tag="slices", kw_only=True, forbid_unknown_fields=True):
    """A metric holds in every value of ``column`` that has at least ``min_rows`` held-out rows."""

    column: str
    metric: str = "roc_auc"
    at_least: float | None = None
    at_most: float | None = None
    min_rows: int = 200
    severity: Severity = "block"

    def __post_init__(self) -> None:
        _known(self.metric, HIGHER_IS_BETTER, "checks.slices")
        if self.at_least is None and self.at_most is None:
            raise InvalidInput("needs a limit", field="checks.slices", remedy="give at_least or at_most")

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return f"slices:{self.column}:{self.metric}"


class TooGoodToBeTrue(msgspec.Struct, frozen=True, tag="too_good", kw_only=True, forbid_unknown_fields=True):
    """Nothing looks like a leak: no single input that nearly tells the outcome, no implausible jump over the champion.

    ``single_feature`` is an AUC (a rank correlation for regression), ``jump`` a difference of AUC (of r2).
    """

    single_feature: float = 0.9
    overall: float = 0.98
    jump: float = 0.05
    severity: Severity = "warn"

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return "too_good_to_be_true"


class Latency(msgspec.Struct, frozen=True, tag="latency", kw_only=True, forbid_unknown_fields=True):
    """One row is answered within ``at_most_ms`` at p99.9, by default within the model's deadline."""

    at_most_ms: float | None = None
    severity: Severity = "block"

    @property
    def name(self) -> str:
        """The check's name among a model's checks."""
        return "latency"


Check = Schema | Metric | NotWorseThanChampion | Slices | TooGoodToBeTrue | Latency


def schema(*, severity: Severity = "block") -> Schema:
    """Demand that a candidate takes what the model declares."""
    return Schema(severity=severity)


def metric(
    metric: str, *, at_least: float | None = None, at_most: float | None = None, severity: Severity = "block"
) -> Metric:
    """Demand a metric on held-out rows.

    >>> metric("roc_auc", at_least=0.62).name
    'metric:roc_auc'
    """
    return Metric(metric=metric, at_least=at_least, at_most=at_most, severity=severity)


def not_worse_than_champion(
    metric: str = "log_loss", *, margin: float = 0.01, severity: Severity = "block"
) -> NotWorseThanChampion:
    """Demand that the candidate is not shown to be worse than the champion by more than ``margin``, row by row."""
    return NotWorseThanChampion(metric=metric, margin=margin, severity=severity)


def slices(
    column: str,
    *,
    metric: str = "roc_auc",
    at_least: float | None = None,
    at_most: float | None = None,
    min_rows: int = 200,
    severity: Severity = "block",
) -> Slices:
    """Demand a metric within every value of an input column."""
    return Slices(
        column=column, metric=metric, at_least=at_least, at_most=at_most, min_rows=min_rows, severity=severity
    )


def too_good_to_be_true(
    *, single_feature: float = 0.9, overall: float = 0.98, jump: float = 0.05, severity: Severity = "warn"
) -> TooGoodToBeTrue:
    """Suspect a leak when the numbers are implausibly good."""
    return TooGoodToBeTrue(single_feature=single_feature, overall=overall, jump=jump, severity=severity)


def latency(*, at_most_ms: float | None = None, severity: Severity = "block") -> Latency:
    """Demand that one row is answered in time."""
    return Latency(at_most_ms=at_most_ms, severity=severity)


def with_defaults(declared: list[Check]) -> list[Check]:
    """Return the checks that run: those declared, and schema, leak suspicion and latency where none was declared."""
    kinds = {type(check) for check in declared}
    defaults: tuple[Check, ...] = (Schema(), TooGoodToBeTrue(), Latency())
    return [*declared, *(check for check in defaults if type(check) not in kinds)]


def _known(name: str, names: dict[str, bool] | tuple[str, ...], field: str) -> None:
    if name not in names:
        raise InvalidInput("there is no such metric", field=field, value=name, remedy=nearest(name, names))
