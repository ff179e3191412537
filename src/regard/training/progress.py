"""Progress for a person: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from regard.training.training_log import StepMetrics

PLAIN_EVERY = 30.0  # seconds between two lines where there is no terminal


class ConsoleReporter:
    """Step, loss, tokens a second, the best dev score, the time gone by and the most that is left: in 80 columns."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric
        self._best: float | None = None
        self._last_line = time.monotonic()
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            self._bar = Bar(BarColumn(bar_width=8), TextColumn("{task.description}"), console=console, transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def on_step(self, progress: StepMetrics) -> None:
        """Redraw, or now and then print a line."""
        if self._bar is not None:
            share = progress.seconds / max(progress.seconds + progress.seconds_left, 1e-9)
            self._bar.update(self._task, completed=share, description=self._line(progress))
        elif time.monotonic() - self._last_line >= PLAIN_EVERY:
            self._last_line = time.monotonic()
            self._console.print(self._line(progress), highlight=False, soft_wrap=True)

    def _line(self, progress: StepMetrics) -> str:
        best = "" if self._best is None else f"  {self._metric} {self._best:.2f}"
        return (
            f"step {progress.step:,}  loss {progress.loss:.3f}  {progress.tokens_per_second:,.0f} tokens/s"
            f"{best}  {_clock(progress.seconds)}, {_clock(progress.seconds_left)} left"
        )

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """A line that stays."""
        if best:
            self._best = scores[self._metric]
        shown = "  ".join(
            f"{name} {value:.3f}" if name == "loss" else f"{name} {value:.2f}" for name, value in scores.items()
        )
        mark = "  (best so far)" if best else ""
        self._console.print(f"step {step:,}: dev {shown}{mark}", highlight=False, soft_wrap=True)

    def on_notice(self, step: int, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._bar is not None:
            self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
