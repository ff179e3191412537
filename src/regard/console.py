"""Messages and progress for a person. Both go to standard error: standard output is for results."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
Say = Callable[[str], None]


def say(text: str, console: Console | None = None, *, style: str | None = None, wrap: bool = False) -> None:
    """Print a message exactly as it is: nothing in it is markup, and nothing is highlighted.

    A notebook, which would cut long lines, wraps them.

    Args:
        text: One line, or several.
        console: Where to print; standard error if None.
        style: A rich style for the whole message, such as `dim` or `bold red`.
        wrap: On a terminal, wrap lines at words, and indent what follows. Not for commands that a user may copy.
    """
    console = console or Console(stderr=True)
    if wrap and console.is_terminal:
        text = "\n".join(_wrapped(line, console.width) for line in text.splitlines())
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=not console.is_jupyter)


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


@contextmanager
def status(text: str) -> Iterator[Say]:
    """Show a spinner and a text while the block runs. Yield a function that changes the text.

    Nothing is printed unless standard error is a terminal.
    """
    with Console(stderr=True).status(text) as spinner:
        yield lambda new_text: spinner.update(new_text)


def progress_bar(console: Console | None = None) -> Progress:
    """Return the live bar that every command shows: task, count, rate, elapsed and remaining time.

    It is drawn only on a terminal, and disappears when it ends. A task needs the field `count`, which `track` fills.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = console or Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def track(
    items: Iterable[T],
    description: str,
    total: int | None = None,
    *,
    measure: Callable[[T], int] | None = None,
    unit: str = "lines",
    bar: Progress | None = None,
) -> Iterator[T]:
    """Yield the items, and count them in a live bar.

    Args:
        items: The items; each counts when it has been produced.
        description: What is being done, such as `translating`.
        total: The number of items, if it is known.
        measure: The amount of work in an item, for the rate; each item counts as 1 if None.
        unit: The unit of the rate, which is shown as `unit/s`.
        bar: A `progress_bar` that is already shown; a new one if None.
    """
    if bar is None:
        with progress_bar() as bar:
            yield from track(items, description, total, measure=measure, unit=unit, bar=bar)
        return
    task = bar.add_task(description, total=total, count="")
    work = 0
    for number, item in enumerate(items, start=1):
        work += 1 if measure is None else measure(item)
        elapsed = bar.tasks[bar.task_ids.index(task)].elapsed or 0.0
        of_total = "" if total is None else f"/{total:,}"
        rate = f"  {work / elapsed:,.0f} {unit}/s" if elapsed else ""
        bar.update(task, completed=number, count=f"{number:,}{of_total}{rate}")
        yield item
    bar.remove_task(task)
