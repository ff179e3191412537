"""`regard demo`: train and compare two systems on dates, in about a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import OUTPUT

EXAMPLES = """
regard demo
"""


def demo(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", "--out", metavar="DIR", help="Folder for the runs and pictures.", rich_help_panel=OUTPUT
        ),
    ] = Path("runs/demo"),
) -> None:
    """Train two systems to translate dates in words to ISO dates, test them, and draw their attention."""
    from rich.console import Console

    from regard.console import say

    say("loading PyTorch", style="dim")
    from regard.reports.compare.demo import run_demo

    run_demo(output, Console())
