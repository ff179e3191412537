from __future__ import annotations

import errno
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.serving.running import Running

from regard.errors import ConfigError
from regard.serving import sockets
from regard.serving.limits import RESERVE
from regard.serving.sockets import allow_connections, listen

resource = pytest.importorskip("resource")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_refused(connection: socket.socket) -> bool:
    """Return whether the server refused the connection, without a request."""
    try:
        return connection.recv(65536)[9:12] == b"503"
    except BlockingIOError:
        return False


def health(server: Running) -> bytes:
    """Return the status of GET /health; empty if the connection ended without one."""
    received = b""
    with server.connect() as connection, suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        while part := connection.recv(65536):
            received += part
    return received[9:12]


def test_idle_connections_beyond_the_open_files_are_refused(run: Path) -> None:
    files = 64
    server = Running(run, "--port", "0", shell=f"ulimit -n {files}")
    assert any("simultaneous connections" in line for line in server.output)
    startup = len(server.output)
    with ExitStack() as opened:
        idle = [opened.enter_context(server.connect()) for _ in range(files + 50)]
        for connection in idle:
            connection.setblocking(False)
        refused: set[socket.socket] = set()

        def are_refused() -> bool:
            refused.update(connection for connection in idle if connection not in refused and is_refused(connection))
            return len(refused) >= 50

        until(are_refused)
        assert {health(server) for _ in range(20)} <= {b"200", b"503", b""}
    until(lambda: health(server) == b"200")
    assert server.translates()
    assert server.stop() == 0
    messages = server.output[startup:]
    assert len(messages) == 2, messages
    assert "too many connections" in messages[0]


def test_a_connection_without_a_file_descriptor_gets_a_response_and_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "_descriptor_limit", lambda reserve: 3)
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        for _ in range(3):
            with socket.create_connection(listener.getsockname(), timeout=120) as client:
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                with pytest.raises(BlockingIOError):
                    listener.accept()
                answer = b"".join(iter(lambda: client.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "there are too many connections"}
    assert len(caplog.messages) == 1


def test_the_limit_of_open_files_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [256, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: limits.__setitem__(slice(None), new))
    assert allow_connections(1024) == 1024
    assert 2048 < limits[0] < 4096
    limits[:] = [256, 512]
    assert 400 < allow_connections(1024) < 512 - RESERVE
    assert limits == [512, 512]
    assert allow_connections(1024, RESERVE + 100) == allow_connections(1024) - 100
    limits[:] = [RESERVE, RESERVE]
    with pytest.raises(ConfigError, match="open files"):
        allow_connections(1024)
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert allow_connections(1024) == 1024


def test_open_files_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert allow_connections(1024) == 1024
    (listener, *rest) = listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.fileno() > 0
    assert rest == []


def test_listening_skips_unavailable_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def listener(family: int, *arguments: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return make(family, *arguments)

    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    make = sockets._listener
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: both)
    monkeypatch.setattr(sockets, "_listener", listener)
    (listening,) = listen("localhost", 0)
    with listening:
        assert listening.getsockname()[0] == "127.0.0.1"
    both.pop()
    with pytest.raises(ConfigError, match="Cannot assign"):
        listen("localhost", 0)
