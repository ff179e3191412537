"""The options of `regard inspect` and `regard clean`; the rest of both is loaded when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES

Source = Annotated[Path | None, typer.Option(help="Source side, one segment a line; .gz, .xz, .zst too.")]
Target = Annotated[Path | None, typer.Option(help="Target side, line n belonging to line n.")]
Data = Annotated[
    Path | None, typer.Option(metavar="FILE", help=f"Both sides in one file instead: {', '.join(BILINGUAL_SUFFIXES)}.")
]
DevSource = Annotated[Path | None, typer.Option(help="A dev set, of which nothing must be in the corpus.")]
DevTarget = Annotated[Path | None, typer.Option(help="Its target side.")]
DevData = Annotated[Path | None, typer.Option(metavar="FILE", help="The dev set in one file.")]
TestSource = Annotated[Path | None, typer.Option(help="A test set, likewise.")]
TestTarget = Annotated[Path | None, typer.Option(help="Its target side.")]
TestData = Annotated[Path | None, typer.Option(metavar="FILE", help="The test set in one file.")]
SourceLanguage = Annotated[str | None, typer.Option(help="Default: from the file's name, or from the text.")]
TargetLanguage = Annotated[str | None, typer.Option(help="Default: from the file's name, or from the text.")]
SourceColumn = Annotated[str | None, typer.Option(help="Of a table: its name, or number from 1.")]
TargetColumn = Annotated[str | None, typer.Option(help="Of a table: its name, or number from 1.")]


def _named(which: str) -> tuple[str, str, str]:
    return f"--{which}-source", f"--{which}-target", f"--{which}-data"


def inspect(
    source: Source = None,
    target: Target = None,
    data: Data = None,
    dev_source: DevSource = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    test_source: TestSource = None,
    test_target: TestTarget = None,
    test_data: TestData = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    source_column: SourceColumn = None,
    target_column: TargetColumn = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write it there too, as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots there.")] = None,
) -> None:
    """Say what is wrong with a corpus, with lines and examples, before anyone trains on it."""
    from regard.cli import inspect_clean
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    patient = inspect_clean.Patient(
        CorpusPaths(source, target, data),
        CorpusPaths(dev_source, dev_target, dev_data, _named("dev")),
        CorpusPaths(test_source, test_target, test_data, _named("test")),
        Sides(source_language or "", target_language or "", source_column or "", target_column or ""),
    )
    inspect_clean.inspect(patient, json_, html)


def clean(
    source: Source = None,
    target: Target = None,
    data: Data = None,
    dev_source: DevSource = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    test_source: TestSource = None,
    test_target: TestTarget = None,
    test_data: TestData = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    source_column: SourceColumn = None,
    target_column: TargetColumn = None,
    out_source: Annotated[Path | None, typer.Option(help="The clean source side; .gz too.")] = None,
    out_target: Annotated[Path | None, typer.Option(help="The clean target side.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Both in one file instead: .tsv.")] = None,
    removed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was removed and why, a JSON object a line.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the account there too.")] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="KIND,KIND", help="Remove pairs for these faults only; see docs/doctor.md.")
    ] = None,
    also: Annotated[
        str | None, typer.Option(metavar="KIND,KIND", help="Remove pairs for these faults too, e.g. perhaps-unrelated.")
    ] = None,
    keep: Annotated[str | None, typer.Option(metavar="KIND,KIND", help="Do not remove them for these.")] = None,
    mend: Annotated[
        bool, typer.Option(help="Make line separators spaces, and take out control and invisible characters.")
    ] = False,
) -> None:
    """Write a corpus without the pairs that have faults; what was removed is counted, and kept with the reasons."""
    from regard.cli import inspect_clean
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    patient = inspect_clean.Patient(
        CorpusPaths(source, target, data),
        CorpusPaths(dev_source, dev_target, dev_data, _named("dev")),
        CorpusPaths(test_source, test_target, test_data, _named("test")),
        Sides(source_language or "", target_language or "", source_column or "", target_column or ""),
    )
    outputs = inspect_clean.Outputs(out_source, out_target, out, removed, report)
    inspect_clean.tidy(patient, outputs, inspect_clean.wanted(drop, also, keep, mend))
