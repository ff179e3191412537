"""Find where two sides with unequal numbers of lines drift apart, by the lengths of their lines."""

from collections.abc import Sequence

import numpy as np

MAX_SHIFT = 50  # additional lines of one side; more cannot be explained by a single place
MIN_LINES = 20  # of the shorter side; fewer are not enough evidence
CLEAR_GAIN = 0.8  # largest cost of the best split, as a share of the cost of unrelated lines
CLEAR_MARGIN = 3.0  # splits count as equally good if they cost at most this many average lines more
MAX_SPREAD = 30  # lines between the first and the last of the equally good splits


def find_drift(source_lengths: Sequence[int], target_lengths: Sequence[int]) -> int | None:
    """Return the line (from 1) of the longer side where its additional lines begin; None if that is not clear.

    The lengths of lines that translate one another have a similar ratio (Gale and Church 1993). Line i of the shorter
    side matches line i of the longer side before the drift, and line i + d after it. The drift begins at the split
    with the lowest cost, the sum of |log ratio - typical log ratio|. An additional blank line matches no line of the
    other side, so it is found exactly. If the result is the shorter side's number of lines plus one, nothing drifts:
    the shorter side ends too early.
    """
    short, long = sorted((np.log1p(np.asarray(lengths)) for lengths in (source_lengths, target_lengths)), key=len)
    fewer, shift = len(short), len(long) - len(short)
    if not 0 < shift <= MAX_SHIFT or fewer < MIN_LINES:
        return None
    typical = np.median(long) - np.median(short)
    before = np.abs(long[:fewer] - short - typical)
    after = np.abs(long[shift:] - short - typical)
    unrelated = np.abs(np.roll(long, len(long) // 2)[:fewer] - short - typical)
    split = np.concatenate(([0.0], np.cumsum(before - after))) + after.sum()  # cost of a drift at each line
    best = int(split.argmin())
    if split[best] >= CLEAR_GAIN * unrelated.sum():
        return None
    near = np.flatnonzero(split <= split[best] + CLEAR_MARGIN * split[best] / fewer)
    if near[-1] - near[0] > min(MAX_SPREAD, fewer // 2):
        return None
    return fewer + 1 if near[-1] == fewer else best + 1
