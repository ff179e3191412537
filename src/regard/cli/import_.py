"""`regard import`: make a run from a model of another toolkit."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from regard.cli.options import option

EXAMPLES = """
regard import marian opus-mt-en-de/ -o runs/opus-en-de
"""


ImportFormat = Literal["marian"]


def import_(
    format_: Annotated[
        ImportFormat,
        typer.Argument(metavar="FORMAT", help="Format: marian (MarianMT of Hugging Face, such as OPUS-MT)."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the model.")],
    output: Annotated[Path, option("DIR", "Folder of the run, which is created.", None, "-o", "--output", "--out")],
) -> None:
    """Make a run from a model of another toolkit."""
    from regard.console import say, status

    with status("loading PyTorch"):
        from regard.interop.marian_import import import_marian
    checkpoint = import_marian(folder, output)
    parameters = checkpoint.model.num_parameters
    say(f"{format_}: transformer2017 with {parameters:,} parameters")
    say(f"translate:  regard translate {shlex.quote(str(output))} < input.txt > output.txt")
