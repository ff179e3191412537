"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change the recipe.")]
RunOrCheckpoint = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences decoded together.")]
BeamSize = Annotated[int | None, typer.Option(min=1, help="Beam; 1 is greedy. Default: the recipe's.")]
Precision = Annotated[str, typer.Option(help="float32, or int8 on a CPU.")]
Search = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Other than in the recipe: search.KEY.")]
SplitSentences = Annotated[
    bool | None,
    typer.Option(
        "--split-sentences/--no-split-sentences",
        help="Translate the sentences of a line one by one. Default: unless the training data have several a line.",
        show_default=False,
    ),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Before each source, say a language.")]
TestData = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help=f"Both sides in one file instead: {', '.join(BILINGUAL_SUFFIXES)}."),
]
TestLanguage = Annotated[str, typer.Option(help="Of that file. Default: the run's, or from the file's name.")]
TestColumn = Annotated[str, typer.Option(help="Of a table: its name, or number from 1. Default: the run's.")]
Ensemble = Annotated[list[Path] | None, typer.Option(metavar="RUN", help="Decode together with this one.")]
LengthPenalty = Annotated[float | None, typer.Option(min=0.0, help="GNMT's alpha. Default: the recipe's.")]
