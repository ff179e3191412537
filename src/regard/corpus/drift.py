"""Where two sides of unequal numbers of lines drift apart, told from the lengths of their lines."""

from collections.abc import Sequence

import numpy as np

MAX_SHIFT = 50  # lines that one side has more; beyond it no single place explains them
MIN_LINES = 20  # of the shorter side; fewer tell nothing
CLEAR_GAIN = 0.8  # the best split's cost, as a share of what lines that do not belong together cost
CLEAR_MARGIN = 3.0  # a split is as good as the best if it costs at most so many average lines more
MAX_SPREAD = 30  # lines over which the splits lie that are as good as the best


def find_drift(source_lengths: Sequence[int], target_lengths: Sequence[int]) -> int | None:
    """The line (from 1) of the longer side at which its additional lines begin; None if that is not clear.

    Lines that translate one another have lengths of about one ratio (Gale and Church, 1993). With
    the shorter side's line i stands the longer side's line i before the drift and line i + d after
    it; the split of least cost |log ratio - typical log ratio| is where the drift begins. A blank
    line that one side has too many fits no line of the other, so it is found exactly. The shorter
    side's number of lines plus one means that nothing drifts: the shorter side ends too early.
    """
    short, long = sorted((np.log1p(np.asarray(lengths)) for lengths in (source_lengths, target_lengths)), key=len)
    fewer, shift = len(short), len(long) - len(short)
    if not 0 < shift <= MAX_SHIFT or fewer < MIN_LINES:
        return None
    typical = np.median(long) - np.median(short)
    before = np.abs(long[:fewer] - short - typical)
    after = np.abs(long[shift:] - short - typical)
    unrelated = np.abs(np.roll(long, len(long) // 2)[:fewer] - short - typical)
    split = np.concatenate(([0.0], np.cumsum(before - after))) + after.sum()  # the cost of a drift at each line
    best = int(split.argmin())
    if split[best] >= CLEAR_GAIN * unrelated.sum():
        return None
    near = np.flatnonzero(split <= split[best] + CLEAR_MARGIN * split[best] / fewer)
    if near[-1] - near[0] > min(MAX_SPREAD, fewer // 2):
        return None
    return fewer + 1 if near[-1] == fewer else best + 1
