"""What Prometheus is told: one table of metrics, and the counts behind it.

Labels are bounded by what is loaded: series of a version live as long as the gateway holds it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Literal

import msgspec

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_BOUNDS_US = tuple(round(bound * 1e6) for bound in BOUNDS_S)
_BOUND_LABELS = (*(str(bound) for bound in BOUNDS_S), "+Inf")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Metric(msgspec.Struct, frozen=True):
    """One line of the table. Counters end in ``_total``; seconds and bytes say so."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    about: str


METRICS = (
    Metric("mainspring_answers_total", "counter", ("route", "status"), "answers, refusals among them"),
    Metric("mainspring_problems_total", "counter", ("code",), "refusals and failures by their code"),
    Metric("mainspring_predict_seconds", "histogram", ("project", "model"), "whole predict requests"),
    Metric(
        "mainspring_model_seconds", "histogram", ("project", "model", "version", "role"),
        "the work of a version on a request, or a shadow's share of its batch",
    ),
    Metric(
        "mainspring_faults_total", "counter", ("project", "model", "version", "role", "status"),
        "rows that a version did not answer: late, invalid or failed",
    ),
    Metric("mainspring_in_flight", "gauge", (), "requests under way"),
    Metric("mainspring_permits", "gauge", (), "requests that may be at work at once"),
    Metric("mainspring_bodies_bytes", "gauge", (), "bytes of bodies that are being received"),
    Metric("mainspring_queue", "gauge", (), "requests that wait for the worker itself"),
    Metric("mainspring_queue_seconds", "gauge", (), "what the next one may expect to wait"),
    Metric("mainspring_model_requests", "gauge", ("project", "model", "version"), "requests that a model process has"),
    Metric("mainspring_model_connected", "gauge", ("project", "model", "version"), "whether its process is there"),
    Metric("mainspring_spool_waiting_bytes", "gauge", (), "bytes in memory that are not written yet"),
    Metric("mainspring_spool_failing_seconds", "gauge", (), "how long the disk has refused writes"),
    Metric("mainspring_spool_bytes", "gauge", (), "bytes in the home's spool that control has not taken yet"),
    Metric("mainspring_generation", "gauge", (), "the routing that is answered by"),
    Metric("mainspring_ready", "gauge", (), "whether it may be asked"),
    Metric("mainspring_swaps_total", "counter", (), "routings that were swapped in"),
    Metric("mainspring_swap_failures_total", "counter", (), "routings that could not be loaded, each try counted"),
    Metric("mainspring_shadow_rows_total", "counter", (), "rows that shadows have scored"),
    Metric("mainspring_shadow_rows_dropped_total", "counter", (), "rows that shadows have not scored for want of room"),
    Metric("mainspring_shadow_rows_waiting", "gauge", (), "rows that wait for shadows"),
    Metric("mainspring_challengers_disabled", "gauge", (), "challengers that this worker took out by itself"),
    Metric("process_resident_memory_bytes", "gauge", (), "memory that the worker holds"),
    Metric("process_cpu_seconds_total", "counter", (), "processor time that the worker has used"),
    Metric("process_start_time_seconds", "gauge", (), "when it started, in seconds since 1970"),
)  # fmt: skip


class Histogram:
    """Counts of latencies below each bound."""

    __slots__ = ("counts", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUND_LABELS)
        self.sum_us = 0

    def add(self, latency_us: int) -> None:
        """Count one."""
        self.counts[bisect_left(_BOUNDS_US, latency_us)] += 1
        self.sum_us += latency_us


class Meter:
    """What one version did in one role: a latency a request, and rows without an answer by their status."""

    __slots__ = ("faults", "took")

    def __init__(self) -> None:
        self.took = Histogram()
        self.faults: dict[str, int] = {}

    def failed(self, status: str, rows: int) -> None:
        """Count rows that got no answer."""
        self.faults[status] = self.faults.get(status, 0) + rows


class Meters(dict[str, Meter]):
    """The meters of one loaded version, by role."""

    def __missing__(self, role: str) -> Meter:
        made = self[role] = Meter()
        return made


class Histograms(dict[str, Histogram]):
    """A histogram for each model, by its id."""

    def __missing__(self, model: str) -> Histogram:
        made = self[model] = Histogram()
        return made


class Counters:
    """What this worker has answered, by route, code and model."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], int] = {}
        self.problems: dict[str, int] = {}
        self.took = Histograms()
        self.swaps = 0
        self.swap_failures = 0

    def answered(self, route: str, status: int) -> None:
        """Count one answer."""
        key = (route, status)
        self.answers[key] = self.answers.get(key, 0) + 1

    def keep(self, models: Set[str]) -> None:
        """Forget what was counted for other models than these, by id."""
        for id in self.took.keys() - models:
            del self.took[id]

    def refused(self, code: str) -> None:
        """Count one refusal or failure."""
        self.problems[code] = self.problems.get(code, 0) + 1


Labels = tuple[str, ...]


class Samples:
    """Values by metric and labels, gathered for one scrape; those of several workers can be put together."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.values: dict[str, list[tuple[Labels, float | Histogram]]] = {}

    def add(self, name: str, value: float | Histogram, *labels: str) -> None:
        """Add one series."""
        self.values.setdefault(name, []).append((labels, value))

    def encoded(self) -> bytes:
        """Return the samples for another worker to read."""
        plain = {
            name: [
                (labels, [value.counts, value.sum_us] if isinstance(value, Histogram) else value)
                for labels, value in series
            ]
            for name, series in self.values.items()
        }
        return msgspec.msgpack.encode((self.worker, plain))

    @staticmethod
    def decoded(data: bytes) -> Samples:
        """Return what another worker wrote."""
        worker, plain = msgspec.msgpack.decode(
            data, type=tuple[str, dict[str, list[tuple[Labels, float | tuple[list[int], int]]]]]
        )
        found = Samples(worker)
        for name, series in plain.items():
            for labels, value in series:
                found.add(name, _histogram(*value) if isinstance(value, tuple) else value, *labels)
        return found


def _histogram(counts: list[int], sum_us: int) -> Histogram:
    found = Histogram()
    found.counts, found.sum_us = counts, sum_us
    return found


def exposition(workers: Sequence[Samples], *, open_metrics: bool = False) -> bytes:
    """Return the samples of some workers as Prometheus text, or as OpenMetrics."""
    lines: list[str] = []
    for metric in METRICS:
        family = metric.name.removesuffix("_total") if open_metrics else metric.name
        lines += [f"# HELP {family} {_help(metric.about)}", f"# TYPE {family} {metric.kind}"]
        for samples in workers:
            for labels, value in samples.values.get(metric.name, ()):
                named = dict(zip(metric.labels, labels, strict=True)) | {"worker": samples.worker}
                lines += _lines(metric.name, named, value)
    if open_metrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _lines(name: str, labels: Mapping[str, str], value: float | Histogram) -> Iterable[str]:
    if not isinstance(value, Histogram):
        yield f"{name}{_shown(labels)} {value}"
        return
    total = 0
    for bound, count in zip(_BOUND_LABELS, value.counts, strict=True):
        total += count
        yield f"{name}_bucket{_shown({**labels, 'le': bound})} {total}"
    yield f"{name}_sum{_shown(labels)} {value.sum_us / 1e6:.6f}"
    yield f"{name}_count{_shown(labels)} {total}"


def _shown(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
