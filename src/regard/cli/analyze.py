"""`regard analyze`: the strengths and weaknesses of a run on a test set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import (
    OUTPUT,
    SEARCH,
    TEST_SET,
    BatchSize,
    BeamSize,
    Data,
    DeviceOption,
    LabelColumn,
    Labels,
    LengthPenalty,
    Novelty,
    OldSearch,
    Patience,
    Reference,
    Run,
    SearchSettings,
    Source,
    SourceColumn,
    SourceLanguage,
    Tags,
    TargetColumn,
    TargetLanguage,
    Top,
    option,
)

EXAMPLES = """
regard analyze runs/new --source test.en --reference test.de
regard analyze runs/new --against runs/old --data test.tsv -o report.html
regard analyze runs/reactions --data test.tsv --label-column class --top 5
"""
COMPARISON = "Comparison"


def analyze(
    run: Run,
    source: Source = None,
    reference: Reference = None,
    data: Data = None,
    source_language: SourceLanguage = "",
    target_language: TargetLanguage = "",
    source_column: SourceColumn = "",
    target_column: TargetColumn = "",
    label_column: LabelColumn = "",
    labels: Labels = None,
    novelty: Novelty = False,
    alignments: Annotated[
        Path | None,
        option(
            "FILE", "Gold word alignments of the test set in Pharaoh format: 3-4 is sure, 3p4 is possible.", TEST_SET
        ),
    ] = None,
    against: Annotated[Path | None, option("RUN", "Another run, to compare RUN with.", COMPARISON)] = None,
    against_tag: Annotated[
        list[str] | None, option("TAG", "--tag for the other run. Can be repeated.", COMPARISON)
    ] = None,
    against_settings: Annotated[
        list[str] | None,
        option(
            "search.KEY=VALUE",
            "--set for the other run, after the options for both. Can be repeated.",
            COMPARISON,
            "--against-set",
        ),
    ] = None,
    against_search: Annotated[
        list[str] | None, typer.Option("--against-search", metavar="KEY=VALUE", hidden=True)
    ] = None,
    output: Annotated[
        Path,
        option(
            "FILE",
            "The page, in HTML. Its numbers are written next to it, with the suffix .json.",
            OUTPUT,
            "-o",
            "--output",
        ),
    ] = Path("report.html"),
    exact: Annotated[
        int,
        option("N", "Number of random sentences that exact search translates, to count search errors.", SEARCH, min=0),
    ] = 20,
    top: Top = None,
    perturb: Annotated[
        bool,
        typer.Option(
            "--perturb",
            help="Also translate copies of the test set in capitals, with typos, and with other changes.",
            rich_help_panel=TEST_SET,
        ),
    ] = False,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    patience: Patience = None,
    settings: SearchSettings = None,
    search: OldSearch = None,
    tag: Tags = None,
    device: DeviceOption = "auto",
    batch_size: BatchSize = 64,
) -> None:
    """Analyze the translations of a run on a test set, or compare two runs.

    Writes one HTML page, and its numbers as JSON.
    """
    from regard.cli.search_settings import search_settings
    from regard.cli.streams import refuse_same, try_writing
    from regard.cli.test_set import TestSetFiles
    from regard.console import status
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths
    from regard.errors import ConfigError

    overrides = search_settings(settings, search, beam_size=beam_size, length_penalty=length_penalty, patience=patience)
    against_overrides = search_settings(against_settings, against_search, option="--against-set")
    if against is None and (against_tag or against_overrides):
        raise ConfigError(
            "no run to compare with is given",
            where="--against-tag" if against_tag else "--against-set",
            fix="name it by --against RUN",
        )
    if output.suffix not in (".html", ".htm"):
        raise ConfigError("the page is HTML", where=output, fix="name it FILE.html; the numbers go to FILE.json")
    numbers = output.with_suffix(".json")
    place = CorpusPaths(source, reference, data, ("--source", "--reference", "--data"))
    refuse_same([*place.files(), alignments, labels], [output, numbers])
    if data is not None and alignments is not None:
        raise ConfigError(
            "gold alignments belong to the lines of two files",
            where="--alignments",
            fix="give --source and --reference instead of --data",
        )
    with status("loading PyTorch"):
        from regard.cli.analysis_output import AnalysisOptions, AnalyzedRun, held_out_set, write_analysis

    sides = Sides(source_language, target_language, source_column, target_column)
    test_set = TestSetFiles(place, sides, labels, label_column, novelty)
    held_out = held_out_set(test_set, run, alignments)
    for path in (output, numbers):
        try_writing(path)
    runs = [AnalyzedRun(run, tuple(tag or ()), overrides)]
    if against is not None:
        runs.append(AnalyzedRun(against, tuple(against_tag or ()), {**overrides, **against_overrides}))
    options = AnalysisOptions(batch_size, exact, perturb, tuple(top or ()))
    write_analysis(runs, held_out, output, options, device=device)
