"""The live line of training: in a terminal, in a notebook, and none where nothing may be printed."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

import pytest
from rich.console import Console

from regard.console import say
from regard.training import progress
from regard.training.progress import ConsoleReporter, TerminalLine, live_line
from regard.training.training_log import StepMetrics

PRINTED: list[Any] = []


def metrics(step: int) -> StepMetrics:
    return StepMetrics(step, 10, 0, 2.5, 1000.0, 0.001, float(step), float(10 - step))


@dataclass
class FakeDisplay:
    """What IPython displays: the HTML of each handle, in the order in which it is drawn."""

    handles: ClassVar[list[FakeDisplay]] = []
    drawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handles.append(self)

    def display(self, html: str) -> None:
        self.drawn.append(html)

    update = display


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[FakeDisplay]:
    """Replace IPython."""
    FakeDisplay.handles.clear()
    package: Any = ModuleType("IPython")
    package.display = ModuleType("IPython.display")
    package.display.HTML, package.display.DisplayHandle = str, FakeDisplay
    package.display.display = lambda *objects, **options: PRINTED.extend(objects)  # Rich prints with it
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", package.display)
    return FakeDisplay.handles


def test_a_notebook_has_one_live_line(notebook: list[FakeDisplay], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_INTERVAL", 0.0)
    reporter = ConsoleReporter(Console(force_jupyter=True), "chrf")
    for step in range(1, 4):
        reporter.on_step(metrics(step))
    reporter.on_checkpoint(3, {"chrf": 40.0}, best=True)
    reporter.on_step(metrics(4))
    reporter.close()
    (line,) = notebook
    assert all(f'value="0.{step}000"' in line.drawn[step] for step in (1, 2, 3, 4))
    assert "step 4  loss 2.500" in line.drawn[4] and "chrf 40.00" in line.drawn[4]
    assert "progress" not in line.drawn[-1] and "step 4" in line.drawn[-1]


def test_a_live_line_is_not_redrawn_at_each_step(notebook: list[FakeDisplay], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_INTERVAL", 1e9)
    reporter = ConsoleReporter(Console(force_jupyter=True), "<chrf>")
    reporter._best = 1.0
    for step in range(1, 100):
        reporter.on_step(metrics(step))
    reporter.close()
    assert len(notebook[0].drawn) == 2
    assert "step 99" in notebook[0].drawn[-1] and "&lt;chrf&gt;" in notebook[0].drawn[-1]


def test_a_message_is_not_cut_in_a_notebook(notebook: list[FakeDisplay]) -> None:
    PRINTED.clear()
    say("word " * 30, Console(force_jupyter=True, width=40))
    assert [len(message.text.splitlines()) for message in PRINTED] == [4]


def test_a_terminal_has_a_live_line_and_a_quiet_console_none(notebook: list[FakeDisplay]) -> None:
    terminal = live_line(Console(file=io.StringIO(), force_terminal=True))
    assert isinstance(terminal, TerminalLine)
    terminal.stop()
    for console in (
        Console(quiet=True, force_jupyter=True),
        Console(quiet=True, force_terminal=True),
        Console(file=io.StringIO()),
    ):
        assert live_line(console) is None
    assert notebook == []


def test_a_notebook_without_ipython_prints_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    assert live_line(Console(force_jupyter=True)) is None
