"""``POST /sources/{name}``: rows pushed to a source, one object or a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainspring.edges.gateway.limits import check_rows, not_ahead, read_query
from mainspring.edges.gateway.snapshot import Source
from mainspring.kernel.clock import from_us, show_time
from mainspring.log.records import SourceRows
from mainspring.serving.decode import Malformed

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway


async def sources(gateway: Gateway, scope: Any, proto: Any, name: str) -> int:
    """Take rows of a source, checked against its columns; a row that is known only later is refused."""
    query = read_query(scope, "project")
    source = gateway.follower.snapshot().source(name, query.get("project"))
    body = proto.body
    rows, several = source.decoder.decode(body)
    check_rows(len(rows), gateway.limits.pushed_rows)
    now_us = gateway.clock.now_us()
    for index, row in enumerate(rows):
        _check_times(source, row, f"[{index}]." if several else "", now_us)
    listed = body if several else b"[" + body + b"]"
    spool = gateway.spool
    await spool.durable(spool.append(SourceRows(source.route.project, source.route.source, now_us, listed)))
    return gateway.respond(proto, spool, b'{"accepted":%d}' % len(rows), status=202)


def _check_times(source: Source, row: tuple[Any, ...], where: str, now_us: int) -> None:
    spec = source.route.spec
    if source.time is None or row[source.time] is None:
        raise Malformed("missing_field", "a row needs its time", field=where + spec.time)
    if spec.known_at is None:
        known_us, name = row[source.time] + (spec.known_after_us or 0), spec.time
    elif source.known_at is None or row[source.known_at] is None:
        raise Malformed("missing_field", "a row needs the time it was known", field=where + spec.known_at)
    else:
        known_us, name = row[source.known_at], spec.known_at
    not_ahead(known_us, now_us, where + name, show_time(from_us(known_us)))
