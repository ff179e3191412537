"""Load newer checkpoints of a run while the server runs."""

from __future__ import annotations

import asyncio
import logging

from regard.errors import RegardError
from regard.serving.limits import Limits
from regard.serving.models import Models, Stamp
from regard.serving.threads import start_thread

log = logging.getLogger("regard.serving")
MAX_PAUSE = 31  # checks between two attempts to load the same files


class Reloader:
    """Watch one run. The current model keeps serving until a newer one has been loaded and tested.

    All file access is in a thread per run, so a disk that hangs does not block the server or the other runs.
    """

    def __init__(self, models: Models, name: str, limits: Limits) -> None:
        self._models = models
        self._name = name
        self.limits = limits
        self._last_stamp = models.loaded_stamp(name)
        self._failures = 0  # failed attempts to load the checkpoint last seen
        self._pause = 0.0  # checks to skip before the next attempt
        self._last_warning = ""

    async def watch(self) -> None:
        """Check every `limits.reload` seconds until cancelled."""
        while True:
            await asyncio.sleep(self.limits.reload)
            await self.check()

    async def check(self) -> None:
        """Load the best checkpoint of the run if it is new. Log errors instead of raising them."""
        try:
            stamp = await start_thread(lambda: self._models.stamp(self._name), "check")
            if not self._is_due(stamp):
                return
            loading = start_thread(lambda: self._models.load(self._name), "load")
            loaded = await asyncio.wait_for(loading, self.limits.load)
        except TimeoutError:
            self._pause = float("inf")  # another attempt would hang as well
            self._warn(f"loading took more than {self.limits.load:,} seconds")
        except RegardError as error:
            self._record_failure(error.message)
        except (OSError, MemoryError) as error:
            self._record_failure(getattr(error, "strerror", None) or type(error).__name__)
        except Exception as error:
            self._record_failure(type(error).__name__, error)
        else:
            self._models.replace(self._name, loaded)
            self._last_warning = ""
            log.warning("%s: now serving a new checkpoint", self._name)

    def _is_due(self, stamp: Stamp) -> bool:
        """Return whether to load now: the files are new, and no longer changing, as during a copy."""
        if stamp != self._last_stamp:
            self._last_stamp = stamp
            self._failures = self._pause = 0
            return False
        if stamp == self._models.loaded_stamp(self._name):
            self._last_warning = ""
            return False
        self._pause -= 1
        return self._pause < 0

    def _record_failure(self, reason: str, unexpected: Exception | None = None) -> None:
        """Warn, and try again after a pause that doubles with each failure."""
        self._failures += 1
        self._pause = min(2**self._failures - 1, MAX_PAUSE)
        self._warn(reason, unexpected)

    def _warn(self, reason: str, unexpected: Exception | None = None) -> None:
        """Log a reason once, until it changes or loading succeeds."""
        if reason != self._last_warning:
            self._last_warning = reason
            log.warning(
                "%s: cannot load the new checkpoint, still serving the previous one: %s",
                self._name,
                reason,
                exc_info=unexpected,
            )
