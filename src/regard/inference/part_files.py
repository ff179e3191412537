"""The folder of a job that translates a large file in parts: the lines of each part, and the results of whole parts.

A part's results are written atomically, so a file with results is a whole part, whichever process wrote it and however
it ended. A job continues with the parts that are missing.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from regard.errors import ConfigError, DataError
from regard.files import write_atomic
from regard.inference.line_output import LineOutput
from regard.inference.translation import Constraints

JOB = "job.json"  # written last when the lines are divided
_OWN_FILE = re.compile(r"(\d{6,}(\.source)?|job)\.json(\.part\d*)?")
PART_LINES = 2000  # as many as Translator.stream sorts by length at a time, so batches and scores are the same


@dataclass(frozen=True)
class Part:
    """Some lines of the input.

    Attributes:
        first: The number of the first line, from 0.
        lines: The lines.
        constraints: The constraints of each line; None if there are none.
    """

    first: int
    lines: list[str]
    constraints: list[Constraints] | None = None


@dataclass(frozen=True)
class PartFiles:
    """The folder of a job.

    Attributes:
        folder: The folder.
        count: The number of parts.
    """

    folder: Path
    count: int

    @classmethod
    def open(cls, folder: Path, job: Mapping[str, Any], divide: Callable[[], Iterable[Part]]) -> Self:
        """Open the folder of a job, or create it and write the lines of all parts.

        Args:
            folder: The folder.
            job: JSON values that determine the results: the model, the input and the options.
            divide: Returns the parts of the input.

        Raises:
            ConfigError: The folder has parts of another job.
            DataError: The folder cannot be read or written.
        """
        try:
            if (folder / JOB).is_file():
                return cls(folder, _open_existing(folder, job))
            _empty(folder)
            folder.mkdir(parents=True, exist_ok=True)
            files = cls(folder, 0)
            count = 0
            for part in divide():
                table: dict[str, Any] = {"first": part.first, "lines": part.lines, "constraints": None}
                if part.constraints is not None:
                    table["constraints"] = [asdict(constraints) for constraints in part.constraints]
                files._source(count).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
                count += 1
            write_atomic(folder / JOB, json.dumps({"parts": count, "job": job}, ensure_ascii=False))
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"it cannot be written: {reason}", where=folder, fix="free some disk space") from None
        return cls(folder, count)

    def missing(self) -> list[int]:
        """Return the numbers of the parts without results."""
        return [number for number in range(self.count) if not self.is_whole(number)]

    def is_whole(self, number: int) -> bool:
        """Return whether a part has results."""
        return self._results(number).is_file()

    def load_part(self, number: int) -> Part:
        """Return the lines of a part. Raises OSError."""
        table = json.loads(self._source(number).read_text(encoding="utf-8"))
        constraints = table["constraints"]
        if constraints is not None:
            constraints = TypeAdapter(list[Constraints]).validate_python(constraints)
        return Part(table["first"], table["lines"], constraints)

    def save_results(self, number: int, outputs: Sequence[LineOutput]) -> None:
        """Write the results of a part. Raises OSError."""
        write_atomic(self._results(number), json.dumps([asdict(output) for output in outputs], ensure_ascii=False))

    def load_results(self, number: int) -> list[LineOutput]:
        """Return the results of a part. Raises DataError if they are damaged."""
        path = self._results(number)
        try:
            return [LineOutput.from_json(table) for table in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"the file is damaged: {error}", where=path, fix="delete it, and start again") from None

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _source(self, number: int) -> Path:
        return self.folder / f"{number:06}.source.json"

    def _results(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"


def divide(lines: Iterator[str], constraints: Iterator[Constraints] | None) -> Iterator[Part]:
    """Yield parts of PART_LINES lines."""
    first = 0
    while chunk := list(islice(lines, PART_LINES)):
        yield Part(first, chunk, None if constraints is None else list(islice(constraints, len(chunk))))
        first += len(chunk)


def _empty(folder: Path) -> None:
    """Delete the files of a job that was interrupted before all lines were divided. Raise ConfigError for others."""
    entries = list(folder.iterdir()) if folder.exists() else []
    if not all(_OWN_FILE.fullmatch(entry.name) for entry in entries):
        raise ConfigError("the folder has other files", where=folder, fix="choose another output")
    for entry in entries:
        entry.unlink()


def _open_existing(folder: Path, job: Mapping[str, Any]) -> int:
    try:
        table = json.loads((folder / JOB).read_text(encoding="utf-8"))
        is_same, count = table["job"] == json.loads(json.dumps(job)), int(table["parts"])
    except (ValueError, KeyError, TypeError):
        is_same, count = False, 0
    if not is_same:
        raise ConfigError(
            "it has parts of another translation: the model, the input or the options were different",
            where=folder,
            fix="delete the folder, or choose another output",
        )
    return count
