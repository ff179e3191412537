"""Rows of the table of gpu.py, and the table itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

Values = dict[str, Any]


@dataclass
class Row:
    """What was measured of a system, or why nothing was.

    Attributes:
        stage: The stage.
        system: The system.
        values: Values by the name of their column; None if a value is not known.
        error: The reason, in one line, if the measurement failed.
    """

    stage: str
    system: str
    values: Values = field(default_factory=dict)
    error: str = ""


class Report:
    """Collects the rows of a stage and writes each one at once, so that a stage that is killed keeps its rows."""

    def __init__(self, stage: str, write: Callable[[Row], None]) -> None:
        self._stage, self._write = stage, write

    @contextmanager
    def attempt(self, system: str) -> Iterator[Values]:
        """Add a row with the values that the context sets. An error becomes the error of the row."""
        row = Row(self._stage, system)
        try:
            yield row.values
        except ImportError as error:
            row.error = f"not installed: {describe(error)}"
        except Exception as error:
            row.error = describe(error)
        self._write(row)


def describe(error: BaseException) -> str:
    """Return the type and the message of an error in one line of limited length."""
    return shorten(f"{type(error).__name__}: {error}")


def shorten(text: str, length: int = 300) -> str:
    """Return a text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def to_json(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Return facts about the machine, and all rows, as JSON."""
    return json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def to_markdown(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Return facts about the machine, and a table for each stage."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    for stage in dict.fromkeys(row.stage for row in rows):
        lines += ["", f"### {stage}", "", *_table([row for row in rows if row.stage == stage])]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    has_errors = any(row.error for row in rows)
    yield _line(["system", *names, *["error"] * has_errors])
    yield _line(["---", *["---:"] * len(names), *["---"] * has_errors])
    for row in rows:
        yield _line([_cell(cell) for cell in (row.system, *map(row.values.get, names), *[row.error] * has_errors)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:,}" if isinstance(value, (int, float)) else str(value)
    return text.replace("|", "/")
