"""Use all cores: searches of one server run in several worker processes, which share the weights.

HTTP, the queue, the limits, the metrics and reloading stay in one process, so all guarantees of a server hold for any
number of workers, and batches are as large as the queue allows. The batcher has one thread per worker. Each run has a
model process that forks its workers (model_process.py). A worker that dies is replaced, and its batch is translated
again.
"""

from __future__ import annotations

import atexit
import copy
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import TYPE_CHECKING, Any, TypeVar

from regard.errors import CheckpointError, ConfigError, RegardError
from regard.inference.translator import Translator
from regard.plugins.registry import plugin_sources
from regard.runtime import choose_device
from regard.serving.limits import busy
from regard.serving.model_process import CANCEL, Call, run_model_process, signals_blocked

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from regard.serving.models import LoadedRun

T = TypeVar("T")
log = logging.getLogger("regard.serving")
ATTEMPTS = 3  # workers that a call may kill before it fails
POLL = 0.05  # seconds between two checks whether a search should be interrupted
CANCEL_TIMEOUT = 10.0  # seconds for a worker to reach the next step of its search
DESCRIPTORS = 8  # file descriptors of a model process; each worker needs one more
_running: weakref.WeakSet[ModelProcess] = weakref.WeakSet()


def check_workers(workers: int, device: str) -> None:
    """Raise ConfigError if several workers cannot be used here."""
    if workers == 1:
        return
    if not sys.platform.startswith("linux"):
        raise ConfigError(
            "several workers need Linux: elsewhere, processes cannot share a model's memory safely",
            where="--workers",
            fix="leave --workers out; to use more cores, run several servers",
        )
    chosen = choose_device(device)
    if chosen.type != "cpu":
        raise ConfigError(
            f"several workers need the CPU, but the device is {chosen.type}",
            where="--workers",
            fix="add --device cpu, or leave --workers out",
        )


class Deaths:
    """Counts processes that ended unexpectedly."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Count a process."""
        with self._lock:
            self.count += 1


def load_in_process(load: Callable[[], LoadedRun], name: str, workers: int, deaths: Deaths) -> LoadedRun:
    """Load a run in a model process and start its workers. They end when nothing refers to the result any more.

    Args:
        load: Loads the run. A new process must be able to import it.
        name: The name of the run, for messages.
        workers: The number of workers.
        deaths: Counts the processes that end unexpectedly.

    Raises:
        RegardError: As `load` does, or the process ended.
    """
    process = ModelProcess(load, name, workers, deaths)
    loaded = process.start()
    served = (
        replace(model, translator=RemoteTranslator(model.translator, index, process))
        for index, model in enumerate(loaded.served)
    )
    return replace(loaded, served=tuple(served))


