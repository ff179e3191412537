"""What all endpoints share: the models, the batcher, and the threads in which requests wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from regard.errors import RegardError
from regard.serving.api_keys import Keys
from regard.serving.batcher import STOPPING, Batcher, Ticket
from regard.serving.language_detection import Detector
from regard.serving.limits import Limits, Refused, busy, invalid
from regard.serving.metrics import Metrics
from regard.serving.models import Models
from regard.serving.reloading import Reloader
from regard.serving.threads import start_thread

T = TypeVar("T")
log = logging.getLogger("regard.serving")
CHARACTERS = "characters"  # in the state of a request, of its texts
GONE = 499  # the status, in the metrics alone, of a request whose client has gone; nginx's
CLOSE = 2.0  # seconds for a search that nobody waits for to break off


class Service:
    """One server's."""

    def __init__(self, models: Models, limits: Limits | None = None, keys: Keys | None = None) -> None:
        self.models = models
        self.limits = limits or Limits()
        self.keys = keys or Keys()
        self.detector = Detector(models)
        self.metrics = Metrics()
        self.batcher = Batcher(self.limits, self.metrics.batch)
        self.draining = False
        self.connections: Callable[[], int] = lambda: 0  # how many are open; who listens says it
        self.working = 0
        self.metrics.watch(lambda: self.batcher.waiting, lambda: self.working)

    async def work(self, request: Request, job: Callable[[Ticket], T]) -> T:
        """A job in a thread of its own, which is given up when the client goes. Raises Refused."""
        gone = asyncio.ensure_future(_gone(request))
        ticket = Ticket(self.limits.work)
        try:
            await asyncio.sleep(0)  # a client that has left by now is found before anything is done for it
            if gone.done():
                raise Refused(GONE, "the client has gone")
            task = self._begin(lambda: job(ticket))
            either: set[asyncio.Future[Any]] = {task, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Refused(GONE, "the client has gone")
            return await task
        except RegardError as error:
            raise Refused(400, error.message) from None
        except Refused:
            raise
        except Exception:
            log.exception("a request failed")
            raise Refused(500, "the translation failed; the server's log says why") from None
        finally:
            ticket.given_up = True
            gone.cancel()

    def _begin(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Start a job in a thread. Raises Refused where that cannot be."""
        if self.working >= self.limits.requests:
            raise busy(f"{self.working:,} requests are worked on already")
        try:
            task = start_thread(job, "request")
        except RuntimeError:  # of the system's limit
            raise busy("no more threads can be started") from None
        self.working += 1
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.working -= 1
        if not task.cancelled():
            task.exception()  # it is seen, also where nobody waits for it any more

    def count(self, texts: Sequence[str], said: Mapping[str, Any], request: Request) -> None:
        """Ask for a key and bound the texts, which the guard counts once they are answered. Raises Refused."""
        self.keys.check(request, said)
        characters = sum(map(len, texts))
        for size, limit, what in (
            (len(texts), self.limits.texts, "texts"),
            (characters, self.limits.characters, "characters"),
        ):
            if size > limit:
                raise invalid(f"request ({size}) exceeds text limit ({limit} {what})")
        setattr(request.state, CHARACTERS, characters)

    def alternatives(self, wanted: int) -> int:
        """The same number. Raises Refused where it is too large."""
        most = min(self.limits.alternatives, self.limits.beam - 1)
        if wanted > most:
            raise invalid(f"alternatives parameter must be <= {most}")
        return wanted

    async def watch(self) -> None:
        """Load newer checkpoints, until it is cancelled; and first what tells several languages from each other."""
        if len(self.models.sources) > 1:
            await self._ready()
        reloaders = [Reloader(self.models, name, self.limits) for name in self.models.names]
        await asyncio.gather(*(one.watch() for one in reloaders))

    async def _ready(self) -> None:
        try:
            await start_thread(self.detector.ready, "detector")
        except Exception:
            log.exception("the language detector could not be loaded; the first request that needs it tries again")

    def close(self) -> None:
        """Stop the batcher; what still waits is refused."""
        self.draining = True
        self.batcher.stop(CLOSE)

    def refuse_if_draining(self) -> None:
        """Raises Refused."""
        if self.draining:
            raise Refused(503, STOPPING, retry_after=2)

    @property
    def crowded(self) -> bool:
        """Whether there are more connections than are served."""
        return self.connections() > self.limits.connections


async def _gone(request: Request) -> None:
    """Until the client goes; its request has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
