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

MOST = 3


@pytest.fixture
def connect(models: Models) -> Iterator[Callable[[], socket.socket]]:
    """To a server that has room for so many."""
    service = Service(models, Limits(connections=MOST))
    told: list[str] = []
    server = Server(create_app(service), service, "127.0.0.1", 0, told.append)
    thread = threading.Thread(target=server.run)
    thread.start()
    ends = time.monotonic() + 120
    while not told:
        assert time.monotonic() < ends
        time.sleep(0.01)
    port = int(told[0].rpartition(":")[2])
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
    server.should_exit = True
    thread.join(120)
    assert not thread.is_alive()


def asked(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of /health."""
    connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    got = b""
    while b"}" not in got:
        part = connection.recv(4096)
        assert part, got
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    return int(first.split()[1]), headers, body


def test_beyond_so_many_connections_a_request_is_refused_and_its_connection_ends(
    connect: Callable[[], socket.socket],
) -> None:
    within = [connect() for _ in range(MOST)]
    assert [asked(one)[0] for one in within] == [200] * MOST
    beyond = connect()
    status, headers, body = asked(beyond)
    assert status == 503
    assert headers["retry-after"] == "1"
    assert json.loads(body) == {"error": "there are too many connections"}
    assert beyond.recv(1) == b""
    within.pop().close()
    ends = time.monotonic() + 120
    while asked(connect())[0] != 200:  # until the server has seen that one has gone
        assert time.monotonic() < ends
    assert asked(within[0])[0] == 200
