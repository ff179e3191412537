"""Table 1 of Vaswani et al. 2017 for each architecture, and the growth of the measured times.

n is the length of a sequence, d the width of a layer, k the width of a convolution's kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regard.reports.compare.results import StepTime

FITTED_RANGE = 4  # growth is fitted to the lengths from longest / FITTED_RANGE to longest


@dataclass(frozen=True)
class Complexity:
    """Cost of an architecture's layers, and the distance that signals travel in it.

    Attributes:
        layer: The kind of layer.
        work: Operations of one layer.
        sequential: Operations that cannot run in parallel in training.
        path: Longest path between any two positions; for convolutions, through their stack of layers (section 4).
        across: Longest path from a source token to a target token through the whole system. It is not in table 1, but
            follows from the architecture: attention makes it O(1).
    """

    layer: str
    work: str
    sequential: str
    path: str
    across: str


def _recurrent(across: str) -> Complexity:
    return Complexity("recurrent", "O(n·d²)", "O(n)", "O(n)", across)


_SELF_ATTENTION = Complexity("self-attention", "O(n²·d)", "O(1)", "O(1)", "O(1)")

COMPLEXITY: Mapping[str, Complexity] = {
    "cho2014": _recurrent("O(n)"),
    "sutskever2014": _recurrent("O(n)"),
    "bahdanau2014": _recurrent("O(1)"),
    "luong2015": _recurrent("O(1)"),
    "gnmt2016": _recurrent("O(1)"),
    "bytenet2016": Complexity("dilated convolution", "O(k·n·d²)", "O(1)", "O(log_k n)", "O(log_k n)"),
    "convs2s2017": Complexity("convolution", "O(k·n·d²)", "O(1)", "O(n/k)", "O(1)"),
    "transformer2017": _SELF_ATTENTION,
    "modern": _SELF_ATTENTION,  # with self-attention; its recurrent decoder (SSRU) is O(n) as above
}


def find_architecture(name: str) -> str | None:
    """Return the architecture with which a system's name begins, as in "luong2015/dot", or None."""
    return next((architecture for architecture in COMPLEXITY if name.startswith(architecture)), None)


def fit_growth(step_times: Sequence[StepTime]) -> float | None:
    """Return the exponent p of time ∝ length^p, fitted to the logarithms at the longer lengths.

    None if there are fewer than two lengths.
    """
    longest = max((step.length for step in step_times), default=0)
    fitted = [step for step in step_times if step.length * FITTED_RANGE >= longest and step.milliseconds > 0]
    if len({step.length for step in fitted}) < 2:
        return None
    lengths, times = np.log([(step.length, step.milliseconds) for step in fitted]).T
    return float(np.polyfit(lengths, times, 1)[0])
