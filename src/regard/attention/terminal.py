"""Attention maps drawn with characters on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from regard.attention.maps import AttentionWeights

SHADES = ((0.7, "█"), (0.4, "▓"), (0.2, "▒"), (0.05, "░"), (0.0, " "))  # lowest weight of each shade
MAX_ROW_NAME = 18  # terminal columns
LIST_WIDTH = 32  # terminal columns reserved for the list after each row
MAX_LISTED = 3  # columns listed for each row
MIN_LISTED = 0.05  # lowest weight that is listed


def draw_map(rows: Sequence[str], columns: Sequence[str], weights: AttentionWeights, width: int) -> Iterator[str]:
    """Yield lines of text: a map, the columns with the highest weights of each row, and a legend.

    Without enough space for the map, only the rows and their lists are drawn.

    Args:
        rows: The words that attend.
        columns: The words that are attended to.
        weights: (rows, columns) the attention weights.
        width: Terminal columns.
    """
    name_width = min(MAX_ROW_NAME, max(map(cell_len, rows)))
    numbers = [str(number) for number in range(1, len(columns) + 1)]
    cell = len(numbers[-1])
    has_map = name_width + 2 + (cell + 1) * len(columns) + LIST_WIDTH <= width
    if has_map:
        yield " " * (name_width + 2) + " ".join(number.rjust(cell) for number in numbers)
    for row, shares in zip(rows, weights, strict=True):
        shaded = " ".join(_shade(share) * cell for share in shares) + "  " if has_map else ""
        order = sorted(range(len(columns)), key=lambda index: -shares[index])
        listed = [
            f"{columns[index]} {shares[index]:.0%}" for index in order[:MAX_LISTED] if shares[index] >= MIN_LISTED
        ]
        yield f"{set_cell_size(row, name_width)}  {shaded}{', '.join(listed)}".rstrip()
    if has_map:
        yield ""
        yield from _legend(numbers, columns, width)


def _shade(share: float) -> str:
    return next(shade for lowest, shade in SHADES if share >= lowest or not lowest)


def _legend(numbers: Sequence[str], columns: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for number, column in zip(numbers, columns, strict=True):
        entry = f"{number} {column}"
        if line and cell_len(line) + 2 + cell_len(entry) > width:
            yield line
            line = ""
        line = f"{line}  {entry}" if line else entry
    yield line
