"""PDF: its text becomes a Markdown document, which is translated. The layout is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from bisect import bisect_right
from dataclasses import replace
from pathlib import Path

from regard.documents import pdf_lines
from regard.documents.document import Columns, LanguagePair
from regard.documents.markdown import MarkdownDocument
from regard.documents.pdf_markdown import make_line, write_markdown
from regard.errors import ConfigError, DataError

TIMEOUT = 2 * pdf_lines.MAX_SECONDS  # seconds, if the processor is busy with other work


class PdfDocument(MarkdownDocument):
    """The text of a PDF as Markdown. The line of a segment is the number of its page."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Extract the text. Raise DataError if the file is not a PDF, or has no text."""
        if not data[:1024].lstrip().startswith(b"%PDF-") and b"%PDF-" not in data[:1024]:
            raise DataError("the file is not a PDF", where=name, fix="check that its name is right")
        pages = [[make_line(*line) for line in lines] for lines in _extract(data, name)]
        text, starts = write_markdown(pages)
        if not any(map(str.isalpha, text)):
            raise DataError(
                "it has no text: its pages are pictures", where=name, fix="recognise its text first, e.g. with ocrmypdf"
            )
        super().__init__(text.encode(), name, languages, columns)
        first_lines = [line for line, _ in starts]
        pages_of = [page for _, page in starts]
        self.segments = [
            replace(segment, line=pages_of[bisect_right(first_lines, segment.line) - 1]) for segment in self.segments
        ]


def _extract(data: bytes, name: str) -> list[list[pdf_lines.Line]]:
    """Return the lines of each page. Raise DataError if that fails, or takes too much time or memory."""
    command = [sys.executable, "-P", str(Path(pdf_lines.__file__))]
    try:
        result = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=False
        )
        answer = json.loads(result.stdout)
    except (subprocess.TimeoutExpired, ValueError):  # the system ends a process that exceeds its limits
        answer = {"error": f"its text cannot be extracted within {pdf_lines.MAX_SECONDS} seconds and 1 GiB of memory"}
    if "missing" in answer:
        raise ConfigError("a PDF needs the package pypdf", where=name, fix="pip install 'regard[documents]'")
    if "error" in answer:
        raise DataError(answer["error"], where=name, fix="export its text, or write the PDF again in another program")
    pages: list[list[pdf_lines.Line]] = answer["pages"]
    return pages
