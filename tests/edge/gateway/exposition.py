"""A strict reader of the Prometheus text format and of OpenMetrics, by their specifications and not by our writer."""

from __future__ import annotations

import math
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str, *, open_metrics: bool) -> tuple[dict[str, str], Series]:
    """Return kinds by family and values by name and labels; raises ``ValueError`` for anything the format forbids."""
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    lines = text.split("\n")[:-1]
    if open_metrics and lines.pop() != "# EOF":
        raise ValueError("there is no end of file")
    kinds: dict[str, str] = {}
    series: Series = {}
    current = ""
    for line in lines:
        if line.startswith("# "):
            _, word, family, rest = line.split(" ", 3)
            if word not in ("HELP", "TYPE") or (word == "TYPE" and family in kinds):
                raise ValueError(f"a wrong or doubled comment: {line}")
            current = family
            if word == "TYPE":
                kinds[family] = rest
            continue
        name, labels, value = _sample(line)
        suffixes = _SUFFIXES[kinds[current]] if open_metrics or kinds[current] != "counter" else ("",)
        if name not in {current + suffix for suffix in suffixes}:
            raise ValueError(f"{name} stands in the family {current}")
        if (name, labels) in series:
            raise ValueError(f"the series is given twice: {line}")
        series[name, labels] = value
    for family, kind in kinds.items():
        if kind == "histogram":
            _check_histogram(family, series)
    return kinds, series


def _sample(line: str) -> tuple[str, frozenset[tuple[str, str]], float]:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise ValueError(f"no sample: {line}")
    labels: dict[str, str] = {}
    at, text = 0, found[2] or ""
    while at < len(text):
        label = _LABEL.match(text, at)
        if label is None or label[1] in labels:
            raise ValueError(f"a wrong or doubled label: {line}")
        labels[label[1]] = re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], label[2])
        at = label.end()
    return found[1], frozenset(labels.items()), float(found[3].replace("+Inf", "inf"))


def _check_histogram(family: str, series: Series) -> None:
    buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (name, labels), value in series.items():
        if name == f"{family}_bucket":
            bound = float(dict(labels)["le"].replace("+Inf", "inf"))
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            buckets.setdefault(rest, []).append((bound, value))
    for labels, found in buckets.items():
        if found != sorted(found) or [value for _, value in found] != sorted(value for _, value in found):
            raise ValueError(f"the buckets of {family} do not rise")
        if found[-1] != (math.inf, series[f"{family}_count", labels]):
            raise ValueError(f"the last bucket of {family} is not its count")
        series[f"{family}_sum", labels]
