"""Listening sockets that leave file descriptors free, however many clients connect."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from regard.errors import ConfigError

log = logging.getLogger("regard.serving")
RESERVE = 32  # file descriptors that connections never take: for checkpoints, imports and logs
QUIET = 60.0  # seconds between two messages about refused connections
_BODY = b'{"error": "there are too many connections"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


def allow_connections(wanted: int) -> int:
    """Raise the process's limit of open files as far as needed and allowed.

    Return how many connections can be served then, `wanted` at most. Raises ConfigError where it is none.
    """
    try:
        import resource
    except ImportError:  # Windows, where sockets are not counted as files
        return wanted
    in_use = _lowest_free()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = in_use + 2 * wanted + RESERVE  # as many again can be told that they are too many
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    room = _descriptors() - in_use
    if room < 1:
        raise ConfigError(
            f"the limit of open files, {_descriptors() + RESERVE}, leaves no room for connections",
            where="regard serve",
            fix="raise it, for example by `ulimit -n 1024`",
        )
    return min(wanted, room)


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of a host; an empty one stands for all of this machine. Raises ConfigError."""
    listeners: list[socket.socket] = []
    failure: OSError | None = None
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        addresses, failure = [], error
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        try:
            listeners.append(_listener(family, kind, protocol, address))
        except OSError as error:
            failure = error
    if failure and (not listeners or failure.errno == errno.EADDRINUSE):  # else there is no IPv6, say
        for one in listeners:
            one.close()
        raise ConfigError(
            f"port {port} of {host} cannot be listened on: {failure.strerror or failure}",
            where="regard serve",
            fix="choose another --port or --host",
        )
    return listeners


def _listener(family: int, kind: int, protocol: int, address: Any) -> Listener:
    listener = Listener(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class Listener(socket.socket):
    """A listening socket that refuses connections for which no file descriptors are left.

    asyncio accepts all that wait before it looks at any of them, so nothing later than `accept` can bound them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._descriptors = _descriptors()
        self._quiet_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises BlockingIOError where none waits, or the one that waited was refused."""
        connection, address = super().accept()
        if connection.fileno() < self._descriptors:  # a new one has the lowest number that is free
            return connection, address
        self._refuse(connection)
        raise BlockingIOError(errno.EAGAIN, "refused; the event loop calls again while others wait")

    def _refuse(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setblocking(False)
            connection.send(_REFUSAL)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)  # closing with a request unread would discard the answer
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET
            log.warning(
                "too many connections for the %s open files that are allowed: new ones are refused",
                f"{self._descriptors + RESERVE:,}",
            )


def _descriptors() -> int:
    """Return the number that the file descriptor of a connection has to be below."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else int(soft) - RESERVE


def _lowest_free() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
