"""Matches of a hypothesis and a reference in their minimum edit alignment (Levenshtein 1966)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def find_matches(hypothesis: Sequence[int], reference: Sequence[int]) -> list[bool]:
    """Return for each of T hypothesis tokens whether the edits that turn it into the reference (R) leave it unchanged.

    Insertions, deletions and substitutions cost one each. Among edit sequences of equal cost, the one that matches
    earliest is taken. Time and memory grow as T x R.
    """
    costs = _edit_costs(hypothesis, reference)  # (T + 1, R + 1)
    is_match = [False] * len(hypothesis)
    row, column = 0, 0
    while row < len(hypothesis) and column < len(reference):
        cost = costs[row, column]
        if hypothesis[row] == reference[column] and cost == costs[row + 1, column + 1]:
            is_match[row] = True
            row, column = row + 1, column + 1
        elif cost == costs[row + 1, column + 1] + 1:
            row, column = row + 1, column + 1
        elif cost == costs[row + 1, column] + 1:
            row += 1
        else:
            column += 1
    return is_match


def _edit_costs(hypothesis: Sequence[int], reference: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Return (T + 1, R + 1): entry (t, r) is the edit distance of `hypothesis[t:]` and `reference[r:]`."""
    targets = np.array(reference, dtype=np.int64)
    steps = np.arange(len(reference), -1, -1, dtype=np.int32)
    table = np.empty((len(hypothesis) + 1, len(reference) + 1), dtype=np.int32)
    table[-1] = steps
    for row in range(len(hypothesis) - 1, -1, -1):
        below = table[row + 1]
        best = np.append(np.minimum(below[:-1] + 1, below[1:] + (targets != hypothesis[row])), below[-1] + 1)
        best = np.minimum(best, below + 1)
        table[row] = np.minimum.accumulate((best - steps)[::-1])[::-1] + steps
    return table
