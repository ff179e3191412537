"""State that all endpoints share: the models, the batcher, and one thread per request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from regard.corpus.corrections import CorrectionStore
from regard.errors import RegardError
from regard.serving.api_keys import ApiKeys
from regard.serving.batcher import STOPPING, Batcher, Ticket
from regard.serving.examples import read_examples
from regard.serving.file_store import FileStore
from regard.serving.glossary_store import GlossaryStore
from regard.serving.language_detection import LanguageDetector
from regard.serving.limits import Limits, RequestRejected, busy, invalid
from regard.serving.metrics import Metrics
from regard.serving.models import Models
from regard.serving.reloading import Reloader
from regard.serving.threads import start_thread

T = TypeVar("T")
log = logging.getLogger("regard.serving")
CHARACTERS = "characters"  # key in a request's state: number of characters of its texts
CLIENT_CLOSED = 499  # as in nginx: the client closed the connection; appears in the metrics only
CLOSE_TIMEOUT = 2.0  # seconds for an abandoned search to stop


class Service:
    """The state of one server."""

    def __init__(
        self,
        models: Models,
        limits: Limits | None = None,
        keys: ApiKeys | None = None,
        corrections: CorrectionStore | None = None,
        glossaries: GlossaryStore | None = None,
        *,
        show_examples: bool = True,
    ) -> None:
        """Create it. `show_examples`: whether the page may show sentences of the runs' dev sets."""
        self.models = models
        self.glossaries = glossaries
        self.corrections = corrections
        self.examples = read_examples(models) if show_examples else []
        self.limits = limits or Limits()
        self.keys = keys or ApiKeys()
        self.detector = LanguageDetector(models)
        self.metrics = Metrics()
        self.files = FileStore(self.limits)
        self.batcher = Batcher(self.limits, self.metrics.batch, threads=models.workers)
        self.is_draining = False
        self.connections: Callable[[], int] = lambda: 0  # number of open connections; set by the server
        self.working = 0
        self.metrics.watch(lambda: self.batcher.waiting, lambda: self.working, lambda: models.deaths.count)

    async def run_job(self, request: Request, job: Callable[[Ticket], T], seconds: float | None = None) -> T:
        """Run a job in a separate thread and return its result; abandon it if the client disconnects.

        Args:
            request: The request, whose body is read.
            job: The job.
            seconds: The time for it; None for that of texts.

        Raises:
            RequestRejected: The job failed, the client disconnected, or the server is too busy.
        """
        disconnected = asyncio.ensure_future(_wait_for_disconnect(request))
        ticket = Ticket(self.limits.work if seconds is None else seconds)
        try:
            await asyncio.sleep(0)  # notice a client that has disconnected already
            if disconnected.done():
                raise RequestRejected(CLIENT_CLOSED, "the client closed the connection")
            task = self.start_job(lambda: job(ticket))
            futures: set[asyncio.Future[Any]] = {task, disconnected}
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise RequestRejected(CLIENT_CLOSED, "the client closed the connection")
            return await task
        except RegardError as error:
            raise RequestRejected(400, error.message) from None
        except RequestRejected:
            raise
        except Exception:
            log.exception("a request failed")
            raise RequestRejected(500, "the translation failed; see the log of the server") from None
        finally:
            ticket.is_abandoned = True
            disconnected.cancel()

    def start_job(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Start a job in a thread; it does not end with its request. Raise RequestRejected if too many are running."""
        if self.working >= self.limits.requests:
            raise busy(f"{self.working:,} requests are in progress already")
        try:
            task = start_thread(job, "request")
        except RuntimeError:  # the limit of the system
            raise busy("no more threads can be started") from None
        self.working += 1
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Future[Any]) -> None:
        self.working -= 1
        if not task.cancelled():
            task.exception()  # mark the exception as retrieved

    def check_texts(self, texts: Sequence[str], fields: Mapping[str, Any], request: Request) -> None:
        """Check the API key and the size of the texts. The middleware counts the characters if the request succeeds.

        Raises:
            RequestRejected: The key is missing or wrong, or the texts exceed a limit.
        """
        self.keys.check(request, fields)
        characters = sum(map(len, texts))
        for size, limit, unit in (
            (len(texts), self.limits.texts, "texts"),
            (characters, self.limits.characters, "characters"),
        ):
            if size > limit:
                raise invalid(f"request ({size}) exceeds text limit ({limit} {unit})")
        setattr(request.state, CHARACTERS, characters)

    def check_alternatives(self, count: int) -> int:
        """Return the number of alternatives. Raise RequestRejected if it is too large."""
        maximum = min(self.limits.alternatives, self.limits.beam - 1)
        if count > maximum:
            raise invalid(f"alternatives parameter must be <= {maximum}")
        return count

    async def watch(self) -> None:
        """Load the language detector if needed, then watch all runs for newer checkpoints until cancelled."""
        if len(self.models.sources) > 1:
            await self._load_detector()
        reloaders = [Reloader(self.models, name, self.limits) for name in self.models.names]
        await asyncio.gather(self.files.watch(), *(reloader.watch() for reloader in reloaders))

    async def _load_detector(self) -> None:
        try:
            await start_thread(self.detector.load, "detector")
        except Exception:
            log.exception("cannot load the language detector; the next request that needs it tries again")

    def close(self) -> None:
        """Stop the batcher and reject the waiting requests."""
        self.is_draining = True
        self.batcher.stop(CLOSE_TIMEOUT)

    def reject_if_draining(self) -> None:
        """Raise RequestRejected if the server is shutting down."""
        if self.is_draining:
            raise RequestRejected(503, STOPPING, retry_after=2)

    @property
    def is_crowded(self) -> bool:
        """Whether there are more connections than the limit."""
        return self.connections() > self.limits.connections


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the client disconnects. The request must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
