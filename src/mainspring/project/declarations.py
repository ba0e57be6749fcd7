"""The words of a project: sources, feature views, models, outcomes. Plain values; nothing is read or trained here."""

from __future__ import annotations

from typing import Any

from mainspring.project.collection import guarded
from mainspring.project.model import Model
from mainspring.project.outcome import Outcome
from mainspring.project.source import Source, push, sql
from mainspring.project.view import FeatureView, count, last, mean, share

PUBLIC: dict[str, Any] = {
    "Source": Source,
    "FeatureView": FeatureView,
    "Outcome": Outcome,
    "Model": Model,
    **{made.__name__: guarded(made, made.__name__) for made in (sql, push, last, mean, count, share)},
}
