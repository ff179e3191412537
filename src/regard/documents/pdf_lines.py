"""Extract the lines of a PDF: a script that reads the file from standard input and writes JSON.

It runs in a separate process, so that a file that takes too much memory or time cannot harm its caller. It imports
nothing of regard.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from typing import Any

MAX_MEMORY = 1 << 30  # bytes
MAX_SECONDS = 60  # of processor time
MAX_CHARACTERS = 20_000_000

Line = tuple[str, float, float, float, str]
"""Text, x and y of its start, font size, and font name."""


class _Lines:
    """The lines of a page, collected from the fragments that pypdf reports."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._parts: list[str] = []
        self._start = (0.0, 0.0)
        self._font = (0.0, "")  # of the longest fragment, whose length is `_longest`
        self._longest = 0

    def visit(self, text: str, cm: Any, tm: Any, font: Any, size: float) -> None:
        """Add a fragment with its matrices, its font and its size. A line feed in it ends a line."""
        scale = (abs(tm[0] * cm[0]) + abs(tm[1] * cm[1])) or 1.0
        x, y = tm[4] * cm[0] + tm[5] * cm[2] + cm[4], tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        name = _font_name(font)
        for index, part in enumerate(text.split("\n")):
            if index:
                self.end_line()
            if part.strip():
                if self._parts and abs(y - self._start[1]) > 0.6 * max(self._font[0], 1.0):
                    self.end_line()
                if not self._parts:
                    self._start = (float(x), float(y))
                if len(part) > self._longest:
                    self._longest, self._font = len(part), (float(size) * scale, name)
            if part:
                self._parts.append(part)

    def end_line(self) -> None:
        """Finish the current line."""
        text = "".join(self._parts).strip()
        self._parts, self._longest = [], 0
        if text:
            self.lines.append((text, *self._start, *self._font))


def _font_name(font: Any) -> str:
    """Return the name of a font, with `mono` appended if it declares a fixed pitch."""
    name = str((font or {}).get("/BaseFont", ""))
    with suppress(Exception):  # the descriptor may be missing or malformed
        if int(font["/FontDescriptor"]["/Flags"]) & 1:
            name += " mono"
    return name


def extract_lines(data: bytes) -> list[list[Line]]:
    """Return the lines of each page. Raise ValueError if the file cannot be read, with the reason."""
    import pypdf

    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it is encrypted, and needs a password")
        num_pages = len(reader.pages)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"it is not a valid PDF ({_describe(error)})") from None
    pages: list[list[Line]] = []
    characters = 0
    for number in range(num_pages):
        lines = _Lines()
        try:
            reader.pages[number].extract_text(visitor_text=lines.visit)
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"page {number + 1} cannot be read ({_describe(error)})") from None
        lines.end_line()
        characters += sum(len(line[0]) for line in lines.lines)
        if characters > MAX_CHARACTERS:
            raise ValueError(f"it has more than {MAX_CHARACTERS:,} characters")
        pages.append(lines.lines)
    return pages


def _describe(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _limit_resources() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Read a PDF from standard input, and write its pages or an error as JSON."""
    _limit_resources()
    answer: dict[str, Any]
    try:
        answer = {"pages": extract_lines(sys.stdin.buffer.read())}
    except (ValueError, RecursionError) as error:
        answer = {"error": str(error) if isinstance(error, ValueError) else "it is nested too deeply"}
    except MemoryError:
        answer = {"error": f"it needs more than {MAX_MEMORY >> 20:,} MiB of memory"}
    except ImportError:
        answer = {"missing": "pypdf"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
