"""The Python reference: a comment such as `<!-- autofunction regard.train -->` is replaced by what it documents.

Comments, unlike directives, are invisible where the Markdown file is read as it is.
"""

from __future__ import annotations

import re
from typing import Any

COMMENT = re.compile(r"^<!-- (auto\w+) ([\w.]+)((?: :[\w-]+:(?: [\w, ]+)?)*) -->$", flags=re.MULTILINE)


def setup(app: Any) -> None:
    """Replace the comments while pages are read."""
    app.connect("source-read", _add_objects)


def _add_objects(_app: Any, _docname: str, source: list[str]) -> None:
    source[0] = COMMENT.sub(_directive, source[0])


def _directive(match: re.Match[str]) -> str:
    options = re.findall(r":[\w-]+:[\w, ]*", match[3])
    directive = [f".. {match[1]}:: {match[2]}", *(f"   {option.strip()}" for option in options)]
    return "\n".join(["```{eval-rst}", *directive, "```"])
