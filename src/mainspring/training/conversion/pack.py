"""From a graph with one input a column to one that takes a single tensor: texts become codes before the graph is asked.

A graph's run spends most of its time on taking in its inputs. So whatever the graph does to a text and nothing else
(looking it up, comparing it, filling it in) is done once for every text that it names and written into a dictionary;
columns that only stand side by side already are the tensor. The rest of the graph stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mainspring.kernel.errors import MainspringError
from mainspring.serving.packing import PackedColumn, PackedGraph, Packing
from mainspring.training.conversion.parity import UNSEEN

TENSOR = "mainspring_packed"
FLOATS = {TensorProto.FLOAT: "float", TensorProto.DOUBLE: "double"}
MOST_EXACT = 2**24  # whole numbers up to here are exact in single precision
Apply = Callable[[Any], Any]


class CannotPack(MainspringError):
    """This graph keeps one input a column."""

    code = "cannot_pack"


class _Column:
    """One column of a tensor: an input as it is, or a function of one text input that knows only some texts."""

    __slots__ = ("apply", "kind", "source", "words")

    def __init__(self, source: str, kind: int, apply: Apply | None = None, words: frozenset[str] = frozenset()) -> None:
        self.source = source
        self.kind = kind
        self.apply = apply
        self.words = words

    def then(self, kind: int, step: Apply, words: frozenset[str] = frozenset()) -> _Column:
        before = self.apply
        if before is None:
            raise CannotPack("a number is changed before it is used", field=self.source)
        return _Column(self.source, kind, lambda text: step(before(text)), self.words | words)


_Columns = list[_Column]


def pack(model: bytes) -> PackedGraph:
    """Return the packed build of a graph; raises ``CannotPack`` with the reason. Prove it before use, as any build."""
    loaded = onnx.load_model_from_string(model)
    reading = _Reading(loaded.graph)
    wanted = [name for node in reading.kept for name in node.input if name in reading.known]
    return _Writing(reading, list(dict.fromkeys(wanted))).finish(loaded)


class _Reading:
    """What each tensor of a graph is in terms of the inputs, where that can be told, and the nodes that must stay."""

    def __init__(self, graph: Any) -> None:
        self.constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self.known: dict[str, _Columns] = {one.name: [_input(one)] for one in graph.input}
        self.output = graph.output[-1]
        rest = []
        for node in graph.node:
            if node.op_type == "Constant" and not node.domain and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
                rest.append(node)
                continue
            found = self._read(node)
            if found is None:
                rest.append(node)
            else:
                self.known[node.output[0]] = found
        self.kept = self._needed(rest)

    def _read(self, node: Any) -> _Columns | None:
        """Return the columns of a node's output; None where it computes something."""
        reader = _READERS.get((node.domain.removeprefix("ai.onnx").removeprefix("."), node.op_type))
        given = [self.known.get(name) for name in node.input]
        told = all(g is not None or name in self.constants for g, name in zip(given, node.input, strict=True))
        if reader is None or not told or not any(given):
            return None
        inputs = [self.constants[name] if one is None else one for name, one in zip(node.input, given, strict=True)]
        try:
            return reader(inputs, {one.name: helper.get_attribute_value(one) for one in node.attribute})
        except CannotPack:
            return None

    def _needed(self, nodes: Sequence[Any]) -> list[Any]:
        needed, kept = {self.output.name}, []
        for node in reversed(nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        if self.output.name in self.known:
            raise CannotPack("the answer is an input as it is")
        return kept[::-1]


class _Writing:
    """Places columns in the tensor, and writes what takes them out again."""

    def __init__(self, reading: _Reading, wanted: Sequence[str]) -> None:
        self._reading = reading
        self._wanted = sorted(wanted, key=lambda name: -len(reading.known[name]))
        self._columns: _Columns = []
        self._places: dict[int, int] = {}
        for name in self._wanted:
            for column in reading.known[name]:
                if id(column) not in self._places:
                    self._places[id(column)] = len(self._columns)
                    self._columns.append(column)
        self._packed = [_packed(column) for column in self._columns]
        self._kind = _kind(self._columns, self._packed)

    def finish(self, loaded: Any) -> PackedGraph:
        nodes, constants, renamed = [], [], {}
        for name in self._wanted:
            columns = self._reading.known[name]
            places = [self._places[id(column)] for column in columns]
            made = TENSOR
            if places != list(range(len(self._columns))):
                indices = numpy_helper.from_array(np.asarray(places, dtype=np.int64), f"mainspring_places_of_{name}")
                made = f"mainspring_taken_{name}"
                constants.append(indices)
                nodes.append(helper.make_node("Gather", [TENSOR, indices.name], [made], axis=1))
            if columns[0].kind != self._kind:
                nodes.append(helper.make_node("Cast", [made], [f"mainspring_cast_{name}"], to=columns[0].kind))
                made = f"mainspring_cast_{name}"
            renamed[name] = made
        busiest = self._busiest()
        for node in self._reading.kept:
            node.input[:] = [renamed.get(name, name) for name in node.input]
        nodes += self._reading.kept
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes, "mainspring_packed",
            [helper.make_tensor_value_info(TENSOR, self._kind, [None, len(self._columns)])],
            [self._reading.output],
            initializer=[*(one for one in loaded.graph.initializer if one.name in used), *constants],
        )  # fmt: skip
        model = helper.make_model(
            graph, opset_imports=loaded.opset_import, ir_version=loaded.ir_version, producer_name="mainspring"
        )
        onnx.checker.check_model(model)
        kind: Literal["float", "double"] = "float" if self._kind == TensorProto.FLOAT else "double"
        packing = Packing(TENSOR, kind, tuple(self._packed), busiest)
        return PackedGraph(bytes(model.SerializeToString(deterministic=True)), packing)

    def _busiest(self) -> int | None:
        """Return the column of the tensor that most nodes of its trees split on."""
        asked: Counter[int] = Counter()
        for node in self._reading.kept:
            columns = self._reading.known.get(node.input[0], []) if node.input else []
            for place in _split_on(node) if columns else ():
                asked[self._places[id(columns[place])]] += 1
        return asked.most_common(1)[0][0] if asked else None


