"""`regard export` and `regard import`: models in the formats of others."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


class Outward(StrEnum):
    """What a run can be exported to."""

    marian = "marian"
    ctranslate2 = "ctranslate2"


class Inward(StrEnum):
    """What a run can be imported from."""

    marian = "marian"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to be made.")],
    to: Annotated[Outward, typer.Option(help="Hugging Face's MarianMT, or CTranslate2.")],
) -> None:
    """Write a run in another format, and print how to translate with it."""
    from regard.checkpoints.checkpoint import load_checkpoint
    from regard.checkpoints.run_folder import resolve_checkpoint
    from regard.inference.shortlist import load_shortlist
    from regard.interop.ctranslate2 import export_ctranslate2
    from regard.interop.marian import export_marian

    checkpoint = load_checkpoint(resolve_checkpoint(run))
    if to is Outward.marian:
        usage = export_marian(checkpoint, folder)
    else:
        usage = export_ctranslate2(checkpoint, folder, load_shortlist(run, checkpoint))
    console = Console(stderr=True)
    console.print(f"written to {folder}; in Python:\n", highlight=False, markup=False, soft_wrap=True)
    console.print(usage, highlight=False, markup=False, soft_wrap=True)


def import_(
    format_: Annotated[Inward, typer.Argument(metavar="FORMAT", help="marian, as Hugging Face has OPUS-MT.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The model's folder.")],
    out: Annotated[Path, typer.Option(help="The run's folder, to be made.")],
) -> None:
    """Make a run of a model in another format."""
    from regard.interop.marian_import import import_marian

    checkpoint = import_marian(folder, out)
    parameters = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    command = f"regard translate {shlex.quote(str(out))} < in > out"
    for line in (f"{format_}: transformer2017 with {parameters:,} parameters", f"translate:  {command}"):
        Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)
