"""The processes that hold the weights of `regard serve --workers N`.

The *model process* of a run loads the checkpoint and forks the workers. They share its memory, whatever form the
weights have (float32, 8 bits, packed for a kernel): weights are never written, so the kernel never copies their pages.
A model process has one thread and computes nothing after it has loaded, which makes a fork safe. A worker translates
one batch at a time.

A process ends when the server that started it ends, even by SIGKILL. It blocks the signals of a terminal and of a
service manager, which reach every process: the server decides when its workers end.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from regard.errors import ConfigError
from regard.inference.translator import Translator
from regard.plugins.loading import load_plugin

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

    from regard.serving.models import LoadedRun

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
CANCEL = None  # the message that interrupts a call
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


@dataclass(frozen=True)
class Call:
    """A function to call in a worker, with a translator as its first argument.

    Attributes:
        index: The place of the translator in `LoadedRun.served`.
        function: A function that can be pickled.
        arguments: Its other arguments.
        options: Its keyword arguments.
        is_interruptible: Whether CANCEL interrupts the call between two steps of a search.
    """

    index: int
    function: Callable[..., Any]
    arguments: Sequence[Any] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    is_interruptible: bool = False


class CancelledError(Exception):
    """The server has sent CANCEL."""


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block SIGNALS in this thread. Processes that it starts meanwhile block them for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in SIGNALS})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_model_process(
    control: Connection, reports: Connection, load: Callable[[], LoadedRun], plugins: Sequence[str]
) -> None:
    """Load a run and fork workers until the server closes `control`.

    Args:
        control: Receives file descriptors. Each is the connection of a worker to fork.
        reports: Sends the run without its models, or the exception that loading raised; then the process id and the
            exit code of each worker that has ended.
        load: Loads the run.
        plugins: What the plugins are loaded from.
    """
    torch.set_num_threads(1)
    try:
        for plugin in plugins:
            load_plugin(plugin)
        loaded = load()
        _check_threads()
    except Exception as error:
        reports.send(_portable(error))
        return
    reports.send(_without_models(loaded))
    translators = [served.translator for served in loaded.served]
    del loaded
    _prepare_memory()
    workers: list[ForkProcess] = []
    try:
        while True:
            ready = wait([control, *(worker.sentinel for worker in workers)])
            for worker in [worker for worker in workers if worker.sentinel in ready]:
                worker.join()
                workers.remove(worker)
                reports.send((worker.pid, worker.exitcode))
            if control in ready:
                workers.append(_fork((control, reports), recv_handle(control), translators))
    except (EOFError, OSError):  # the server has closed the connection or has ended
        os._exit(0)


def _prepare_memory() -> None:
    """Free what loading has left, and keep the garbage collector from copying shared pages.

    Workers would write to freed pages, so that this process and each of them would have a copy.
    """
    gc.collect()
    gc.freeze()  # the collector writes to the objects that it examines
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc
        library.malloc_trim(0)


def _check_threads() -> None:
    """Raise ConfigError if this process has several threads: after a fork, their locks would stay locked."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise ConfigError(
            "loading the model has started threads, so worker processes cannot share it",
            where="--workers",
            fix="leave --workers out; to use more cores, run several servers",
        )


def _without_models(loaded: LoadedRun) -> LoadedRun:
    """Return a copy that has tokenizers and settings, but no models."""
    served = []
    for model in loaded.served:
        translator = copy.copy(model.translator)
        del translator.model, translator.shortlist
        served.append(replace(model, translator=translator))
    return replace(loaded, served=tuple(served))


def _fork(inherited: Sequence[Connection], descriptor: int, translators: Sequence[Translator]) -> ForkProcess:
    worker = get_context("fork").Process(
        target=_work, args=(inherited, descriptor, translators, os.getpid()), daemon=True
    )
    try:
        worker.start()
    finally:
        os.close(descriptor)
    return worker


def _work(inherited: Sequence[Connection], descriptor: int, translators: Sequence[Translator], parent: int) -> None:
    """Answer calls until the server closes the connection. The first message is the id of this process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        return
    for model_connection in inherited:  # otherwise they would outlast the model process
        model_connection.close()
    connection = Connection(descriptor)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)

    def check() -> None:
        if poller.poll(0):
            raise CancelledError

    connection.send(os.getpid())
    while True:
        try:
            call = connection.recv()
            if call is not CANCEL:  # otherwise it arrived after the end of its call
                connection.send(_answer(call, translators, check, connection))
        except (EOFError, OSError):  # the server has closed the connection or has ended
            return


def _answer(
    call: Call, translators: Sequence[Translator], check: Callable[[], None], connection: Connection
) -> tuple[Any, Exception | None]:
    """Return the result of a call, and the exception that it raised."""
    translator = translators[call.index]
    try:
        if call.is_interruptible:
            translator = translator.interruptible(check)
        return call.function(translator, *call.arguments, **call.options), None
    except CancelledError as error:
        connection.recv()  # CANCEL
        return None, error
    except Exception as error:
        return None, _portable(error)


def _portable(error: Exception) -> Exception:
    """Return an exception that can be pickled, with the traceback as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
