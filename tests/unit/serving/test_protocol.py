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
from regard.serving.protocol import make_protocol

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONG = 3600.0  # seconds; no test waits that long


class ConnectionState:
    """The server side of one connection."""

    def __init__(self, limits: Limits) -> None:
        self.protocol = make_protocol(limits)
        self.state = ServerState()

    async def until_closed(self) -> None:
        """Wait until the server has closed the connection."""
        while self.state.connections:
            await asyncio.sleep(0.01)


def run_client(client: Client, limits: Limits | ConnectionState, *, answer: int = 2) -> None:
    """Run a client against a server that responds with `answer` bytes; fail on errors in the server."""
    server_side = limits if isinstance(limits, ConnectionState) else ConnectionState(limits)
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
            protocol_class: Any = config.http_protocol_class
            connection: asyncio.Protocol = protocol_class(config=config, server_state=server_side.state, app_state={})
            return connection

        asyncio.get_running_loop().set_exception_handler(lambda loop, failure: failures.append(failure))
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        await client(reader, writer)
        writer.close()
        server.close()

    asyncio.run(asyncio.wait_for(run(), 120))
    assert failures == []


def test_an_incomplete_head_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HT")
        assert await _read_all(reader) == b""

    run_client(silent, Limits(receive=0.2))


def test_an_incomplete_head_after_a_response_times_out() -> None:
    server = ConnectionState(Limits(receive=LONG))

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        server.protocol.limits = Limits(receive=0.05)
        await asyncio.sleep(0.2)  # uvicorn itself closes connections that are idle between requests
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HT")
        assert await _read_all(reader) == b""

    run_client(again, server)


def test_an_unread_response_is_aborted() -> None:
    server = ConnectionState(Limits(send=0.2))

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while not server.state.total_requests:
            await asyncio.sleep(0.01)
        await server.until_closed()
        assert len(await _read_all(reader)) < 50_000_000

    run_client(deaf, server, answer=50_000_000)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_malformed_body_closes_the_connection(at_once: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n"
        if at_once:
            writer.write(head + body)
            assert (await _read_all(reader)).startswith(b"HTTP/1.1 400")
            return
        writer.write(head)
        assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        writer.write(body)
        assert await _read_all(reader) == b""

    run_client(broken, Limits())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection ends or fails."""
    received = b""
    try:
        while part := await reader.read(1 << 20):
            received += part
    except ConnectionError:
        pass
    return received
