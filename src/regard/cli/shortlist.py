"""`regard shortlist`: learn which target tokens each source token can become, for a faster search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import option
from regard.plugins.registry import plugin_options

EXAMPLES = """
regard shortlist runs/en-de
regard translate runs/en-de --set search.shortlist=true -i input.txt
"""


def shortlist(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, which has its training data in data/.")],
    candidates: Annotated[int, option("N", "Maximum number of target tokens for each source token.", min=1)] = 30,
    frequent: Annotated[int, option("N", "Number of frequent target tokens that are always allowed.", min=0)] = 1000,
) -> None:
    """Learn from the training data which target tokens each source token can become, for a faster search."""
    from regard.console import say, status

    with status("loading PyTorch"):
        from regard.inference.shortlist import make_shortlist
    path = make_shortlist(run, candidates, frequent, say)
    say(f"written to {path}")
    command = f"regard translate {shlex.quote(str(run))} --set search.shortlist=true{plugin_options()}"
    say(f"translate:  {command} < input.txt > output.txt")
