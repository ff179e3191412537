"""The server: it begins, serves, and stops when it has finished what it accepted."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from regard.serving.listening import listen
from regard.serving.protocol import protocol
from regard.serving.service import Service


class Server(uvicorn.Server):
    """At the first signal it refuses what is new and ends when the rest is answered; at the second, at once."""

    def __init__(self, app: ASGIApp, service: Service, host: str, port: int, say: Callable[[str], None]) -> None:
        limits = service.limits
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="asyncio",  # uvloop would not ask Listener.accept
            http=protocol(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(limits.stop),
        )
        super().__init__(config)
        service.connections = lambda: len(self.server_state.connections)
        self._service = service
        self._say = say
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal. Raises ConfigError where it cannot listen."""
        super().run(sockets or listen(self.config.host, self.config.port))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn; says where it listens, once it does."""
        await super().startup(sockets)
        for server in self.servers:
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                self._say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal."""
        if self._service.draining:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is broken off now is no error
            self.force_exit = self.should_exit = True
            return
        self._service.draining = True
        self._say(f"{signal.Signals(sig).name}: finishing {self._service.working:,} requests, refusing new ones")
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        """Wait for the requests, which end by themselves in limits.work at the most."""
        ends = time.monotonic() + self._service.limits.stop
        time.sleep(0.2)  # a health check, or a client that keeps its connection, is still told
        while self._service.working and time.monotonic() < ends:
            time.sleep(0.02)
        self.should_exit = True
