"""What the play showed, read from the log and the ledger alone."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from mainspring.edges.demo.careless import careless_answers
from mainspring.edges.demo.play import Played
from mainspring.edges.demo.script import ENTRANCES, MODEL, START, end_of
from mainspring.kernel.clock import to_us
from mainspring.ledger.queries import entries, verify_chain
from mainspring.platform import Platform
from mainspring.registry.alias import CHAMPION

_NEW_YORK = "America/New_York"
_CLIP = 1e-6


class Report(msgspec.Struct, frozen=True):
    """The numbers of a play, as ``--report`` writes them."""

    months: list[dict[str, Any]]
    challengers: list[dict[str, Any]]
    gain: dict[str, Any]
    requests: dict[str, int]
    logged: dict[str, int]
    ledger: dict[str, Any]
    decisions: list[dict[str, Any]]
    replay: dict[str, Any]
    seconds: float
    peak_rss_mb: float


def make_report(platform: Platform, played: Played, replay: dict[str, Any]) -> Report:
    """Read the whole report from an open home."""
    model = platform.registry.model(None, MODEL)
    rows = answered(platform, model.id)
    rows = rows.join(careless_answers(platform, _months(rows)), on="entity", how="left")
    rows = rows.with_columns(careless_loss=_log_loss("careless"))
    with platform.store.read() as connection:
        verdict = verify_chain(connection, platform.home.ledger_key())
    return Report(
        months=[_month(platform, model.id, rows, month) for month in _months(rows)],
        challengers=_challengers(platform, played),
        gain=gain(rows),
        requests={"sent": played.sent, "answered": played.answered, "failed": played.failed},
        logged=_logged(platform, model.id, played),
        ledger={"entries": verdict.entries, "verified": verdict.verified},
        decisions=_decisions(platform),
        replay=replay,
        seconds=round(played.seconds, 1),
        peak_rss_mb=round(played.peak_rss_mb, 1),
    )


def answered(platform: Platform, model: str) -> pl.DataFrame:
    """Return one row a labelled flight: day and month in New York, outcome, what callers got, what version 1 said."""
    labelled = platform.log.labelled(model, since_us=to_us(START))
    first = platform.registry.by_number(model, 1).id
    keys = ["prediction_id", "row"]
    served = labelled.filter(pl.col("role").is_in(["served", "fallback"]) & (pl.col("status") == "ok"))
    static = labelled.filter((pl.col("version") == first) & (pl.col("status") == "ok")).unique(keys, keep="first")
    joined = served.join(static.select(*keys, static="output"), on=keys, how="left")
    local = pl.from_epoch("decision_us", time_unit="us").dt.replace_time_zone("UTC").dt.convert_time_zone(_NEW_YORK)
    return (
        joined.filter(pl.col("value").is_not_null())
        .with_columns(local_day=local.dt.date(), month=local.dt.month())
        .select("entity", "decision_us", "local_day", "month", "value", "static", served="output")
        .with_columns(served_loss=_log_loss("served"), static_loss=_log_loss("static"))
    )


def roc_auc(score: pl.Series, value: pl.Series) -> float | None:
    """Return the area under the ROC curve by ranks (ties by half); None where only one class is there."""
    positives = int((value > 0.5).sum())
    negatives = value.len() - positives
    if not positives or not negatives:
        return None
    ranks = float(score.rank("average").filter(value > 0.5).sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def gain(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the mean log loss that renewal saved over version 1, with a 95 % interval over days as blocks.

    ``careless_saved`` is what monthly retraining on all the past saves if each model goes live at once, unseen;
    ``recovered_share`` of it is kept by care, which costs ``cost_of_care``.
    """
    both = rows.filter(pl.col("static").is_not_null() & pl.col("careless").is_not_null())
    if not both.height:
        return {"rows": 0}
    days = both.group_by("local_day").agg(saved=(pl.col("static_loss") - pl.col("served_loss")).sum(), n=pl.len())
    mean = float(days["saved"].sum()) / both.height
    off = days.select((pl.col("saved") - mean * pl.col("n")).pow(2).sum()).item()
    count = days.height
    error = math.sqrt(float(off) * count / max(count - 1, 1)) / both.height
    careless_saved = float((both["static_loss"] - both["careless_loss"]).sum()) / both.height
    return {
        "rows": both.height,
        "days": count,
        "static_log_loss": _rounded(both["static_loss"].mean(), 5),
        "served_log_loss": _rounded(both["served_loss"].mean(), 5),
        "careless_log_loss": _rounded(both["careless_loss"].mean(), 5),
        "saved": round(mean, 5),
        "careless_saved": round(careless_saved, 5),
        "cost_of_care": round(careless_saved - mean, 5),
        "recovered_share": round(mean / careless_saved, 3) if careless_saved > 0 else None,
        "interval": [round(mean - 1.96 * error, 5), round(mean + 1.96 * error, 5)],
    }


