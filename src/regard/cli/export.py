"""`regard export`: write a run in the format of another toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from regard.cli.options import Run, option

EXAMPLES = """
regard export runs/en-de exported/ --to ctranslate2
regard export runs/en-de exported/ --to onnx --int8
"""


ExportFormat = Literal["marian", "ctranslate2", "onnx"]


def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to create.")],
    to: Annotated[ExportFormat, option("FORMAT", "Format: marian (MarianMT of Hugging Face), ctranslate2 or onnx.")],
    int8: Annotated[bool, typer.Option("--int8", help="Store matrices in 8 bits; only for onnx.")] = False,
) -> None:
    """Write a run in the format of another toolkit, and print how to translate with it."""
    from regard.checkpoints.run_folder import resolve_checkpoint
    from regard.cli.streams import output
    from regard.console import say, status
    from regard.errors import ConfigError

    if int8 and to != "onnx":
        raise ConfigError(f"the export to {to} has no --int8", where="--int8", fix="leave it out, or use --to onnx")
    checkpoint_folder = resolve_checkpoint(run)
    with status("loading the model"):
        from regard.checkpoints.checkpoint import load_checkpoint
        from regard.inference.shortlist import load_shortlist

        checkpoint = load_checkpoint(checkpoint_folder)
    if to == "marian":
        from regard.interop.marian import export_marian

        usage = export_marian(checkpoint, folder)
    elif to == "onnx":
        from regard.interop.onnx.export import export_onnx

        usage = export_onnx(checkpoint, folder, int8=int8)
    else:
        from regard.interop.ctranslate2 import export_ctranslate2

        usage = export_ctranslate2(checkpoint, folder, load_shortlist(run, checkpoint))
    if parts := _left_out(run, to):
        say(f"not exported: {' and '.join(parts)}")
    say(f"written to {folder}; Python code that translates with it:")
    with output(None) as write:
        write(usage)


def _left_out(run: Path, to: ExportFormat) -> list[str]:
    """Return what the run has and the format has not: its shortlist, its glossary."""
    from regard.inference.shortlist import FILE
    from regard.inference.terms import default_glossaries

    shortlist = ["the shortlist"] if to != "ctranslate2" and (run / FILE).is_file() else []
    return shortlist + (["the glossary"] if default_glossaries(run) else [])
