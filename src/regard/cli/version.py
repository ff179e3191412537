"""`regard version`: the version, and with --verbose what a report of a problem should say."""

from __future__ import annotations

import os
import platform
from typing import Annotated

import typer

from regard.version import __version__

EXAMPLES = """
regard version --verbose
"""


def version(
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also print the versions of Python and PyTorch, the processor, the GPU, and which kernels run "
            "and why.",
        ),
    ] = False,
) -> None:
    """Print the version of regard; with --verbose, also what it runs on."""
    if not verbose:
        print(__version__)
        return
    import torch

    from regard.nn.kernels import native
    from regard.runtime import processor_name

    print(f"regard {__version__}")
    print(f"Python {platform.python_version()}, PyTorch {torch.__version__}, {platform.system()} {platform.machine()}")
    print(f"processor: {processor_name()}, {len(_usable_cores())} cores for this process")
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    print(f"GPU: {', '.join(gpus) or 'none that PyTorch can use'}")
    print(f"kernels: {native.describe()}")


def _usable_cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
