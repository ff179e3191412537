"""The options of `regard analyze`; the rest of it is loaded when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def analyze(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")],
    source: Annotated[Path, typer.Option(help="What to translate.")],
    reference: Annotated[Path, typer.Option(help="What it should say.")],
    against: Annotated[Path | None, typer.Option(metavar="RUN", help="Another run, to be compared with it.")] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page; its numbers go beside it, as .json.")] = Path(
        "report.html"
    ),
    alignments: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Gold alignments (Pharaoh): 3-4 is sure, 3p4 possible.")
    ] = None,
    exact: Annotated[int, typer.Option(min=0, help="Sentences, drawn by chance, that are searched exactly.")] = 20,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Before each source, say a language.")] = None,
    against_tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="The same for --against.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences decoded together.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """What a run does well and badly on a test set, alone or against another: a page, and JSON."""
    from regard.cli import analysis

    if against is None and against_tag:
        analysis.refuse_tags()
    runs = [analysis.Run(run, tuple(tag or []))]
    if against is not None:
        runs.append(analysis.Run(against, tuple(against_tag or [])))
    analysis.analyze(
        runs,
        analysis.Files(source, reference, alignments, output),
        batch_size=batch_size,
        exact=exact,
        device=device,
    )
