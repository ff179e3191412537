"""The options of `regard analyze`; the rest of it is loaded when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import (
    BatchSize,
    BeamSize,
    Device,
    LengthPenalty,
    RunOrCheckpoint,
    Search,
    Tags,
    TestColumn,
    TestData,
    TestLanguage,
)


def analyze(
    run: RunOrCheckpoint,
    source: Annotated[Path | None, typer.Option(help="What to translate, one segment a line.")] = None,
    reference: Annotated[Path | None, typer.Option(help="What it should say, line by line.")] = None,
    data: TestData = None,
    source_language: TestLanguage = "",
    target_language: TestLanguage = "",
    source_column: TestColumn = "",
    target_column: TestColumn = "",
    against: Annotated[Path | None, typer.Option(metavar="RUN", help="Another run, to be compared with it.")] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page; its numbers go beside it, as .json.")] = Path(
        "report.html"
    ),
    alignments: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Gold alignments (Pharaoh): 3-4 is sure, 3p4 possible.")
    ] = None,
    exact: Annotated[int, typer.Option(min=0, help="Sentences, drawn by chance, that are searched exactly.")] = 20,
    tag: Tags = None,
    against_tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="The same for --against.")] = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    search: Search = None,
    against_search: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of --against, beside what is said for both.")
    ] = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
) -> None:
    """What a run does well and badly on a test set, alone or against another: a page, and JSON."""
    from regard.cli import analyze as analysis
    from regard.cli import translate
    from regard.cli.evaluate import Known
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    both = translate.options(search or [], "--search", beam_size=beam_size, length_penalty=length_penalty)
    runs = [analysis.Run(run, tuple(tag or []), both)]
    if against is not None:
        own = translate.options(against_search or [], "--against-search")
        runs.append(analysis.Run(against, tuple(against_tag or []), {**both, **own}))
    elif against_tag or against_search:
        analysis.refuse_against("--against-tag" if against_tag else "--against-search")
    place = CorpusPaths(source, reference, data, ("--source", "--reference", "--data"))
    known = Known(place, Sides(source_language, target_language, source_column, target_column))
    analysis.analyze(
        runs,
        analysis.Files(known, alignments, output),
        batch_size=batch_size,
        exact=exact,
        device=device,
    )
