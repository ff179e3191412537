"""The HTTP server, with a graceful shutdown."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from regard.runtime import handle_signals, termination_signals
from regard.serving.protocol import make_protocol
from regard.serving.service import Service
from regard.serving.sockets import listen


class Server(uvicorn.Server):
    """A uvicorn server. The first signal stops it after the requests in progress; the second stops it at once."""

    def __init__(self, app: ASGIApp, service: Service, host: str, port: int, say: Callable[[str], None]) -> None:
        limits = service.limits
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="asyncio",  # uvloop does not call Listener.accept
            http=make_protocol(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        super().__init__(config)
        service.connections = lambda: len(self.server_state.connections)
        self._service = service
        self.say = say
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal arrives. Raise ConfigError if the address cannot be used."""
        super().run(sockets or listen(self.config.host, self.config.port, self._service.limits.reserve))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn. Report the addresses once the server listens."""
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                self.say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn. Also handle the signals of a closed terminal, unless they are ignored, as under nohup."""
        with super().capture_signals(), handle_signals(termination_signals(), self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal. At the second, end the process at once with the signal's default action."""
        if self._service.is_draining:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._service.is_draining = True
        name = signal.Signals(sig).name
        self._say(f"{name}: finishing {self._service.working:,} requests, rejecting new ones")
        threading.Thread(target=self._drain, args=(name,), name="drain", daemon=True).start()

    def _drain(self, name: str) -> None:
        """Wait up to limits.stop seconds for the requests in progress, then reject the rest."""
        service, limits = self._service, self._service.limits
        deadline = time.monotonic() + limits.stop
        time.sleep(0.2)  # let health checks and open connections still get a response
        while service.working and time.monotonic() < deadline:
            time.sleep(0.02)
        logging.getLogger("uvicorn.error").setLevel(
            logging.CRITICAL
        )  # do not log requests that are cancelled from now on
        if service.working:
            self._say(f"{name}: rejecting {service.working:,} requests that took more than {limits.stop:,} seconds")
            service.batcher.stop(0)
        self.config.timeout_graceful_shutdown = max(1, round(deadline - time.monotonic()))
        self.should_exit = True

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be closed
            self.say(text)
