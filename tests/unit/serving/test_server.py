from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from regard.serving.app import create_app
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.server import Server
from regard.serving.service import Service

MAX_CONNECTIONS = 3


@pytest.fixture
def connect(models: Models) -> Iterator[Callable[[], socket.socket]]:
    """Return a function that connects to a server with at most MAX_CONNECTIONS connections."""
    service = Service(models, Limits(connections=MAX_CONNECTIONS))
    messages: list[str] = []
    server = Server(create_app(service), service, "127.0.0.1", 0, messages.append)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 120
    while not messages:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = int(messages[0].rpartition(":")[2])
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
    server.should_exit = True
    thread.join(120)
    assert not thread.is_alive()


def health(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of /health."""
    connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    received = b""
    while b"}" not in received:
        part = connection.recv(4096)
        assert part, received
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    return int(first.split()[1]), headers, body


def test_requests_beyond_the_connection_limit_are_rejected_and_closed(
    connect: Callable[[], socket.socket],
) -> None:
    within = [connect() for _ in range(MAX_CONNECTIONS)]
    assert [health(connection)[0] for connection in within] == [200] * MAX_CONNECTIONS
    beyond = connect()
    status, headers, body = health(beyond)
    assert status == 503
    assert headers["retry-after"] == "1"
    assert json.loads(body) == {"error": "there are too many connections"}
    assert beyond.recv(1) == b""
    within.pop().close()
    deadline = time.monotonic() + 120
    while health(connect())[0] != 200:  # until the server notices the closed connection
        assert time.monotonic() < deadline
    assert health(within[0])[0] == 200
