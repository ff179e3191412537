"""HTTP/1.1 by uvicorn, with an end to waiting for clients that are slow at sending a head or taking an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from regard.serving.limits import Limits


class Patient(H11Protocol):
    """One connection."""

    limits = Limits()
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self.conn.trailing_data[0]:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """See uvicorn; whoever works on an answer to what breaks off here is told that the client has gone."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self.loop.call_later(self.limits.send, _cut, self.transport)

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.limits.receive, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def protocol(limits: Limits) -> type[Patient]:
    """What uvicorn makes for each connection."""
    return type("Patient", (Patient,), {"limits": limits})


def _cut(transport: asyncio.Transport) -> None:
    """End a connection whose client has not taken its answer."""
    if transport.get_write_buffer_size():
        transport.abort()
