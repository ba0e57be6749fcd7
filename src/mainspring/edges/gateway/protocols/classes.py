"""Answers of models with several classes, in each protocol's words: the likeliest class, and every class's probability.

A protocol reads such a model's requests as any other's; only what it answers differs. Which of the two is spoken is
settled when a snapshot is loaded. Where the versions of one request know different classes, each row has its own, and
tensors have a column for every one of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring.edges.gateway.limits import JSON
from mainspring.edges.gateway.protocols.answers import told
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE as ARROW
from mainspring.edges.gateway.protocols.arrow import ArrowStream
from mainspring.edges.gateway.protocols.codec import Answerer, Decoded, Given, Headers
from mainspring.edges.gateway.protocols.csv import Csv
from mainspring.edges.gateway.protocols.jsonlines import JsonLines
from mainspring.edges.gateway.protocols.mlflow import Mlflow
from mainspring.edges.gateway.protocols.native import Native
from mainspring.edges.gateway.protocols.oip import OpenInference, Output
from mainspring.edges.gateway.protocols.tfserving import TfServing
from mainspring.kernel.classes import class_kind, class_text, class_texts
from mainspring.kernel.schema import Label
from mainspring.kernel.values import Vector

_DATATYPES = {"str": "BYTES", "int": "INT64", "bool": "BOOL"}
_encoder = msgspec.json.Encoder()


def numbers(value: float) -> tuple[float, ...]:
    """Return every class's probability."""
    return value.numbers if isinstance(value, Vector) else (value,)


def picked(value: float, classes: Sequence[Label]) -> Label:
    """Return the likeliest class; of several that are equally likely the first.

    >>> picked(Vector(0.7, (0.1, 0.7, 0.2)), ("a", "b", "c"))
    'b'
    """
    given = numbers(value)
    return classes[given.index(max(given))]


def _said(arm: Answerer, value: float) -> dict[str, Any]:
    probabilities = dict(zip(class_texts(arm.classes), numbers(value), strict=True))
    return {"class": picked(value, arm.classes), "probabilities": probabilities}


def _known(given: Given) -> list[Label]:
    """Return the classes of all who answered, in the order of whoever answered first."""
    return list(dict.fromkeys(label for arm, _ in given for label in arm.classes))


def _aligned(arm: Answerer, value: float, classes: Sequence[Label]) -> list[float]:
    own = dict(zip(arm.classes, numbers(value), strict=True))
    return [own.get(label, 0.0) for label in classes]


class NativeClasses(Native):
    """``{"id": …, "version": 3, "class": "b", "probabilities": {"a": 0.1, …}}``, and a list by a list."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        said = [{"version": arm.number, **_said(arm, value)} for arm, value in given]
        answer = {"id": id, "predictions": said} if asked.several else {"id": id, **said[0]}
        return [JSON], _encoder.encode(answer)


class MlflowClasses(Mlflow):
    """``predictions`` are objects with the class and the probabilities."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        said = [_said(arm, value) for arm, value in given]
        return told("application/json", id, given), _encoder.encode({"predictions": said})


class JsonLinesClasses(JsonLines):
    """One object a line, with the class and the probabilities."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        said = [{"version": arm.number, **_said(arm, value)} for arm, value in given]
        return told("application/jsonlines", id, given), _encoder.encode_lines(said)


class CsvClasses(Csv):
    """One line a row: the likeliest class, then the probability of each in the order of the model's classes."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        classes, text = _known(given), io.StringIO(newline="")
        write = csv.writer(text, lineterminator="\n").writerow
        for arm, value in given:
            write([class_text(picked(value, arm.classes)), *map(repr, _aligned(arm, value, classes))])
        return told("text/csv; charset=utf-8", id, given), text.getvalue().encode()


class TfServingClasses(TfServing):
    """Named outputs as exported classifiers have them: ``class``, ``probabilities`` and ``all_classes``."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        headers, classes = told("application/json", id, given), _known(given)
        said = [
            {
                "class": picked(value, arm.classes),
                "probabilities": _aligned(arm, value, classes),
                "all_classes": classes,
            }
            for arm, value in given
        ]
        if asked.note != "columns":
            return headers, _encoder.encode({"predictions": said})
        return headers, _encoder.encode({"outputs": {name: [row[name] for row in said] for name in said[0]}})


class OpenInferenceClasses(OpenInference):
    """Outputs ``class`` and ``probabilities`` (rows, classes); the parameter ``classes`` lists those, as JSON."""

    def outputs(self, given: Given) -> list[Output]:
        classes = _known(given)
        likeliest = [picked(value, arm.classes) for arm, value in given]
        probabilities = [number for arm, value in given for number in _aligned(arm, value, classes)]
        return [
            Output("class", _DATATYPES[class_kind(classes)], likeliest),
            Output("probabilities", "FP64", probabilities, len(classes)),
        ]

    def parameters(self, id: str, given: Given) -> dict[str, Any]:
        return {"prediction_id": id, "classes": _encoder.encode(_known(given)).decode()}


class ArrowClasses(ArrowStream):
    """Columns ``class``, ``probabilities`` (a struct with a field a class) and ``version``."""

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        import polars as pl  # 40 MB that only a worker needs which is asked for Arrow

        classes = _known(given)
        rows = [_aligned(arm, value, classes) for arm, value in given]
        columns = zip(class_texts(classes), zip(*rows, strict=True), strict=True)
        probabilities = pl.DataFrame([pl.Series(name, one, pl.Float64) for name, one in columns])
        frame = pl.DataFrame({
            "class": pl.Series([picked(value, arm.classes) for arm, value in given]),
            "probabilities": probabilities.to_struct(),
            "version": pl.Series([arm.number for arm, _ in given], dtype=pl.Int64),
        })  # fmt: skip
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer)
        return told(ARROW, id, given), buffer.getvalue()
