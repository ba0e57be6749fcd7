"""The protocols that a model speaks: one prepared codec each, by the name that the log uses."""

from __future__ import annotations

from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE, ArrowStream
from mainspring.edges.gateway.protocols.classes import (
    ArrowClasses,
    CsvClasses,
    JsonLinesClasses,
    MlflowClasses,
    NativeClasses,
    OpenInferenceClasses,
    TfServingClasses,
)
from mainspring.edges.gateway.protocols.codec import Codec, Described
from mainspring.edges.gateway.protocols.csv import Csv
from mainspring.edges.gateway.protocols.invocations import CSV, JSON, LINES, Invocations
from mainspring.edges.gateway.protocols.jsonlines import JsonLines
from mainspring.edges.gateway.protocols.mlflow import Mlflow
from mainspring.edges.gateway.protocols.native import Native
from mainspring.edges.gateway.protocols.oip import OpenInference
from mainspring.edges.gateway.protocols.table import Table
from mainspring.edges.gateway.protocols.tfserving import TfServing
from mainspring.serving.decode import RowDecoder


def spoken(model: Described, decoder: RowDecoder) -> dict[str, Codec]:
    """Return every codec of a model by its name."""
    table = Table(model.columns, decoder)
    if model.classes:
        return _of_classes(model, table, decoder)
    arrow = ArrowStream(table.columns, model.most_rows)
    negotiated: dict[str, Codec] = {
        JSON: Mlflow(table), CSV: Csv(table), LINES: JsonLines(decoder), CONTENT_TYPE: arrow,
    }  # fmt: skip
    codecs: list[Codec] = [
        Native(decoder), arrow, OpenInference(table, model), TfServing(table), Invocations(negotiated),
    ]  # fmt: skip
    return {codec.name: codec for codec in codecs}


def _of_classes(model: Described, table: Table, decoder: RowDecoder) -> dict[str, Codec]:
    arrow = ArrowClasses(table.columns, model.most_rows)
    negotiated: dict[str, Codec] = {
        JSON: MlflowClasses(table), CSV: CsvClasses(table), LINES: JsonLinesClasses(decoder), CONTENT_TYPE: arrow,
    }  # fmt: skip
    codecs: list[Codec] = [
        NativeClasses(decoder), arrow, OpenInferenceClasses(table, model), TfServingClasses(table),
        Invocations(negotiated),
    ]  # fmt: skip
    return {codec.name: codec for codec in codecs}
