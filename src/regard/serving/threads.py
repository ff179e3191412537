"""Run blocking functions in daemon threads.

An executor's threads are joined when the event loop and the interpreter end. A call that hangs, say on a dead network
disk, would then keep the server from ending.
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
    """Start a daemon thread that calls `function`; return a future of its result. Needs a running event loop."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # it cannot be cancelled from now on, so the thread can always set it

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
    """End the process with status 0 where daemon threads are at work.

    The interpreter's own end may crash one that is inside a library. Without any, return.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # of a terminal that has gone
                stream.flush()
        os._exit(0)
