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
from regard.serving.limits import RESERVE

log = logging.getLogger("regard.serving")
WARNING_INTERVAL = 60.0  # seconds between two warnings about refused connections
_BODY = b'{"error": "there are too many connections"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


def allow_connections(requested: int, reserve: int = RESERVE) -> int:
    """Raise the process's limit of open files as far as needed and allowed.

    Args:
        requested: The number of connections to serve.
        reserve: The number of file descriptors that connections leave free.

    Returns:
        The number of connections that can be served, at most `requested`.

    Raises:
        ConfigError: The limit leaves no file descriptor for connections.
    """
    try:
        import resource
    except ImportError:  # Windows: sockets are not files
        return requested
    in_use = _lowest_free()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = in_use + 2 * requested + reserve  # the second half is for responses to refused connections
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    room = _descriptor_limit(reserve) - in_use
    if room < 1:
        raise ConfigError(
            f"the limit of open files, {_descriptor_limit(0)}, leaves no room for connections",
            where="regard serve",
            fix="raise it, for example by `ulimit -n 1024`",
        )
    return min(requested, room)


def listen(host: str, port: int, reserve: int = RESERVE) -> list[socket.socket]:
    """Listen on every address of a host; an empty host stands for all addresses.

    Args:
        host: A host name or an address.
        port: The port; 0 chooses a free one.
        reserve: The number of file descriptors that connections leave free.

    Raises:
        ConfigError: The address cannot be used.
    """
    listeners: list[Listener] = []
    failure: OSError | None = None
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        addresses, failure = [], error
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        try:
            listeners.append(_listener(family, kind, protocol, address))
            listeners[-1].descriptor_limit = _descriptor_limit(reserve)
        except OSError as error:
            failure = error
    if failure and (not listeners or failure.errno == errno.EADDRINUSE):  # otherwise, for example, only IPv6 is missing
        for listener in listeners:
            listener.close()
        raise ConfigError(
            f"cannot listen on port {port} of {host}: {failure.strerror or failure}",
            where="regard serve",
            fix="choose another port or host",
        )
    return [*listeners]


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
    """A listening socket that refuses connections when no file descriptors are left for them.

    asyncio accepts all waiting connections before it handles any of them, so only `accept` can limit their number.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.descriptor_limit = sys.maxsize
        self._next_warning = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raise BlockingIOError if none is waiting, or if the waiting one was refused."""
        connection, address = super().accept()
        if connection.fileno() < self.descriptor_limit:  # a new descriptor is the lowest free one
            return connection, address
        self._refuse(connection)
        raise BlockingIOError(errno.EAGAIN, "refused; the event loop calls again while connections are waiting")

    def _refuse(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setblocking(False)
            connection.send(_REFUSAL)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)  # closing a socket with unread data would discard the response
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARNING_INTERVAL
            log.warning(
                "too many connections for the limit of %s open files: new connections are refused",
                f"{_descriptor_limit(0):,}",
            )


def _descriptor_limit(reserve: int) -> int:
    """Return the exclusive upper bound for file descriptors that leaves `reserve` free."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else int(soft) - reserve


def _lowest_free() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
