"""What changed between two revisions, in words that a person can check before it is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Literal

import msgspec

from mainspring.kernel.duration import show_duration
from mainspring.kernel.errors import shorten
from mainspring.project.manifest import Revision


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One difference. ``subject`` is what changed (``model late``), ``detail`` how."""

    kind: Literal["added", "changed", "removed"]
    subject: str
    detail: str = ""

    def sentence(self) -> str:
        """Return the change on one line.

        >>> Change("changed", "model late", "release.margin: 0.01 → 0.02").sentence()
        '~ model late: release.margin: 0.01 → 0.02'
        """
        sign = {"added": "+", "changed": "~", "removed": "-"}[self.kind]
        return f"{sign} {self.subject}: {self.detail}" if self.detail else f"{sign} {self.subject}"


def difference(old: Revision | None, new: Revision) -> list[Change]:
    """Return what ``new`` adds, removes and changes; everything is new without an old revision."""
    before, after = _things(old), _things(new)
    changes = [Change("added", subject) for subject in after if subject not in before]
    for subject, thing in after.items():
        if subject in before:
            changes.extend(Change("changed", subject, detail) for detail in _details(before[subject], thing))
    changes.extend(Change("removed", subject) for subject in before if subject not in after)
    return changes


def _things(revision: Revision | None) -> dict[str, Any]:
    if revision is None:
        return {}
    return {
        **{f"source {source.name}": msgspec.to_builtins(source) for source in revision.sources},
        **{f"view {view.name}": msgspec.to_builtins(view) for view in revision.views},
        **{f"model {entry.spec.name}": msgspec.to_builtins(entry) for entry in revision.models},
        **{f"file {path}": digest for path, digest in revision.files.items()},
        **({"lock": revision.lock} if revision.lock else {}),
    }


def _details(old: Any, new: Any) -> list[str]:
    before, after = dict(_flat("", old)), dict(_flat("", new))
    details = []
    for path in {**before, **after}:
        was, now = before.get(path), after.get(path)
        if was != now:
            name = path.removesuffix("_us")
            spans = name != path
            details.append(f"{name}: {_shown(was, spans)} → {_shown(now, spans)}" if path else "its content")
    return details


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each leaf under its dotted path; the parts of a list are told apart by their names where they have one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
        for label, item in zip(_labels(value), value, strict=True):
            yield from _flat(f"{path}[{label}]", item)
    else:
        yield path.removeprefix("spec."), list(value) if isinstance(value, (list, tuple)) else value


def _labels(items: Iterable[dict[str, Any]]) -> list[str]:
    labels: list[str] = []
    for item in items:
        label = str(item.get("name") or item.get("type") or "part")
        labels.append(label if label not in labels else f"{label} {len(labels) + 1}")
    return labels


def _shown(value: Any, span: bool) -> str:
    if value is None:
        return "none"
    if span and isinstance(value, int):
        sign = "-" if value < 0 else ""
        return sign + show_duration(timedelta(microseconds=abs(value)))
    if isinstance(value, list):
        return "[" + shorten(", ".join(str(item) for item in value), 100)[1:-1] + "]"
    return value if isinstance(value, str) else repr(value)
