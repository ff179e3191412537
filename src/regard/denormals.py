"""Numbers too small for float32's exponent, which a processor reckons with at a tenth of its speed or less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let numbers below 1.2e-38 be 0, on a CPU.

    A model that has become sure of itself has many in its gradients: a g2p run of two thousand steps then learns at
    less than half the speed that it began with (benchmarks/RESULTS.md). Threads of PyTorch's take this over from
    the one that starts them, so it has to come before its first work that is divided among several; those threads
    keep it afterwards. Other processors than x86 and ARM are left alone.
    """
    before = _flushed()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushed() -> bool:
    return bool(torch.tensor(1e-30) * 1e-9 == 0)