class ModelProcess:
    """The server's side of a model process and its workers."""

    def __init__(self, load: Callable[[], LoadedRun], name: str, workers: int, deaths: Deaths) -> None:
        self._load = load
        self._name = name
        self._workers = workers
        self._deaths = deaths
        self._lock = threading.Lock()  # for everything below
        self._idle: list[Worker] = []
        self._process: SpawnProcess | None = None
        self._control: Connection | None = None  # the model process ends when it is closed
        _running.add(self)

    def start(self) -> LoadedRun:
        """Load the run and start the workers. Return the run without its models. Raise RegardError on failure."""
        with self._lock:
            loaded = self._launch()
            self._idle = [self._fork() for _ in range(self._workers)]
        return loaded

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            if self._control is not None:
                self._control.close()

    def call(self, call: Call, check: Callable[[], None] | None) -> Any:
        """Run a call in an idle worker and return its result; block until it is done.

        Args:
            call: What to call.
            check: Called regularly; an exception from it interrupts the call.

        Raises:
            RuntimeError: The call has ended ATTEMPTS workers.
            Exception: From the call, or from `check`.
        """
        for _ in range(ATTEMPTS):
            worker = self._take()
            try:
                result, error = worker.run(call, check)
            except (EOFError, OSError):  # the worker has ended
                with self._lock:
                    self._idle.append(self._new_worker())
                continue
            with self._lock:
                self._idle.append(worker)
            if error is None:
                return result
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame, and that to the model
        raise RuntimeError(f"{self._name}: {ATTEMPTS} worker processes ended during the same search")

    def _take(self) -> Worker:
        """Return an idle worker, or a new one if that has ended. Raise RequestRejected if none can be started."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            return worker if worker is not None and worker.is_alive else self._new_worker()

    def _new_worker(self) -> Worker:
        """Start a worker; if the model process has ended, load the run again."""
        try:
            with suppress(EOFError, OSError):
                return self._fork()
            self._launch()
            return self._fork()
        except (RegardError, EOFError, OSError) as error:
            log.error("%s: cannot start a worker process: %s", self._name, error)
            raise busy("the model is not loaded") from None

    def _launch(self) -> LoadedRun:
        """Start a model process, and a thread that logs how its processes end."""
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # otherwise importing NumPy starts threads
        self._control, control = Pipe()
        events, reports = Pipe(duplex=False)
        self._process = get_context("spawn").Process(
            target=run_model_process, args=(control, reports, self._load, plugin_sources()), name=self._name
        )
        resource_tracker.ensure_running()  # it unblocks signals
        with signals_blocked(), control, reports:
            self._process.start()
        try:
            loaded = events.recv()
        except (EOFError, OSError):
            self._process.join()
            raise CheckpointError(
                f"the process that loads the checkpoint {_describe_exit(self._process.exitcode)}",
                where=self._name,
                fix="it may be out of memory: use a smaller model",
            ) from None
        if isinstance(loaded, Exception):
            raise loaded
        watch = (self._name, events, self._process, self._deaths)
        threading.Thread(target=_watch, args=watch, name="watch", daemon=True).start()
        return loaded  # type: ignore[no-any-return]

    def _fork(self) -> Worker:
        """Start a worker. Raise EOFError or OSError if the model process has ended."""
        assert self._control is not None and self._process is not None and self._process.pid is not None
        connection, remote = Pipe()
        with remote:
            send_handle(self._control, remote.fileno(), self._process.pid)
        return Worker(connection)


class Worker:
    """A connection to a worker process. It answers one call at a time."""

    def __init__(self, connection: Connection) -> None:
        """Wait until the process has started. Raise EOFError if it does not."""
        self._connection = connection
        self.pid: int = connection.recv()

    @property
    def is_alive(self) -> bool:
        """Whether an idle worker is alive: it sends nothing, so only the end of its process can be read."""
        return not self._connection.poll()

    def run(self, call: Call, check: Callable[[], None] | None) -> tuple[Any, Exception | None]:
        """Return the result of a call, and the exception that it or `check` raised.

        Raises:
            EOFError: The process has ended.
            OSError: The same.
        """
        self._connection.send(call)
        while not self._connection.poll(POLL):
            try:
                if check is not None:
                    check()
            except Exception as error:
                self._cancel()
                return None, error
        result: tuple[Any, Exception | None] = self._connection.recv()
        return result

    def _cancel(self) -> None:
        """Interrupt the call. Kill a worker that does not react."""
        with suppress(EOFError, OSError):  # the process has ended
            self._connection.send(CANCEL)
            if not self._connection.poll(CANCEL_TIMEOUT):
                os.kill(self.pid, signal.SIGKILL)
            self._connection.recv()


class RemoteTranslator(Translator):
    """A translator whose model is in worker processes. It has tokenizers and settings, but no `model`."""

    def __init__(self, translator: Translator, index: int, process: ModelProcess) -> None:
        """Create it from a translator without a model, the place of that in `LoadedRun.served`, and its process."""
        vars(self).update(vars(translator))
        self._index = index
        self._process = process
        self._check: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<RemoteTranslator: {self.source_language or '?'} to {self.target_language or '?'}>"

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function in a worker, with the translator that has the model as its first argument."""
        call = Call(self._index, function, arguments, options, is_interruptible=self._check is not None)
        return self._process.call(call, self._check)

    def interruptible(self, check: Callable[[], None]) -> RemoteTranslator:
        """See Translator. `check` is called from time to time."""
        translator = copy.copy(self)
        translator._check = check
        return translator

    def translate(self, text: Any, **options: Any) -> Any:
        """See Translator."""
        return self.call(Translator.translate, text, **options)

    def score(self, pairs: Iterable[tuple[str, str]], *, batch_size: int = 64) -> Iterator[float]:
        """See Translator."""
        return iter(self.call(_score, list(pairs), batch_size))


def call_with(translator: Translator, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function with a translator and other arguments, where the model is."""
    if isinstance(translator, RemoteTranslator):
        result: T = translator.call(function, *arguments)
        return result
    return function(translator, *arguments)


def _score(translator: Translator, pairs: list[tuple[str, str]], batch_size: int) -> list[float]:
    return list(translator.score(pairs, batch_size=batch_size))


def _watch(name: str, events: Connection, process: SpawnProcess, deaths: Deaths) -> None:
    """Log how workers end, until the model process ends; then log how that ended."""
    with suppress(EOFError, OSError), events:
        while True:
            pid, status = events.recv()
            if status:
                deaths.add()
                log.warning("%s: worker process %d %s; a new one replaces it", name, pid, _describe_exit(status))
    process.join()
    if process.exitcode:
        deaths.add()
        log.warning(
            "%s: the process that holds the model %s; the checkpoint is loaded again",
            name,
            _describe_exit(process.exitcode),
        )


def _describe_exit(status: int | None) -> str:
    if status is not None and status < 0:
        with suppress(ValueError):  # a real-time signal
            return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"


@atexit.register
def _close_all() -> None:
    """End all processes before multiprocessing waits for them."""
    for process in list(_running):
        process.close()
