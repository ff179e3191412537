"""uvicorn's HTTP/1.1 protocol, with timeouts for clients that are slow to send a request or to read a response."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from regard.serving.limits import Limits


class TimeoutProtocol(H11Protocol):
    """One connection with timeouts."""

    limits = Limits()
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._cancel_head_timer()
        elif self.conn.trailing_data[0]:
            self._start_head_timer()

    def send_400_response(self, msg: str) -> None:
        """See uvicorn. Mark a request that is in progress as disconnected."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """See uvicorn. Close the connection if the client does not read the response in time."""
        super().on_response_complete()
        self.loop.call_later(self.limits.send, _abort_unread, self.transport)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.receive, self.transport.abort)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def make_protocol(limits: Limits) -> type[TimeoutProtocol]:
    """Return the class that uvicorn creates for each connection."""
    return type("TimeoutProtocol", (TimeoutProtocol,), {"limits": limits})


def _abort_unread(transport: asyncio.Transport) -> None:
    """Abort a connection whose client has not read its response."""
    if transport.get_write_buffer_size():
        transport.abort()
