"""Which parts of one sequence stand in another, in the same order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def kept(said: Sequence[int], meant: Sequence[int]) -> list[bool]:
    """Of each of T things said, whether it is kept where the least edits make what was meant (R) of it.

    Insertions, deletions and substitutions cost one each (Levenshtein 1966); of equally cheap ways one that
    keeps early rather than late is taken. Time and memory grow as T x R.
    """
    table = _costs(said, meant)
    found = [False] * len(said)
    row, column = 0, 0
    while row < len(said) and column < len(meant):
        here = table[row, column]
        if said[row] == meant[column] and here == table[row + 1, column + 1]:
            found[row] = True
            row, column = row + 1, column + 1
        elif here == table[row + 1, column + 1] + 1:
            row, column = row + 1, column + 1
        elif here == table[row + 1, column] + 1:
            row += 1
        else:
            column += 1
    return found


def _costs(said: Sequence[int], meant: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """(T + 1, R + 1): the edits that make the end of `meant` from a place on of the end of `said` from a place on."""
    wanted = np.array(meant, dtype=np.int64)
    steps = np.arange(len(meant), -1, -1, dtype=np.int32)
    table = np.empty((len(said) + 1, len(meant) + 1), dtype=np.int32)
    table[-1] = steps
    for row in range(len(said) - 1, -1, -1):
        below = table[row + 1]
        best = np.append(np.minimum(below[:-1] + 1, below[1:] + (wanted != said[row])), below[-1] + 1)
        best = np.minimum(best, below + 1)
        table[row] = np.minimum.accumulate((best - steps)[::-1])[::-1] + steps
    return table
