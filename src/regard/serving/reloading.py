"""Load a run's newer checkpoint while the server runs."""

from __future__ import annotations

import asyncio
import logging

from regard.errors import RegardError
from regard.serving.limits import Limits
from regard.serving.models import Models, Stamp
from regard.serving.threads import start_thread

log = logging.getLogger("regard.serving")
LONGEST_PAUSE = 31  # looks between two attempts at the same files


class Reloader:
    """Watches one run; the model loaded before serves until a newer one has been loaded and tried.

    Everything that touches files is done in a thread per run, so that a disk that hangs stops nothing else.
    """

    def __init__(self, models: Models, name: str, limits: Limits) -> None:
        self._models = models
        self._name = name
        self.limits = limits
        self._seen = models.loaded_stamp(name)
        self._failures = 0  # of loading what was seen last
        self._pause = 0.0  # looks to skip before the next attempt
        self._warned = ""

    async def watch(self) -> None:
        """Look every `limits.reload` seconds until cancelled."""
        while True:
            await asyncio.sleep(self.limits.reload)
            await self.look()

    async def look(self) -> None:
        """Load the run's best checkpoint if it is new; what fails is logged."""
        try:
            stamp = await start_thread(lambda: self._models.stamp(self._name), "look")
            if not self._is_due(stamp):
                return
            loading = start_thread(lambda: self._models.load(self._name), "load")
            loaded = await asyncio.wait_for(loading, self.limits.load)
        except TimeoutError:
            self._pause = float("inf")  # another attempt would hang as well
            self._warn(f"loading takes more than {self.limits.load:,} seconds")
        except RegardError as error:
            self._failed(error.message)
        except (OSError, MemoryError) as error:
            self._failed(getattr(error, "strerror", None) or type(error).__name__)
        except Exception as error:
            self._failed(type(error).__name__, error)
        else:
            self._models.replace(self._name, loaded)
            self._warned = ""
            log.warning("%s: a new checkpoint serves", self._name)

    def _is_due(self, stamp: Stamp) -> bool:
        """Return whether to load: the files are not those that serve, and not those of a copy that is under way."""
        if stamp != self._seen:
            self._seen = stamp
            self._failures = self._pause = 0
            return False
        if stamp == self._models.loaded_stamp(self._name):
            self._warned = ""
            return False
        self._pause -= 1
        return self._pause < 0

    def _failed(self, reason: str, unexpected: Exception | None = None) -> None:
        """Try again later, after pauses that double each time."""
        self._failures += 1
        self._pause = min(2**self._failures - 1, LONGEST_PAUSE)
        self._warn(reason, unexpected)

    def _warn(self, reason: str, unexpected: Exception | None = None) -> None:
        """Log a reason once, until it changes or the run is well again."""
        if reason != self._warned:
            self._warned = reason
            log.warning(
                "%s: the new checkpoint cannot be loaded, the one before serves on: %s",
                self._name,
                reason,
                exc_info=unexpected,
            )
