"""Where a version runs: in the gateway, beside the callers' sockets, or in a process of its own; and why."""

from __future__ import annotations

import msgspec

from mainspring.registry.version import Version

DEADLINE_MS = 1_000  # of models registered without a declaration
QUICK_SHARE = 0.25


class Placement(msgspec.Struct, frozen=True):
    """Where a version may run once it is champion; until then it has a process of its own in any case."""

    in_gateway: bool
    reason: str
    p999_ms: float | None = None
    limit_ms: float | None = None


def placement(version: Version, deadline_ms: int) -> Placement:
    """Let only a proven, plain and quick graph into the gateway; quick is a p99.9 below a quarter of the deadline."""
    limit_ms = deadline_ms * QUICK_SHARE
    refusal = _refusal(version, limit_ms)
    return Placement(not refusal, refusal or "a plain graph, and quick", version.p999_ms, limit_ms)


def _refusal(version: Version, limit_ms: float) -> str:
    parity = version.parity
    if version.runtime != "onnx":
        return f"not a graph: {parity.reason}" if parity is not None and parity.reason else "not a graph"
    if parity is not None and not parity.equal:
        return f"its graph is not proven equal: {parity.reason}"
    if not version.plain_graph:
        return "its graph holds loops, branches or operators of its own"
    if version.p999_ms is None:
        return "its p99.9 could not be measured"
    if version.p999_ms >= limit_ms:
        return f"its p99.9 of {version.p999_ms:.3g} ms is not below {limit_ms:g} ms, a quarter of the deadline"
    return ""
