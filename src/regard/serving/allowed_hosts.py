"""Check the Host header of requests, as protection against DNS rebinding.

A browser lets a web page call the server that the page came from. If the owner of the page's domain then points the
domain at 127.0.0.1, the page can call any server on this machine and read the responses. Only the Host header of such
a request gives it away.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import Scope

from regard.errors import ConfigError
from regard.serving.limits import RequestRejected

LOCAL = "localhost"


class AllowedHosts:
    """Host names that requests may use, in addition to localhost and IP addresses. If empty, every host is allowed."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(_normalize(name) for name in names)

    @classmethod
    def for_server(cls, host: str, names: Iterable[str]) -> AllowedHosts:
        """Return the allowed hosts of a server that listens on `host`.

        If `names` is empty, a server that only this machine can reach allows this machine's names, and any other server
        allows every host.

        Raises:
            ConfigError: A name is not a host name, but for example a URL or blank.
        """
        names = list(names)
        for name in names:
            if not _normalize(name) or any(character in "/@?#*," or character.isspace() for character in name):
                raise ConfigError(
                    f"`{name}` is not a valid host name",
                    where="allowed hosts",
                    fix="give a name such as translate.example.org",
                )
        return cls([*names, LOCAL, socket.gethostname()] if names or _is_local(host) else ())

    def check(self, scope: Scope) -> None:
        """Raise RequestRejected if the Host header of a request names a host that is not allowed."""
        header = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        name = _normalize(header)
        if not self._names or not name or name in self._names or name.endswith("." + LOCAL) or _is_ip_address(name):
            return
        raise RequestRejected(
            421, f"the host {name[:100]} is not allowed; the operator of the server can allow it with --allow-host"
        )


def _normalize(host: str) -> str:
    """Return a host in lower case, without port, brackets and final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.rpartition(":")
    if name and ":" not in name and port.isdigit():
        host = name
    return host.rstrip(".")


def _is_ip_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    return host == LOCAL or (_is_ip_address(host) and ip_address(host).is_loopback)
