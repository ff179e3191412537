"""Run blocking functions in daemon threads.

The interpreter joins the threads of an executor when it exits, so a call that hangs, for example on a dead network
disk, would keep the server from exiting. Daemon threads are not joined.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def start_thread(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start a daemon thread that calls `function`; return a future of its result.

    Call it while an event loop is running.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # now it cannot be cancelled, so the thread can always set it

    def run() -> None:
        try:
            value = function()
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(value)

    threading.Thread(target=run, name=name, daemon=True).start()
    return asyncio.wrap_future(result)


def end_process() -> None:
    """Exit with status 0 at once if daemon threads are running; otherwise return.

    A normal exit can crash in a thread that is inside a native library.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # the terminal may be closed
                stream.flush()
        os._exit(0)
