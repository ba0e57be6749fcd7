"""OpenTelemetry traces of requests, with the extra ``otel``: one span each, sent by a thread that nobody waits for."""

from __future__ import annotations

import random
import time
from typing import Any

from mainspring.edges.gateway.told import Refusal, Told, Trace
from mainspring.kernel.errors import InvalidInput, Unavailable

_EXPORT_S = 5.0
_MOST_WAITING = 4_096


class Spans:
    """Sends a span for each request whose caller samples it, and for ``share`` of those that bring no trace."""

    def __init__(self, endpoint: str, worker: str, *, share: float = 1.0) -> None:
        self._share = share
        self._provider = _provider(endpoint, worker)
        self._tracer = self._provider.get_tracer("mainspring.gateway")

    def answered(self, told: Told) -> None:
        """Send the span of an answer."""
        if not self._wanted(told.trace):
            return
        attributes = {
            "http.response.status_code": told.status,
            "mainspring.prediction_id": told.id,
            "mainspring.project": told.project,
            "mainspring.model": told.model,
            "mainspring.version": list(told.versions),
            "mainspring.role": told.role,
            "mainspring.generation": told.generation,
            "mainspring.rows": told.rows,
            "mainspring.caller": told.caller,
        }
        self._send(f"predict {told.model}", told.trace, attributes, told.took_us)

    def refused(self, refusal: Refusal) -> None:
        """Send the span of a refusal or failure."""
        if not self._wanted(refusal.trace):
            return
        attributes = {"http.response.status_code": refusal.status, "error.type": refusal.code}
        self._send(refusal.route, refusal.trace, attributes, 0, failed=refusal.status >= 500)

    def close(self, timeout_s: float) -> None:
        """Send what is left."""
        self._provider.force_flush(int(timeout_s * 1_000))
        self._provider.shutdown()

    def _wanted(self, trace: Trace | None) -> bool:
        return trace.sampled if trace is not None else self._share >= 1.0 or random.random() < self._share

    def _send(
        self, name: str, trace: Trace | None, attributes: dict[str, Any], took_us: int, *, failed: bool = False
    ) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        end_ns = time.time_ns()
        began_ns = end_ns - took_us * 1_000
        span = self._tracer.start_span(
            name, _context(trace), SpanKind.SERVER, attributes=attributes, start_time=began_ns
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)


def _provider(endpoint: str, worker: str) -> Any:
    if not endpoint.startswith(("http://", "https://")):
        remedy = "give the collector's address, such as http://127.0.0.1:4318"
        raise InvalidInput("is not the address of a collector", field="otlp_endpoint", remedy=remedy)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        remedy = "pip install 'mainspring[otel]'"
        raise Unavailable("needs the extra otel", field="otlp_endpoint", remedy=remedy) from None
    resource = Resource.create({"service.name": "mainspring-gateway", "service.instance.id": worker})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=_EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_MOST_WAITING, schedule_delay_millis=1_000))
    return provider


def _context(trace: Trace | None) -> Any:
    if trace is None:
        return None
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    parent = SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), True, TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(parent))
