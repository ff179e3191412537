from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from regard.serving.limits import Limits
from regard.serving.protocol import protocol

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONG = 3600.0  # seconds, which no test waits for


class Connected:
    """A server with one connection."""

    def __init__(self, limits: Limits) -> None:
        self.protocol = protocol(limits)
        self.state = ServerState()

    async def until_closed(self) -> None:
        """Wait until the server has closed the connection."""
        while self.state.connections:
            await asyncio.sleep(0.01)


def connected(client: Client, limits: Limits | Connected, *, answer: int = 2) -> None:
    """What a client does with a server that answers with so many bytes, and in which nothing fails."""
    server_side = limits if isinstance(limits, Connected) else Connected(limits)
    failures: list[dict[str, Any]] = []

    async def run() -> None:
        app = PlainTextResponse(b"x" * answer)
        config = uvicorn.Config(
            app,
            http=server_side.protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=int(LONG),
        )
        config.load()

        def make() -> asyncio.Protocol:
            made: Any = config.http_protocol_class
            connection: asyncio.Protocol = made(config=config, server_state=server_side.state, app_state={})
            return connection

        asyncio.get_running_loop().set_exception_handler(lambda loop, failure: failures.append(failure))
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        await client(reader, writer)
        writer.close()
        server.close()

    asyncio.run(asyncio.wait_for(run(), 120))
    assert failures == []


def test_a_head_that_does_not_end_is_not_waited_for() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HT")
        assert await _all(reader) == b""

    connected(silent, Limits(receive=0.2))


def test_nor_is_one_behind_an_answer() -> None:
    server = Connected(Limits(receive=LONG))

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        server.protocol.limits = Limits(receive=0.05)
        await asyncio.sleep(0.2)  # what is idle between two requests is uvicorn's to close
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HT")
        assert await _all(reader) == b""

    connected(again, server)


def test_an_answer_that_is_not_taken_is_given_up() -> None:
    server = Connected(Limits(send=0.2))

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while not server.state.total_requests:
            await asyncio.sleep(0.01)
        await server.until_closed()
        assert len(await _all(reader)) < 50_000_000

    connected(deaf, server, answer=50_000_000)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_body_that_is_broken_ends_the_connection(at_once: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n"
        if at_once:
            writer.write(head + body)
            assert (await _all(reader)).startswith(b"HTTP/1.1 400")
            return
        writer.write(head)
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        writer.write(body)
        assert await _all(reader) == b""

    connected(broken, Limits())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Until the connection ends, however it does."""
    found = b""
    try:
        while part := await reader.read(1 << 20):
            found += part
    except ConnectionError:
        pass
    return found
