"""How PyTorch's threads wait on a CPU."""

import os

SPINS = "10000"  # turns of an idle loop: a fraction of a millisecond


def wait_briefly() -> None:
    """Let idle threads of PyTorch sleep soon: the kernels of regard.nn have threads of their own, which want the cores.

    Of use before PyTorch is imported. What the environment says already stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
