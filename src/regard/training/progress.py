"""Report progress on the console: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from regard.training.training_log import StepMetrics

PLAIN_INTERVAL = 30.0  # seconds between two lines outside a terminal


class ConsoleReporter:
    """Prints step, loss, speed, best dev score, elapsed time and the longest remaining time, in 80 columns."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric
        self._best: float | None = None
        self._last_line = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            columns = BarColumn(bar_width=8), TextColumn("{task.description}")
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def on_step(self, metrics: StepMetrics) -> None:
        """Redraw the live line; outside a terminal, print a line every PLAIN_INTERVAL seconds."""
        if self._bar is not None:
            fraction = metrics.seconds / max(metrics.seconds + metrics.seconds_left, 1e-9)
            self._bar.update(self._task, completed=fraction, description=self._line(metrics))
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
        """Remove the live line."""
        if self._bar is not None:
            self._bar.stop()


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
