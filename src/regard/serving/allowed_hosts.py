"""By which names the server may be asked, against pages that make their own name mean this machine (DNS rebinding).

A browser lets a page ask the server that the page came from. If the page's owner then has its name lead to 127.0.0.1,
the page asks whatever listens there, and reads the answers. Only the name that is asked for tells.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import Scope

from regard.errors import ConfigError
from regard.serving.limits import Refused

LOCAL = "localhost"


class Names:
    """Those it goes by, beside localhost and every number; without any, it answers to all."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(_plain(name) for name in names)

    @classmethod
    def of(cls, host: str, given: Iterable[str]) -> Names:
        """Of a server that listens on `host`: the given ones; where only this machine can ask it, at least its own.

        Raises ConfigError for what is no name: an address with a scheme or a path, a blank.
        """
        given = list(given)
        for name in given:
            if not _plain(name) or any(character in "/@?#*," or character.isspace() for character in name):
                raise ConfigError(
                    f"`{name}` is no name of a machine", where="--allow-host", fix="give it as translate.example.org"
                )
        return cls([*given, LOCAL, socket.gethostname()] if given or _is_local(host) else ())

    def check(self, scope: Scope) -> None:
        """Raises Refused where a request asks for another."""
        asked = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        name = _plain(asked)
        if not self._names or not name or name in self._names or name.endswith("." + LOCAL) or _is_number(name):
            return
        raise Refused(
            421, f"this server does not go by the name {name[:100]}; whoever runs it can say so by --allow-host"
        )


def _plain(host: str) -> str:
    """Without a port, brackets and a dot at its end."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.rpartition(":")
    if name and ":" not in name and port.isdigit():
        host = name
    return host.rstrip(".")


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    return host == LOCAL or (_is_number(host) and ip_address(host).is_loopback)
