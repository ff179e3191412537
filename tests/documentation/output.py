"""Compare the output that a page shows with real output: numbers may differ, words may not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Where a page leaves something out, in a line or as a line.
ELLIPSIS = "..."

# What differs between machines, models and corpora, and what is accepted instead.
VARIABLE = re.compile(
    r"(?P<ellipsis>\.\.\.)"
    r"|(?P<duration>\d[\d,.]* (?:h|min|s)\b(?: \d+ (?:min|s)\b)*)"
    r"|(?P<number>-?\d[\d,.:]*(?<![,.:]))"
    r"|(?P<precision>\bb?float(?:16|32)\b)"
    r"|(?P<processor>(?<=^processor: )[^,]+)"
    r"|(?P<kernels>(?<=^kernels: )\w+ \([^)]*\))"  # a level of the CPU, and what it takes
    r"|(?P<space>\s+)"
)
ACCEPTED = {
    "ellipsis": r".*",
    "duration": r"\d[\d,.]* (?:h|min|s)\b(?: \d+ (?:min|s)\b)*",
    "number": r"-?\d[\d,.:]*(?<![,.:])",
    "precision": r"b?float(?:16|32)",
    "processor": r"[^,]+",
    "kernels": r"\w+ \([^)]*\)",
    "space": r"\s+",
}

# Lines on standard output that depend on the model: the words of the test's model are not those of the page. Each line,
# of the page and of the real output, must match one of these forms.
WORD = r"[^\s░▒▓█]\S*"
PLAIN_WORD = r"[^\s░▒▓█%:=]+"  # of a translation, which has no percentages and no labels
FORMS = {
    "translate": (r".*",),
    "attend": (
        r"",
        r"\s+1(?: +\d+)+",  # the numbers of the columns
        rf"{WORD}(?: {WORD})*?  [░▒▓█ ]*(?:{WORD} \d+%(?:, {WORD} \d+%)*)?",  # a word of the translation
        rf"1 {WORD}(?:  \d+ {WORD})*",  # the legend
        rf"{PLAIN_WORD}(?: {PLAIN_WORD})*",  # the translation
    ),
}


def differences(command: str, shown: Sequence[str], stdout: Sequence[str], stderr: Sequence[str]) -> list[str]:
    """Return the lines of a page that the real output does not have, in the order of the page.

    Args:
        command: The name of the command, such as `translate`.
        shown: The output that the page shows.
        stdout: The lines of standard output.
        stderr: The lines of standard error.
    """
    forms = FORMS.get(command)
    if not shown:
        return []
    if command == "train":
        shown = _unwrap(shown)
    if forms is None:
        return _missing(shown, [*stderr, *stdout])
    data = _missing(shown, stderr)
    unknown = [line for line in [*data, *stdout] if not _has_form(line, forms)]
    is_shortened = any(line.strip() == ELLIPSIS for line in shown)
    has_all_lines = len(data) == len(stdout) or (is_shortened and len(data) < len(stdout))
    if not has_all_lines and command != "attend":  # whose map has a line for each word that the model writes
        unknown.append(f"{len(data)} lines are shown, and {len(stdout)} were printed")
    return unknown


def _unwrap(shown: Sequence[str]) -> list[str]:
    """Join the lines that a terminal wraps: what follows is indented."""
    lines: list[str] = []
    for line in shown:
        if line.startswith("  ") and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


def _has_form(line: str, forms: Iterable[str]) -> bool:
    return any(re.fullmatch(form, line) for form in forms)


def _missing(shown: Sequence[str], real: Sequence[str]) -> list[str]:
    missing, start = [], 0
    for line in shown:
        if line.strip() == ELLIPSIS:
            continue
        pattern = _pattern(line)
        index = next((index for index in range(start, len(real)) if pattern.fullmatch(real[index])), None)
        if index is None:
            missing.append(line)
        else:
            start = index + 1
    return missing


def _pattern(line: str) -> re.Pattern[str]:
    parts, start = [], 0
    for match in VARIABLE.finditer(line.strip()):
        parts.append(re.escape(line.strip()[start : match.start()]))
        parts.append(ACCEPTED[str(match.lastgroup)])
        start = match.end()
    parts.append(re.escape(line.strip()[start:]))
    return re.compile(rf"\s*{''.join(parts)}\s*")
