"""From what a recipe made to the files of a version: a graph proven equal, else a pickle, or the code of a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from mainspring.kernel.schema import Signature
from mainspring.registry.model import Recipe
from mainspring.registry.version import Parity
from mainspring.serving import packing
from mainspring.training.answers import estimator_scores
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.graph import CannotConvert, is_plain
from mainspring.training.conversion.pack import CannotPack, pack
from mainspring.training.conversion.parity import edge_rows, prove
from mainspring.training.inputs import to_pandas
from mainspring.training.runtime import OnnxScorer, PackedScorer, p999_ms, width_of
from mainspring.training.usercode import Floats, shown


class Packed(msgspec.Struct, frozen=True):
    """The files of a version (name in the package to path) and what was measured on them."""

    runtime: str
    files: dict[str, str]
    parity: Parity | None
    plain_graph: bool
    p999_ms: float | None


def pack_rule(rule: Any, recipe: Recipe, inputs: pl.DataFrame, code: dict[str, str], folder: Path) -> Packed:
    """Write what a rule needs to run: its name, its parameters and the project's code."""
    body = {"function": recipe.function, "params": recipe.params, "frame": recipe.frame}
    path = _write(folder / "rule.json", msgspec.json.encode(body))
    one = shown(inputs.head(1), recipe)
    slowest = p999_ms(lambda: rule(one, dict(recipe.params)))
    return Packed("rule", {"rule.json": path, **_code(code)}, None, plain_graph=False, p999_ms=slowest)


def pack_estimator(
    estimator: Any,
    signature: Signature,
    inputs: pl.DataFrame,
    folder: Path,
    *,
    threshold: float | None = None,
    code: dict[str, str] | None = None,
) -> Packed:
    """Write a graph if it is proven equal on ``inputs`` and on edge rows, else the pickle with the project's code."""

    def theirs(rows: pl.DataFrame) -> Floats:
        answer: Floats = estimator_scores(estimator, to_pandas(rows), signature)
        return answer

    try:
        graph = to_onnx(estimator, signature)
        scorer = OnnxScorer(graph, width_of(signature))
    except CannotConvert as refusal:
        parity = Parity(0, 0.0, 0.0, 0, equal=False, reason=refusal.sentence())
    else:
        edges = edge_rows(inputs, signature, splits(estimator, signature))
        parity = prove(scorer.scores, theirs, inputs, edges, signature, threshold)
        if parity.equal:
            files = {"model.onnx": _write(folder / "model.onnx", graph)}
            packed = _packed(graph, signature)
            if packed is not None:
                packed_scorer = PackedScorer(packed, signature)
                proof = prove(packed_scorer.scores, theirs, inputs, edges, signature, threshold)
                if proof.equal:
                    parity, scorer = msgspec.structs.replace(proof, build="packed"), packed_scorer
                    files[packing.GRAPH] = _write(folder / packing.GRAPH, packed.graph)
                    files[packing.FILE] = _write(folder / packing.FILE, msgspec.json.encode(packed.packing))
            feed = scorer.feed(inputs.head(1))
            slowest = p999_ms(lambda: scorer.run(feed))
            return Packed("onnx", files, parity, plain_graph=is_plain(graph), p999_ms=slowest)
    import cloudpickle

    path = _write(folder / "model.pkl", cloudpickle.dumps(estimator, protocol=5))
    one = to_pandas(inputs.head(1))
    slowest = p999_ms(lambda: estimator_scores(estimator, one, signature))
    return Packed("python", {"model.pkl": path, **_code(code or {})}, parity, plain_graph=False, p999_ms=slowest)


def _packed(graph: bytes, signature: Signature) -> packing.PackedGraph | None:
    """Return the packed build of a graph, or None where it must keep one input a column."""
    try:
        return pack(graph)
    except CannotPack:
        return None


def _code(code: dict[str, str]) -> dict[str, str]:
    return {f"code/{name}": path for name, path in code.items()}


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
