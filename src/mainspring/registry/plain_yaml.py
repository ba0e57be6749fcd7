"""As much YAML as MLflow writes: mappings and lists in blocks, and plain or quoted scalars; nothing is built of it.

Anchors, tags, several documents and flow collections other than empty ones are refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mainspring.kernel.errors import InvalidInput

_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#'"\[\]{}&*!|>%@`-][^#]*?|-[^\s#][^#]*?):(?:\s+|$)(?P<rest>.*)"""
)
# As PyYAML resolves them, by YAML 1.1: a float has a point, an exponent a sign; other spellings are texts.
_INT = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"([-+]?\d+\.\d*|\.\d+)([eE][-+]\d+)?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "[]": [], "{}": {},
    **{spelt: value for word, value in (("null", None), ("true", True), ("false", False))
       for spelt in (word, word.capitalize(), word.upper())},
}  # fmt: skip
DEEPEST = 50


def read_yaml(text: str) -> Any:
    """Return the value of a document.

    >>> read_yaml("flavors:\\n  onnx:\\n    data: model.onnx\\n    ids:\\n    - 1\\n    - 'two'\\n")
    {'flavors': {'onnx': {'data': 'model.onnx', 'ids': [1, 'two']}}}
    """
    lines = [line.rstrip() for line in text.splitlines()]
    reader = _Reader([(n, line) for n, line in enumerate(lines, 1) if not _is_idle(line)])
    value = reader.block(0, 0)
    reader.demand_end()
    return value


def _is_idle(line: str) -> bool:
    return line.strip() in ("", "---") or line.lstrip().startswith("#")


class _Reader:
    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines = lines
        self._at = 0

    def block(self, indent: int, depth: int) -> Any:
        """Read the mapping, list or scalar whose lines stand at ``indent`` or deeper."""
        if self._at >= len(self._lines):
            return None
        if depth > DEEPEST:
            raise self._fault("is nested too deeply")
        line = self._lines[self._at][1]
        here = _indent(line)
        if here < indent:
            return None
        if line.lstrip().startswith("- ") or line.strip() == "-":
            return self._list(here, depth)
        if _KEY.fullmatch(line.strip()):
            return self._mapping(here, depth)
        self._at += 1
        return self._scalar(line.strip(), here - 1)

    def demand_end(self) -> None:
        if self._at < len(self._lines):
            raise self._fault("is not understood")

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while self._at < len(self._lines):
            line = self._lines[self._at][1]
            found = _KEY.fullmatch(line.strip()) if _indent(line) == indent else None
            if found is None:
                break
            self._at += 1
            key = self._quoted(found["key"]) if found["key"][0] in "'\"" else found["key"]
            if key in made:
                raise self._fault("states a key twice", back=1)
            made[key] = self._value(found["rest"], indent, depth)
        if self._at < len(self._lines) and _indent(self._lines[self._at][1]) > indent:
            raise self._fault("is indented in a way that is not understood")
        return made

    def _value(self, rest: str, indent: int, depth: int) -> Any:
        if rest and not rest.startswith("#"):
            return self._scalar(rest, indent)
        if self._at >= len(self._lines):
            return None
        following = self._lines[self._at][1]
        is_item = following.lstrip().startswith("- ") or following.strip() == "-"
        deeper = _indent(following) > indent or (is_item and _indent(following) == indent)
        return self.block(_indent(following), depth + 1) if deeper else None

    def _list(self, indent: int, depth: int) -> list[Any]:
        made = []
        while self._at < len(self._lines):
            number, line = self._lines[self._at]
            if _indent(line) != indent or not (line.lstrip().startswith("- ") or line.strip() == "-"):
                break
            rest = line.strip()[1:].strip()
            if not rest:
                self._at += 1
                made.append(self._value("", indent, depth))
            elif _KEY.fullmatch(rest) or rest.startswith("- "):
                inner = indent + len(line.strip()) - len(rest)
                self._lines[self._at] = number, " " * inner + rest
                made.append(self.block(inner, depth + 1))
            else:
                self._at += 1
                made.append(self._scalar(rest, indent))
        return made

    def _scalar(self, text: str, indent: int) -> Any:
        if text[:1] in ("'", '"'):
            return self._quoted(text)
        while self._at < len(self._lines) and _indent(self._lines[self._at][1]) > indent and not _is_nested(text):
            text += " " + self._lines[self._at][1].strip()  # a plain scalar that was folded
            self._at += 1
        plain = re.sub(r"\s+#.*$", "", text)
        if plain in _WORDS:
            return _WORDS[plain]
        if plain[:1] in ("&", "*", "!", "|", ">", "[", "{", "%", "@", "`"):
            raise self._fault("holds YAML that MLflow does not write", back=1)
        if _INT.fullmatch(plain):
            return int(plain)
        return float(plain) if _FLOAT.fullmatch(plain) else plain

    def _quoted(self, text: str) -> str:
        quote = text[0]
        whole = re.compile(r"'(?:[^']|'')*'" if quote == "'" else r'"(?:[^"\\]|\\.)*"')
        while whole.fullmatch(re.sub(r"\s+#[^'\"]*$", "", text)) is None:
            if self._at >= len(self._lines):
                raise self._fault("has a quote that does not end", back=1)
            following = self._lines[self._at][1].strip()
            text = (
                text[:-1] + following.removeprefix("\\")
                if quote == '"' and text.endswith("\\")
                else f"{text} {following}"
            )
            self._at += 1
        plain = re.sub(r"\s+#[^'\"]*$", "", text)
        if quote == "'":
            return plain[1:-1].replace("''", "'")
        try:
            return str(json.loads(plain))
        except ValueError:
            raise self._fault("has an escape that is not understood", back=1) from None

    def _fault(self, what: str, back: int = 0) -> InvalidInput:
        place = min(max(self._at - back, 0), len(self._lines) - 1)
        number, line = self._lines[place] if self._lines else (0, "")
        return InvalidInput(what, field=f"line {number}", value=line.strip()[:80])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_nested(text: str) -> bool:
    return text in ("[]", "{}")