def _log_loss(name: str) -> pl.Expr:
    p = pl.col(name).clip(_CLIP, 1 - _CLIP)
    return -(pl.col("value") * p.log() + (1 - pl.col("value")) * (1 - p).log())


def _months(rows: pl.DataFrame) -> list[int]:
    return sorted(int(month) for month in rows["month"].unique())


def _month(platform: Platform, model: str, rows: pl.DataFrame, month: int) -> dict[str, Any]:
    of = rows.filter(pl.col("month") == month)
    compared = of.filter(pl.col("static").is_not_null())
    champion = platform.registry.alias(model, CHAMPION, at_us=to_us(end_of(month)))
    return {
        "month": month,
        "n": of.height,
        "served_auc": _rounded(roc_auc(of["served"], of["value"])),
        "served_log_loss": _rounded(of["served_loss"].mean()),
        "static_auc": _rounded(roc_auc(compared["static"], compared["value"])),
        "static_log_loss": _rounded(compared["static_loss"].mean()),
        "base_rate": _rounded(of["value"].mean()),
        "champion": champion.number if champion else None,
    }


def _rounded(number: Any, digits: int = 4) -> float | None:
    return None if number is None else round(float(number), digits)


def _challengers(platform: Platform, played: Played) -> list[dict[str, Any]]:
    shown = []
    for entrance in ENTRANCES:
        name = entrance.recipe
        if name in played.refused:
            refusal: dict[str, Any] = {"name": name, "outcome": "refused", "reason": played.refused[name]}
            shown.append({**refusal, "stage": "checks", "evidence": []})
        elif name in played.challengers:
            release = platform.releases.get(played.challengers[name])
            last = release.history[-1] if release.history else release.decision
            stage = next((point.stage for point in reversed(release.history) if point.stage != "over"), release.stage)
            shown.append(
                {
                    "name": name,
                    "version": release.challenger_number,
                    "outcome": release.status,
                    "reason": f"{last.reason}: {last.sentence}" if last else release.reason,
                    "stage": stage,
                    "evidence": msgspec.to_builtins(release.evidence),
                }
            )
    return shown


def _logged(platform: Platform, model: str, played: Played) -> dict[str, int]:
    asked = platform.log.requests(model)
    served = platform.log.scored(model, roles=["served", "fallback"]).filter(pl.col("status") == "ok")
    predictions = served.unique(["prediction_id", "row"]).height
    return {
        "predictions": predictions,
        "outcomes": platform.log.outcomes(model).height,
        "doubled": (served.height - predictions) + (asked.height - asked["entity"].n_unique()),
        "lost": max(0, played.answered - played.failed - predictions),
    }


def _decisions(platform: Platform) -> list[dict[str, Any]]:
    with platform.store.read() as connection:
        found = entries(connection, kind="release") + entries(connection, kind="retraining")
    shown = [entry for entry in found if entry.kind not in ("release.started",)]
    return [
        {"at": _day(entry.at_us), "kind": entry.kind, "reason": entry.reason, "numbers": _naming(entry.numbers)}
        for entry in sorted(shown, key=lambda entry: entry.seq)
    ]


def _naming(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: numbers[name] for name in ("model", "challenger", "champion", "version") if name in numbers}


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=START.tzinfo).strftime("%Y-%m-%d %H:%MZ")
