"""Connect to a Ray cluster. Ray is an optional dependency: pip install "regard[ray]"."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from regard.errors import ConfigError

OPTION = "--ray"  # the place that errors name


def require_ray() -> None:
    """Raise ConfigError if Ray Data is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send nothing to the makers of Ray
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"it needs Ray, which is not installed ({error})", where=OPTION, fix='pip install "regard[ray]"'
        ) from None


@contextmanager
def connect(address: str) -> Iterator[None]:
    """Connect to a Ray cluster while the block runs, unless this process is connected already.

    Args:
        address: HOST:PORT of the head node; `auto` for the cluster that runs on this machine; `local` for a new one.

    Raises:
        ConfigError: There is no cluster at this address, or Ray is not installed.
    """
    require_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    with _kept_signal_handlers(), warnings.catch_warnings(action="ignore"):  # advice on later versions of Ray
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ConfigError(
                f"there is no Ray cluster at `{address}`: {first_line(error)}",
                where=OPTION,
                fix="start one with `ray start --head`, or give `--ray local` to use this machine",
            ) from None
    try:
        yield
    finally:
        ray.shutdown()


def first_line(error: Exception) -> str:
    """Return the first line of the message of an error of Ray, which has many."""
    return next(iter(str(error).strip().splitlines()), repr(error))


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Restore the handlers of signals that Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
