"""The server: it begins, serves, and stops when it has finished what it accepted."""

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

from regard.serving.protocol import protocol
from regard.serving.service import Service
from regard.serving.sockets import listen

HANGUPS = [signal.Signals[name] for name in ("SIGHUP", "SIGQUIT") if name in signal.Signals.__members__]


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
        )
        super().__init__(config)
        service.connections = lambda: len(self.server_state.connections)
        self._service = service
        self.say = say
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
                self.say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn; the signals of a lost terminal count as well, unless they are ignored, as by nohup."""
        with super().capture_signals():
            before = {}
            if threading.current_thread() is threading.main_thread():
                caught = [number for number in HANGUPS if signal.getsignal(number) is not signal.SIG_IGN]
                before = {number: signal.signal(number, self.handle_exit) for number in caught}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish at the first signal; at the second, end the process at once, as the signal does by default."""
        if self._service.draining:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._service.draining = True
        name = signal.Signals(sig).name
        self._tell(f"{name}: finishing {self._service.working:,} requests, refusing new ones")
        threading.Thread(target=self._drain, args=(name,), name="drain", daemon=True).start()

    def _drain(self, name: str) -> None:
        """Wait until what was accepted is answered, for limits.stop seconds in all; refuse the rest."""
        service, limits = self._service, self._service.limits
        ends = time.monotonic() + limits.stop
        time.sleep(0.2)  # a health check, or a client that keeps its connection, still gets an answer
        while service.working and time.monotonic() < ends:
            time.sleep(0.02)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cancelled from now on is no error
        if service.working:
            self._tell(f"{name}: refusing {service.working:,} requests that took more than {limits.stop:,} seconds")
            service.batcher.stop(0)
        self.config.timeout_graceful_shutdown = max(1, round(ends - time.monotonic()))
        self.should_exit = True

    def _tell(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be what has gone
            self.say(text)