def _split_on(node: Any) -> list[int]:
    """Return the column that each inner node of an ensemble of trees asks for."""
    if not node.op_type.startswith("TreeEnsemble"):
        return []
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    features = attributes.get("nodes_featureids", [])
    modes = attributes.get("nodes_modes", [])
    if isinstance(modes, list) and len(modes) == len(features):
        return [place for place, mode in zip(features, modes, strict=True) if mode != b"LEAF"]
    return list(features)


def _input(item: Any) -> _Column:
    kind = item.type.tensor_type.elem_type
    if kind == TensorProto.STRING:
        return _Column(item.name, kind, str)
    if kind not in FLOATS:
        raise CannotPack("has whole numbers, which a tensor of floats does not hold exactly", field=item.name)
    return _Column(item.name, kind)


def _packed(column: _Column) -> PackedColumn:
    if column.apply is None:
        return PackedColumn(column.source)
    if column.kind == TensorProto.STRING:
        raise CannotPack("a text is used in a way that is not written as codes here", field=column.source)
    otherwise = _number(column.apply(UNSEEN))
    codes = {word: _number(column.apply(word)) for word in sorted(column.words | {""})}
    return PackedColumn(column.source, {word: one for word, one in codes.items() if one != otherwise}, otherwise)


def _number(value: Any) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number


def _kind(columns: _Columns, packed: Sequence[PackedColumn]) -> int:
    """Return single precision where nothing is lost by it, else double."""
    for column, one in zip(columns, packed, strict=True):
        codes = [code for code in (one.otherwise, *(one.codes or {}).values()) if code is not None]
        whole = column.kind != TensorProto.DOUBLE and all(abs(code) <= MOST_EXACT for code in codes)
        if not whole and column.kind != TensorProto.FLOAT:
            return int(TensorProto.DOUBLE)
    return int(TensorProto.FLOAT)


