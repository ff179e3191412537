"""Report progress on the console: a live line in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from regard.html.page import escape
from regard.training.training_log import Reporter, StepMetrics

PLAIN_INTERVAL = 30.0  # seconds between two lines where there is no live line
REDRAW_INTERVAL = 0.25  # seconds between two drawings of the live line of a notebook


class LiveLine(Protocol):
    """A bar with a text, redrawn in place."""

    def update(self, fraction: float, text: str) -> None:
        """Draw the bar up to this fraction, and the text after it."""

    def stop(self) -> None:
        """End the drawing."""


class TerminalLine:
    """The live line of a terminal, which disappears when it ends."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(BarColumn(bar_width=8), TextColumn("{task.description}"), console=console, transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()

    def update(self, fraction: float, text: str) -> None:
        """Draw the bar up to this fraction, and the text after it."""
        self._bar.update(self._task, completed=fraction, description=text)

    def stop(self) -> None:
        """Remove the line."""
        self._bar.stop()


class NotebookLine:
    """The live line of a notebook, as HTML: widgets, which Rich needs for its own, need not be installed."""

    def __init__(self) -> None:
        from IPython.display import HTML, DisplayHandle

        self._html, self._handle = HTML, DisplayHandle()
        self._handle.display(HTML(""))
        self._last_drawn = 0.0
        self._text = ""

    def update(self, fraction: float, text: str) -> None:
        """Draw the bar up to this fraction, and the text after it, if the last drawing is old enough."""
        self._text = text
        if time.monotonic() - self._last_drawn >= REDRAW_INTERVAL:
            self._last_drawn = time.monotonic()
            bar = f'<progress value="{fraction:.4f}" max="1" style="width: 8em"></progress>'
            self._handle.update(self._html(f"{bar} <code>{escape(text)}</code>"))

    def stop(self) -> None:
        """Leave the last text without the bar."""
        self._handle.update(self._html(f"<code>{escape(self._text)}</code>"))


def live_line(console: Console) -> LiveLine | None:
    """Return the live line that a console can show; None if it shows none."""
    if console.quiet:
        return None
    if console.is_jupyter:
        try:
            return NotebookLine()
        except ImportError:
            return None
    return TerminalLine(console) if console.is_terminal else None


class ConsoleReporter(Reporter):
    """Prints step, loss, speed, best dev score, elapsed time and the longest remaining time, in 80 columns."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric
        self._best: float | None = None
        self._last_line = time.monotonic()
        self._live: LiveLine | None = None
        self._has_started = False

    def on_step(self, metrics: StepMetrics) -> None:
        """Redraw the live line; where there is none, print a line every PLAIN_INTERVAL seconds."""
        if not self._has_started:  # not before: what is printed first stays above the line of a notebook
            self._has_started, self._live = True, live_line(self._console)
        if self._live is not None:
            fraction = metrics.seconds / max(metrics.seconds + metrics.seconds_left, 1e-9)
            self._live.update(fraction, self._line(metrics))
        elif time.monotonic() - self._last_line >= PLAIN_INTERVAL:
            self._last_line = time.monotonic()
            self._console.print(self._line(metrics), highlight=False, soft_wrap=True)

    def _line(self, metrics: StepMetrics) -> str:
        best = "" if self._best is None else f"  {self._metric} {self._best:.2f}"
        return (
            f"step {metrics.step:,}  loss {metrics.loss:.3f}  {metrics.tokens_per_second:,.0f} tokens/s"
            f"{best}  {_format_time(metrics.seconds)}, {_format_time(metrics.seconds_left)} left"
        )

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Print the dev scores."""
        if best:
            self._best = scores[self._metric]
        shown = "  ".join(
            f"{name} {value:.3f}" if name == "loss" else f"{name} {value:.2f}" for name, value in scores.items()
        )
        mark = "  (best so far)" if best else ""
        self._console.print(f"step {step:,}: dev {shown}{mark}", highlight=False, soft_wrap=True)

    def on_notice(self, step: int, text: str) -> None:
        """Print the notice."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """End the live line."""
        if self._live is not None:
            self._live.stop()


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
