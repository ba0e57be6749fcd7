"""``/live``, ``/ready``, ``/metrics`` and ``/drained``: is it alive, may it be asked, how much, what is left to do."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.gateway.limits import JSON

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")


class Counters:
    """What this worker has answered, by route or model."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], int] = {}
        self.problems: dict[str, int] = {}
        self.buckets: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}

    def answered(self, route: str, status: int) -> None:
        """Count one answer."""
        key = (route, status)
        self.answers[key] = self.answers.get(key, 0) + 1

    def took(self, model: str, seconds: float) -> None:
        """Count the time of one prediction."""
        buckets = self.buckets.get(model)
        if buckets is None:
            buckets = self.buckets[model] = [0] * (len(_BOUNDS_S) + 1)
        buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        self.seconds[model] = self.seconds.get(model, 0.0) + seconds

    def lines(self) -> list[str]:
        """Return the counters as Prometheus text."""
        lines = ["# TYPE mainspring_answers_total counter"]
        lines += [
            f'mainspring_answers_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self.answers.items())
        ]
        lines.append("# TYPE mainspring_problems_total counter")
        lines += [f'mainspring_problems_total{{code="{code}"}} {n}' for code, n in sorted(self.problems.items())]
        lines.append("# TYPE mainspring_predict_seconds histogram")
        for model, buckets in sorted(self.buckets.items()):
            total = 0
            for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'mainspring_predict_seconds_bucket{{model="{_label(model)}",le="{bound}"}} {total}')
            lines.append(f'mainspring_predict_seconds_sum{{model="{_label(model)}"}} {self.seconds[model]:.6f}')
            lines.append(f'mainspring_predict_seconds_count{{model="{_label(model)}"}} {total}')
        return lines


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def live(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say that the process turns."""
    return _respond(proto, b'{"live":true}')


async def ready(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say whether a snapshot is loaded and the spool takes writes."""
    why = await gateway.not_ready()
    generation = gateway.generation
    told = {} if why is None or gateway.guard.closed else {"why": why}  # a network is not told our paths
    body = msgspec.json.encode({"ready": why is None, "generation": generation, **told})
    return _respond(proto, body, 200 if why is None else 503)


async def metrics(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Tell Prometheus."""
    shadows = gateway.shadows
    lines = gateway.counters.lines()
    for kind, metric, value in (
        ("gauge", "mainspring_generation", gateway.generation),
        ("gauge", "mainspring_in_flight", gateway.in_flight),
        ("gauge", "mainspring_ready", int(await gateway.not_ready() is None)),
        ("gauge", "mainspring_spool_failing_seconds", round(gateway.spool.failing_s, 3) if gateway.generation else 0),
        ("gauge", "mainspring_spool_waiting_bytes", gateway.spool.waiting_bytes if gateway.generation else 0),
        ("counter", "mainspring_shadow_rows_total", shadows.done),
        ("counter", "mainspring_shadow_rows_dropped_total", shadows.dropped),
        ("gauge", "mainspring_shadow_rows_waiting", shadows.waiting),
        ("gauge", "mainspring_challengers_disabled", len(gateway.tripwires.disabled)),
    ):
        lines += [f"# TYPE {metric} {kind}", f"{metric} {value}"]
    proto.response_bytes(200, [_TEXT], ("\n".join(lines) + "\n").encode())
    return 200


async def drained(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say how many rows are left for the shadows; a simulation waits for ``waiting`` to be 0."""
    shadows = gateway.shadows
    counts = {"queued": shadows.queued, "done": shadows.done, "dropped": shadows.dropped, "waiting": shadows.waiting}
    return _respond(proto, msgspec.json.encode(counts))


def _respond(proto: Any, body: bytes, status: int = 200) -> int:
    proto.response_bytes(status, [JSON], body)
    return status
