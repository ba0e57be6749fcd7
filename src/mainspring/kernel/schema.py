"""Columns, their kinds, and the signature of a model."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["int", "float", "bool", "str", "time"]
Task = Literal["binary", "regression", "multiclass", "quantiles", "ranking", "embedding"]
Label = str | int | bool


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named column. ``nullable`` says whether a missing value is a legal input."""

    name: str
    kind: Kind
    nullable: bool = False


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model takes and gives: ``inputs`` in the order in which the model sees them.

    ``requested`` are the columns that a request must carry (entity, keys and inputs); the rest of ``inputs`` are
    features that the gateway looks up. ``features`` maps each looked-up input to ``view.feature``. ``classes`` are in
    the order of the probabilities that the model gives.
    """

    task: Task
    inputs: tuple[Column, ...]
    requested: tuple[Column, ...] = ()
    features: dict[str, str] = {}
    classes: tuple[Label, ...] = ()
