"""The signals that ask a command to end: SIGTERM, SIGHUP (its terminal is gone), SIGQUIT."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


def ending_signals() -> list[signal.Signals]:
    """Return SIGTERM, and those of SIGHUP and SIGQUIT that the system has and nobody ignores; nohup ignores SIGHUP."""
    others = [getattr(signal, name) for name in ("SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [signal.SIGTERM, *(number for number in others if signal.getsignal(number) != signal.SIG_IGN)]


@contextmanager
def handled(numbers: Sequence[int], handler: Handler, *, restore: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Call `handler` for these signals inside; afterwards put back the old handlers where `restore` says so.

    Outside the main thread, which alone receives signals, nothing changes.
    """
    before = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        if restore():
            for number, old in before.items():
                signal.signal(number, old)


@contextmanager
def interrupting() -> Iterator[list[signal.Signals]]:
    """Let `ending_signals` raise KeyboardInterrupt inside, as Ctrl-C does; yield a list of those that came."""
    received: list[signal.Signals] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    with handled(ending_signals(), interrupt):
        yield received
