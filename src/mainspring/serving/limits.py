"""The one table of limits: what a request may cost a gateway worker, and how much may be under way in it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_Count = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one worker takes. A request beyond a limit is refused before it costs anything.

    >>> Limits(rows=100).body_bytes
    8388608
    """

    body_bytes: Annotated[_Count, Meta(description="bytes of a body; 413 beyond")] = 8 * 1024 * 1024
    bodies_bytes: Annotated[_Count, Meta(description="bytes of all bodies that are being received; 429 beyond")] = (
        256 * 1024 * 1024
    )
    header_bytes: Annotated[int, Meta(ge=8_192, description="bytes of a request's head; 431 beyond")] = 64 * 1024
    rows: Annotated[_Count, Meta(description="rows of a predict request; 413 beyond")] = 1_000
    pushed_rows: Annotated[_Count, Meta(description="outcomes, or rows of a source, in a request; 413 beyond")] = 50_000
    header_s: Annotated[
        _Seconds, Meta(description="seconds for a head to come whole, and for a connection to stay idle; it is closed")
    ] = 30.0
    body_s: Annotated[_Seconds, Meta(description="seconds for a body to come whole; 408 beyond")] = 10.0
    connections: Annotated[
        _Count, Meta(description="connections that are served; what more of them ask is refused, 429")
    ] = 1_024
    idle_s: Annotated[
        _Seconds, Meta(description="seconds after which an idle connection makes room, where there are enough")
    ] = 5.0
    requests: Annotated[_Count, Meta(description="requests at work: body come, answer not given; 429 beyond")] = 512
    queue: Annotated[_Count, Meta(description="requests that wait for the worker itself; 429 beyond")] = 512
    queue_s: Annotated[
        _Seconds,
        Meta(description="seconds that one may expect to wait, half of a deadline at most; 429 beyond"),
    ] = 0.5
    model_requests: Annotated[
        _Count, Meta(description="requests that one model process has and has not answered; 429 beyond")
    ] = 512
    shadow_rows: Annotated[_Count, Meta(description="rows waiting for shadows; more are dropped, and counted")] = 20_000
    drain_notice_s: Annotated[
        float, Meta(ge=0, description="seconds between SIGTERM, when it is no more ready, and the end of accepting")
    ] = 0.1
    drain_s: Annotated[_Seconds, Meta(description="seconds that requests under way may take to end after that")] = 8.0
    stale_routing_s: Annotated[
        _Seconds, Meta(description="seconds that a published routing may stay unloaded; not ready beyond")
    ] = 60.0
