"""Table 1 of Vaswani et al. 2017 for each system, and the growth that was measured to set beside it.

n is the length of a sequence, d the width of a layer, k the width of a convolution's kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regard.reports.compare.results import StepTime

LONGER = 4  # growth is fitted from a quarter of the longest length up


@dataclass(frozen=True)
class Complexity:
    """What the systems' kind of layer costs, and how far apart it leaves two positions.

    work: operations of one layer; sequential: those that cannot run side by side in training; path: the
    longest way a signal goes between any two positions, which for convolutions is through the stack of
    layers that joins them (section 4). across: the way from a source token to a target token through the
    whole system; table 1 does not have it, it follows from the wiring: attention makes it O(1).
    """

    layer: str
    work: str
    sequential: str
    path: str
    across: str


def _recurrent(across: str) -> Complexity:
    return Complexity("recurrent", "O(n·d²)", "O(n)", "O(n)", across)


_SELF_ATTENTION = Complexity("self-attention", "O(n²·d)", "O(1)", "O(1)", "O(1)")

THEORY: Mapping[str, Complexity] = {
    "cho2014": _recurrent("O(n)"),
    "sutskever2014": _recurrent("O(n)"),
    "bahdanau2014": _recurrent("O(1)"),
    "luong2015": _recurrent("O(1)"),
    "gnmt2016": _recurrent("O(1)"),
    "bytenet2016": Complexity("dilated convolution", "O(k·n·d²)", "O(1)", "O(log_k n)", "O(log_k n)"),
    "convs2s2017": Complexity("convolution", "O(k·n·d²)", "O(1)", "O(n/k)", "O(1)"),
    "transformer2017": _SELF_ATTENTION,
    "modern": _SELF_ATTENTION,  # of its self-attention; with the recurrent decoder (SSRU) that side is O(n) as above
}


def architecture(name: str) -> str | None:
    """The architecture that a system's name begins with, as in "luong2015/dot"; None where it is unknown."""
    return next((known for known in THEORY if name.startswith(known)), None)


def growth(step_times: Sequence[StepTime]) -> float | None:
    """The p of time ~ length^p, by least squares on logarithms, at the longer lengths; None of fewer than two."""
    longest = max((step.length for step in step_times), default=0)
    longer = [step for step in step_times if step.length * LONGER >= longest and step.milliseconds > 0]
    if len({step.length for step in longer}) < 2:
        return None
    lengths, times = np.log([(step.length, step.milliseconds) for step in longer]).T
    return float(np.polyfit(lengths, times, 1)[0])
