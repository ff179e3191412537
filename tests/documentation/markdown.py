"""The commands and the Python of a Markdown page, each with the output that the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

FILE_NAME = re.compile(r"^`([\w.]+)`:\s*\Z", flags=re.MULTILINE)  # above the block that is the file

Language = Literal["shell", "python", "file"]


@dataclass(frozen=True)
class Step:
    """A command line, a block of Python, or a file that the page asks its reader to write.

    Attributes:
        language: What runs it.
        line: The line of the page where it starts, counted from 1.
        code: The command line, or the block.
        output: The lines that the page shows as its output.
        name: The name of the file.
    """

    language: Language
    line: int
    code: str
    output: tuple[str, ...] = ()
    name: str = ""


def steps(page: str) -> list[Step]:
    """Return what a reader of a page would run, in order.

    In a `sh` block each line is a command. In a `console` block commands begin with `$ `, and other lines are output. A
    line that ends in a backslash continues on the next. A block without a language that follows a `sh` or `python`
    block directly has the output of its last step. A block under "`NAME`:" is a file.
    """
    page_steps: list[Step] = []
    end_of_step: int | None = None  # where the last block ended, if output may follow
    for match in FENCE.finditer(page):
        language, text = match.groups()
        line = page.count("\n", 0, match.start()) + 2
        is_adjacent = end_of_step is not None and not page[end_of_step : match.start()].strip()
        end_of_step = None
        name = FILE_NAME.search(page, 0, match.start())
        if name is not None:
            page_steps.append(Step("file", line, text, name=name[1]))
        elif language == "console":
            page_steps += _console(text, line)
        elif language == "sh":
            page_steps += _commands(text, line)
            end_of_step = match.end()
        elif language == "python":
            page_steps.append(Step("python", line, text))
            end_of_step = match.end()
        elif not language and is_adjacent:
            last = page_steps.pop()
            page_steps.append(Step(last.language, last.line, last.code, tuple(text.splitlines())))
    return page_steps


def _joined_lines(text: str, first: int) -> Iterator[tuple[int, str]]:
    """Yield each line and its number. A line that ends in a backslash continues on the next."""
    start, parts = first, []
    for number, line in enumerate(text.splitlines(), start=first):
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield start, "".join(parts)
            start, parts = number + 1, []


def _commands(text: str, first: int) -> Iterator[Step]:
    for number, line in _joined_lines(text, first):
        if line.strip() and not line.startswith("#"):
            yield Step("shell", number, line)


def _console(text: str, first: int) -> Iterator[Step]:
    command: tuple[int, str] | None = None
    output: list[str] = []
    for number, line in [*_joined_lines(text, first), (0, "$ ")]:
        if not line.startswith("$ "):
            output.append(line)
            continue
        if command is not None:
            yield Step("shell", *command, tuple(output))
        command, output = (number, line[2:]), []
