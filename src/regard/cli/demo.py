"""`regard demo`: train and compare two systems on dates, in about a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from regard.cli.options import OUTPUT, option

EXAMPLES = """
regard demo
"""


def demo(
    output: Annotated[
        Path, option("DIR", "Folder for the runs and pictures.", OUTPUT, "-o", "--output", "--out")
    ] = Path("runs/demo"),
) -> None:
    """Train two systems to translate dates in words to ISO dates, test them, and draw their attention."""
    from rich.console import Console

    from regard.console import say

    say("loading PyTorch", style="dim")
    from regard.reports.compare.demo import run_demo

    run_demo(output, Console())
