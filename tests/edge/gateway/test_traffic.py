from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mainspring.testing.traffic import Traffic

Handler = Callable[[bytes], bytes | None]


async def serve(handler: Handler, use: Callable[[int], Awaitable[None]]) -> None:
    """Run a server that answers each body by ``handler``; None hangs up."""

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                answer = handler(await reader.readexactly(length))
                if answer is None:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(line, "127.0.0.1", 0)
    async with server:
        await use(server.sockets[0].getsockname()[1])


def test_bodies_are_sent_in_order_and_every_answer_comes_home() -> None:
    seen: list[bytes] = []
    answers: dict[int, bytes] = {}

    def echo(body: bytes) -> bytes:
        seen.append(body)
        return body * 1_000

    async def use(port: int) -> None:
        async with Traffic("127.0.0.1", port, connections=1) as traffic:
            bodies = [b"%d" % number for number in range(50)]
            await traffic.post("/x", bodies, on_answer=lambda at, status, body: answers.update({at: body}))
            assert (traffic.sent, traffic.answered, traffic.failed) == (50, 50, 0)

    asyncio.run(serve(echo, use))
    assert seen == [b"%d" % number for number in range(50)]
    assert answers[49] == b"49" * 1_000


def test_a_broken_connection_is_a_failure_and_the_next_request_goes_on() -> None:
    statuses: list[int] = []

    async def use(port: int) -> None:
        async with Traffic("127.0.0.1", port, connections=1) as traffic:
            bodies = [b"good", b"bad", b"good"]
            await traffic.post("/x", bodies, on_answer=lambda at, status, body: statuses.append(status))
            assert (traffic.sent, traffic.answered, traffic.failed) == (3, 2, 1)

    asyncio.run(serve(lambda body: None if body == b"bad" else body, use))
    assert statuses == [200, 0, 200]


def test_headers_may_differ_from_body_to_body() -> None:
    heads: list[bytes] = []

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def use() -> None:
        server = await asyncio.start_server(line, "127.0.0.1", 0)
        async with server, Traffic("127.0.0.1", server.sockets[0].getsockname()[1], connections=2) as traffic:
            await traffic.post("/x", [b"", b""], [{"x-mainspring-at": "a"}, {"x-mainspring-at": "b"}])
            assert traffic.failed == 0

    asyncio.run(use())
    assert sorted(head.split(b"x-mainspring-at: ")[1][:1] for head in heads) == [b"a", b"b"]
