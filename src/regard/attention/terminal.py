"""What a model looks at, drawn with letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from regard.attention.maps import Weights

SHADES = ((0.7, "█"), (0.4, "▓"), (0.2, "▒"), (0.05, "░"), (0.0, " "))  # from that weight on
NAME = 18  # columns of the terminal for a word at most
BESIDE = 32  # for what a row looks at most
MOST = 3  # so many are named
LEAST = 0.05  # of what is named


def drawn(rows: Sequence[str], columns: Sequence[str], weights: Weights, width: int) -> Iterator[str]:
    """Lines of text: a map, where it fits into the width, beside each row what has most of its weight; a legend."""
    name = min(NAME, max(map(cell_len, rows)))
    numbers = [str(number) for number in range(1, len(columns) + 1)]
    cell = len(numbers[-1])
    has_map = name + 2 + (cell + 1) * len(columns) + BESIDE <= width
    if has_map:
        yield " " * (name + 2) + " ".join(number.rjust(cell) for number in numbers)
    for row, shares in zip(rows, weights, strict=True):
        shaded = " ".join(_shade(share) * cell for share in shares) + "  " if has_map else ""
        order = sorted(range(len(columns)), key=lambda place: -shares[place])
        most = [f"{columns[place]} {shares[place]:.0%}" for place in order[:MOST] if shares[place] >= LEAST]
        yield f"{set_cell_size(row, name)}  {shaded}{', '.join(most)}".rstrip()
    if has_map:
        yield ""
        yield from _legend(numbers, columns, width)


def _shade(share: float) -> str:
    return next(shade for least, shade in SHADES if share >= least or not least)


def _legend(numbers: Sequence[str], columns: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for number, column in zip(numbers, columns, strict=True):
        entry = f"{number} {column}"
        if line and cell_len(line) + 2 + cell_len(entry) > width:
            yield line
            line = ""
        line = f"{line}  {entry}" if line else entry
    yield line