def _identity(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    return list(inputs[0])


def _cast(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    to = int(attributes["to"])
    made = []
    for column in inputs[0]:
        if column.kind == to:
            made.append(column)
            continue
        kind = helper.tensor_dtype_to_np_dtype(to)
        if column.kind == TensorProto.STRING or kind.kind not in "fib":
            raise CannotPack("a text is read as a number", field=column.source)
        made.append(column.then(to, lambda value, kind=kind: kind.type(value)))
    return made


def _reshape(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    columns, shape = inputs[0], np.asarray(inputs[1]).tolist()
    if isinstance(inputs[1], list) or shape != [-1, len(columns)]:
        raise CannotPack("a tensor is reshaped")
    return list(columns)


def _concat(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    if attributes["axis"] not in (1, -1) or not all(isinstance(one, list) for one in inputs):
        raise CannotPack("tensors are joined below each other")
    columns = [column for one in inputs for column in one]
    if len({column.kind for column in columns}) > 1:
        raise CannotPack("tensors of several kinds are joined")
    return columns


def _label_encoder(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    keys, values = _side(attributes, "keys"), _side(attributes, "values")
    if not keys or not isinstance(keys[0], str):
        raise CannotPack("codes are looked up by number")
    table = dict(zip(keys, values, strict=True))
    if "default_tensor" in attributes:
        default = numpy_helper.to_array(attributes["default_tensor"]).reshape(-1).tolist()[0]
    else:
        given = {"keys_strings": "default_string", "values_int64s": "default_int64", "values_floats": "default_float"}
        absent = {"default_int64": -1, "default_float": -0.0, "default_string": "_Unused"}
        name = next(given[one] for one in ("values_int64s", "values_floats", "keys_strings") if one in attributes)
        default = attributes.get(name, absent[name])
    if isinstance(values[0], str):
        raise CannotPack("a text is looked up for another text")
    kind = _value_kind(attributes)
    words = frozenset(keys)
    return [column.then(kind, lambda text: table.get(text, default), words) for column in inputs[0]]


def _value_kind(attributes: dict[str, Any]) -> int:
    if "values_tensor" in attributes:
        return int(attributes["values_tensor"].data_type)
    return int(TensorProto.INT64 if "values_int64s" in attributes else TensorProto.FLOAT)


def _side(attributes: dict[str, Any], side: str) -> list[Any]:
    for name in (f"{side}_tensor", f"{side}_strings", f"{side}_int64s", f"{side}_floats"):
        if name in attributes:
            found = attributes[name]
            values = numpy_helper.to_array(found).reshape(-1).tolist() if name.endswith("_tensor") else list(found)
            return [value.decode() if isinstance(value, bytes) else value for value in values]
    return []


def _equal(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    """A text is or is not another one."""
    columns, word = (inputs[0], inputs[1]) if isinstance(inputs[0], list) else (inputs[1], inputs[0])
    if isinstance(word, list) or word.size != 1 or any(column.kind != TensorProto.STRING for column in columns):
        raise CannotPack("numbers are compared")
    text = _word(word)
    return [column.then(TensorProto.BOOL, lambda value: value == text, frozenset({text})) for column in columns]


def _where(inputs: list[Any], attributes: dict[str, Any]) -> _Columns:
    """A text that is another one is replaced by a third."""
    condition, filled, columns = inputs
    if isinstance(filled, list) or not isinstance(condition, list) or not isinstance(columns, list):
        raise CannotPack("a choice between two tensors")
    if filled.size != 1 or [one.source for one in condition] != [one.source for one in columns]:
        raise CannotPack("a choice by another column")
    text, made = _word(filled), []
    for test, column in zip(condition, columns, strict=True):
        if column.kind != TensorProto.STRING or test.apply is None or column.apply is None:
            raise CannotPack("a choice between numbers")
        words = column.words | test.words | {text}
        made.append(_Column(column.source, column.kind, _chosen(test.apply, text, column.apply), words))
    return made


def _chosen(test: Apply, text: str, otherwise: Apply) -> Apply:
    return lambda value: text if test(value) else otherwise(value)


def _word(array: Any) -> str:
    value = array.reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else str(value)


_READERS: dict[tuple[str, str], Callable[[list[Any], dict[str, Any]], _Columns]] = {
    ("", "Identity"): _identity,
    ("", "Cast"): _cast,
    ("", "Reshape"): _reshape,
    ("", "Concat"): _concat,
    ("", "Equal"): _equal,
    ("", "Where"): _where,
    ("ml", "LabelEncoder"): _label_encoder,
}
