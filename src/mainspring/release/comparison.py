"""Two versions' answers to the same rows: where they differ, and which rows a person should look at. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mainspring.release.evidence.frames import ROW, answers

FEW_VALUES = 12  # a column of numbers with more different values is cut into quarters
ALL = "all"


class Slice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How two versions differ on one part of the rows.

    ``mean`` is challenger less champion. ``decided_otherwise`` is the share of rows on which the decision is another
    one, where there is a threshold; ``correlation`` is empty where one of them always says the same. Of classes it is
    the probability of the champion's class that is compared, and another class is another decision.
    """

    column: str
    value: str
    rows: int
    mean: float
    mean_absolute: float
    largest: float
    decided_otherwise: float | None = None
    correlation: float | None = None


class Sample(msgspec.Struct, frozen=True):
    """One row that both answered. ``picked`` says whether it is among the largest differences, or there by chance.

    Of classes, ``champion`` and ``challenger`` are what each gave to the class that the champion picked.
    """

    prediction_id: str
    row: int
    entity: str
    asked: dict[str, Any]
    champion: float
    challenger: float
    difference: float
    outcome: float | None
    picked: str
    champion_class: str = ""
    challenger_class: str = ""
    outcome_class: str = ""


def both(scored: pl.DataFrame, asked: pl.DataFrame, champion: str, challenger: str) -> pl.DataFrame:
    """Return rows that both answered: outputs, classes, decisions, entity, decision time, the request's body."""
    stable = answers(scored, champion).filter("ok")
    theirs = answers(scored, challenger).filter("ok")
    ours = stable.select(*ROW, "decision", "vector", "parts", champion=pl.col("output").cast(pl.Float64))
    others = theirs.select(
        *ROW, decision_challenger="decision", challenger=pl.col("output").cast(pl.Float64),
        vector_challenger="vector", parts_challenger="parts",
    )  # fmt: skip
    rows = ours.join(others, on=ROW, how="inner").join(
        asked.select(*ROW, "entity", "body", "decision_us"), on=ROW, how="inner"
    )
    return _with_classes(rows).sort(["decision_us", *ROW])


def _with_classes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with both versions' classes; ``decision`` then says that the class is the champion's."""
    several = ["vector", "parts", "vector_challenger", "parts_challenger"]
    if not rows["vector"].is_not_null().any():
        return rows.drop(several).with_columns(champion_class=pl.lit(""), challenger_class=pl.lit(""))
    made = [_of_classes(*row) for row in rows.select(several).iter_rows()]
    columns = list(zip(*made, strict=True))
    return rows.drop(several).with_columns(
        pl.Series("champion_class", columns[0]), pl.Series("challenger_class", columns[1]),
        pl.Series("challenger", columns[2], pl.Float64),
        decision=pl.lit(value=True), decision_challenger=pl.Series([a == b for a, b, _ in made]),
    )  # fmt: skip


def _of_classes(
    vector: Sequence[float], parts: Sequence[str], theirs: Sequence[float], named: Sequence[str]
) -> tuple[str, str, float]:
    """Return both classes, and what the challenger gave to the champion's."""
    champion, challenger = parts[int(np.argmax(vector))], named[int(np.argmax(theirs))]
    return champion, challenger, dict(zip(named, theirs, strict=True)).get(champion, 0.0)


def disagreement(rows: pl.DataFrame, by: Sequence[str] = ()) -> list[Slice]:
    """Return how the answers differ on all rows, and on each value of each column in ``by``, the largest first."""
    found = _slices(rows, ALL, np.full(rows.height, "", dtype=object))
    if not by or not rows.height:
        return found
    bodies = [msgspec.json.decode(body) if body else {} for body in rows["body"]]  # of somebody erased there is none
    for column in by:
        found += _slices(rows, column, _labels([body.get(column) for body in bodies]))
    return found


def sample(rows: pl.DataFrame, labels: pl.DataFrame, count: int, seed: int) -> list[Sample]:
    """Return ``count`` rows: half of them the largest differences, half by chance; the largest differences first."""
    away = (rows["challenger"] - rows["champion"]).abs().to_numpy()
    order = np.argsort(-away, kind="stable")
    largest = set(order[: math.ceil(count / 2)].tolist())
    rest = np.array([place for place in range(rows.height) if place not in largest], dtype=np.int64)
    drawn = np.random.default_rng(seed).permutation(rest)[: count - len(largest)]
    chosen = sorted([*largest, *drawn.tolist()], key=lambda place: (-away[place], place))
    known = {row["entity"]: (row["value"], row.get("label")) for row in labels.iter_rows(named=True)}
    return [_sample(rows.row(place, named=True), known, place in largest) for place in chosen]


def _sample(row: dict[str, Any], known: dict[str, tuple[float | None, str | None]], largest: bool) -> Sample:
    value, label = known.get(row["entity"], (None, None))
    return Sample(
        prediction_id=row["prediction_id"],
        row=row["row"],
        entity=row["entity"],
        asked=msgspec.json.decode(row["body"]) if row["body"] else {},
        champion=row["champion"],
        challenger=row["challenger"],
        difference=row["challenger"] - row["champion"],
        outcome=value,
        picked="largest" if largest else "chance",
        champion_class=row["champion_class"],
        challenger_class=row["challenger_class"],
        outcome_class=label or "",
    )


def _slices(rows: pl.DataFrame, column: str, labels: Any) -> list[Slice]:
    found = []
    champion, challenger = rows["champion"].to_numpy(), rows["challenger"].to_numpy()
    otherwise = rows["decision"].is_not_null() & rows["decision_challenger"].is_not_null()
    flipped = (rows["decision"] != rows["decision_challenger"]).fill_null(False).to_numpy()
    for value in sorted(set(labels.tolist())):
        here = labels == value
        ours, theirs = champion[here], challenger[here]
        decided = otherwise.to_numpy() & here
        found.append(
            Slice(
                column=column,
                value=str(value),
                rows=len(ours),
                mean=float((theirs - ours).mean()),
                mean_absolute=float(np.abs(theirs - ours).mean()),
                largest=float(np.abs(theirs - ours).max()),
                decided_otherwise=float(flipped[decided].mean()) if decided.any() else None,
                correlation=_correlation(ours, theirs),
            )
        )
    return sorted(found, key=lambda one: (-one.mean_absolute, one.value))


def _labels(values: Sequence[Any]) -> Any:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > FEW_VALUES:
        cuts = np.quantile(np.asarray(numbers, dtype=np.float64), [0.25, 0.5, 0.75])
        names = [f"up to {cuts[0]:g}", f"up to {cuts[1]:g}", f"up to {cuts[2]:g}", f"above {cuts[2]:g}"]
        return np.array([names[int(np.searchsorted(cuts, number))] for number in numbers], dtype=object)
    return np.array(["none" if value is None else str(value) for value in values], dtype=object)


def _correlation(ours: Any, theirs: Any) -> float | None:
    if len(ours) < 3 or ours.std() < 1e-12 or theirs.std() < 1e-12:
        return None
    return float(np.corrcoef(ours, theirs)[0, 1])
