"""Settings for all tests."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from hypothesis import settings

from regard.nn.kernels import native
from regard.nn.kernels.build import BuildError
from regard.nn.kernels.levels import LEVELS
from regard.plugins.registry import LOADED

# Collection makes millions of objects that live to the end: let the garbage collector never look at them.
gc.disable()

# A seed is for all devices. PyTorch keeps it for those that the machine lacks, with stack traces.
for _backend in (torch.cuda, torch.xpu, torch.mtia):
    if not _backend.is_available():
        setattr(_backend, "manual_seed_all", lambda seed: None)  # noqa: B010

# PyTorch has 40 loggers that do not propagate. pytest adds two handlers to each of them and removes them, three times a
# test, which takes 0.6 ms. Its handlers of the root logger get the same records from loggers that propagate. Those with
# `__` in their names trace the compiler: they stay as they are, since their records would be printed.
for _logger in logging.root.manager.loggerDict.values():
    if isinstance(_logger, logging.Logger) and _logger.name.startswith("torch") and "__" not in _logger.name:
        _logger.propagate = True

# No example has a deadline: its time depends on the machine and its load. CI draws the same examples in each run.
settings.register_profile("regard", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("regard")

# A shell that starts the tests in the background, or under nohup, ignores signals that the tests send.
for _name in ("SIGHUP", "SIGQUIT"):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), signal.SIG_DFL)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread: several divide PyTorch's products by the number of rows, and round differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_plugins() -> Iterator[None]:
    """Start without plugins, as a new process does, and unload those that a test has loaded."""
    with mock.patch.dict(LOADED, clear=True):
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which levels of the kernels this machine could test, since a green run on one CPU says nothing of others."""
    try:
        executable = native.executable()
    except BuildError as error:
        terminalreporter.write_line(f"kernels: none tested: {error}")
        return
    missing = [f"{name} ({level.features})" for name, level in LEVELS.items() if name not in executable]
    terminalreporter.write_line(
        f"kernels tested: {', '.join(executable)}; not on this CPU: {', '.join(missing) or 'none'}"
    )
