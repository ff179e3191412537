"""`regard clean`: write a corpus without the pairs that have faults."""

from __future__ import annotations

import difflib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import (
    OUTPUT,
    CorpusData,
    CorpusSource,
    CorpusSourceColumn,
    CorpusSourceLanguage,
    CorpusTarget,
    CorpusTargetColumn,
    CorpusTargetLanguage,
    DevData,
    DevSource,
    DevTarget,
    TestData,
    TestSource,
    TestTarget,
    option,
)
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.corpus_checks.cleaning import CleaningOptions, CleaningSummary
    from regard.corpus_checks.findings import FaultKind
    from regard.corpus_checks.inspection import CorpusInspector

EXAMPLES = """
regard clean --data train.tmx -o clean.tsv --removed removed.jsonl
regard clean --data train.tsv --output-source a.en --output-target a.de
"""
FAULTS = "Faults"


@dataclass(frozen=True)
class CleanOutputs:
    """Where the clean corpus goes: two files of lines, or one TSV file."""

    source: Path | None
    target: Path | None
    tsv: Path | None

    def files(self) -> list[Path]:
        """Return the files of the corpus. Raise ConfigError if it is not clear which they are."""
        is_plain = self.source is not None and self.target is not None
        if is_plain == (self.tsv is not None) or (self.source is None) != (self.target is None):
            raise ConfigError(
                "it is not clear where to write the clean corpus",
                where="--output-source, --output-target, --output",
                fix="give both --output-source and --output-target, or --output FILE.tsv",
            )
        if self.tsv is not None:
            from regard.corpus.formats.compressed import format_suffix

            if format_suffix(self.tsv) != ".tsv":
                raise ConfigError("the only format is TSV", where=self.tsv, fix="name it FILE.tsv or FILE.tsv.gz")
        return [path for path in (self.source, self.target, self.tsv) if path is not None]


def clean(
    source: CorpusSource = None,
    target: CorpusTarget = None,
    data: CorpusData = None,
    dev_source: DevSource = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    test_source: TestSource = None,
    test_target: TestTarget = None,
    test_data: TestData = None,
    source_language: CorpusSourceLanguage = "",
    target_language: CorpusTargetLanguage = "",
    source_column: CorpusSourceColumn = "",
    target_column: CorpusTargetColumn = "",
    drop: Annotated[
        str | None,
        option(
            "KIND,KIND",
            "Kinds of fault to remove pairs for; `regard inspect` names them.",
            FAULTS,
            show_default="all but the doubtful ones",
        ),
    ] = None,
    also: Annotated[
        str | None, option("KIND,KIND", "More kinds to remove pairs for, such as perhaps-unrelated.", FAULTS)
    ] = None,
    keep: Annotated[str | None, option("KIND,KIND", "Kinds not to remove pairs for.", FAULTS)] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Replace line separators by spaces, and delete control and invisible characters.",
            rich_help_panel=FAULTS,
        ),
    ] = False,
    mend: Annotated[bool, typer.Option("--mend", hidden=True)] = False,
    output: Annotated[
        Path | None,
        option("FILE", "Clean corpus as one file: .tsv, or .tsv.gz and the like.", OUTPUT, "-o", "--output", "--out"),
    ] = None,
    output_source: Annotated[
        Path | None,
        option("FILE", "Instead, the source side as lines of text.", OUTPUT, "--output-source", "--out-source"),
    ] = None,
    output_target: Annotated[
        Path | None, option("FILE", "Its target side.", OUTPUT, "--output-target", "--out-target")
    ] = None,
    removed: Annotated[
        Path | None, option("FILE", "Write a JSON object for each removed pair, with the reasons.", OUTPUT)
    ] = None,
    report: Annotated[Path | None, option("FILE", "Write the printed summary to a file as well.", OUTPUT)] = None,
) -> None:
    """Write a corpus without the pairs that have faults, and print how many were removed, and why."""
    from regard.cli.corpus_inputs import CorpusInputs
    from regard.cli.streams import output as open_output
    from regard.cli.streams import refuse_same
    from regard.console import say
    from regard.corpus.formats.sides import Sides
    from regard.corpus.parallel_text import ParallelText
    from regard.corpus.source_columns import requested_columns

    if mend:
        say("--mend is the old name of --repair")
    inputs = CorpusInputs.of(
        (source, target, data),
        (dev_source, dev_target, dev_data),
        (test_source, test_target, test_data),
        Sides(source_language, target_language, source_column, target_column),
    )
    if len(requested_columns(source_column)) > 1:
        fix = "check the table with `regard inspect`, and correct it"
        raise ConfigError("a clean corpus has one source column", where="--source-column", fix=fix)
    outputs = CleanOutputs(output_source, output_target, output)
    options = chosen_faults(drop, also, keep, repair=repair or mend)
    refuse_same(inputs.files(), [*outputs.files(), removed, report])
    corpus = inputs.open_train()
    if isinstance(corpus, ParallelText) and (error := corpus.length_mismatch()):
        raise error
    summary = _summary(options, *_write(inputs.read(), options, outputs, removed))
    for line in summary:
        say(line)
    if report is not None:
        with open_output(report) as write:
            write("".join(f"{line}\n" for line in summary))


def chosen_faults(drop: str | None, also: str | None, keep: str | None, *, repair: bool) -> CleaningOptions:
    """Return the kinds of fault that pairs are removed for, and those that are repaired.

    Raises:
        ConfigError: A kind is unknown.
    """
    from regard.corpus_checks.cleaning import CleaningOptions
    from regard.corpus_checks.findings import DROPPED_BY_DEFAULT, REPAIRABLE

    chosen = set(DROPPED_BY_DEFAULT if drop is None else _kinds(drop, "--drop")) | set(_kinds(also or "", "--also"))
    return CleaningOptions(
        drop=frozenset(chosen - set(_kinds(keep or "", "--keep"))), repair=REPAIRABLE if repair else ()
    )


def _kinds(names: str, option: str) -> list[FaultKind]:
    from regard.corpus_checks.cleaning import parse_kinds
    from regard.corpus_checks.findings import FaultKind

    try:
        return list(parse_kinds(names))
    except ValueError:
        unknown = next(name for name in map(str.strip, names.split(",")) if name and name not in list(FaultKind))
        near = difflib.get_close_matches(unknown, list(FaultKind), n=1)
        fix = f"did you mean {near[0]}?" if near else f"choose from {', '.join(FaultKind)}"
        raise ConfigError(f"there is no kind of fault {unknown!r}", where=option, fix=fix) from None


def _write(
    inspector: CorpusInspector, options: CleaningOptions, outputs: CleanOutputs, removed: Path | None
) -> tuple[CleaningSummary, int]:
    """Write the clean corpus. Return its summary, and how many pairs had tabs or line breaks inside."""
    from regard.cli.streams import output
    from regard.console import status
    from regard.corpus_checks import cleaning
    from regard.corpus_checks.reading import join_lines

    joined = 0
    with ExitStack() as stack, status("cleaning ..."):
        writers = [stack.enter_context(output(path, keep_partial=True)) for path in outputs.files()]
        write_removed = stack.enter_context(output(removed, keep_partial=True)) if removed else None

        def keep(source: str, target: str) -> None:
            nonlocal joined
            to_field = cleaning.to_tsv_field if outputs.tsv is not None else join_lines
            texts = to_field(source), to_field(target)
            joined += texts != (source, target)
            lines = ["\t".join(texts)] if outputs.tsv is not None else texts
            for write, line in zip(writers, lines, strict=True):
                write(line + "\n")

        def remove(line: str) -> None:
            if write_removed is not None:
                write_removed(line + "\n")

        cleaning_summary = cleaning.clean(inspector, options, keep, remove)
    return cleaning_summary, joined


def _summary(options: CleaningOptions, cleaning_summary: CleaningSummary, joined: int) -> list[str]:
    from regard.corpus_checks.findings import FaultKind

    kinds = ", ".join(kind.value for kind in FaultKind if kind in options.drop)
    summary = [f"removed for: {kinds or 'no fault'}", *cleaning_summary.sentences()]
    if joined:
        summary.append(f"{joined:,} of the kept pairs had tabs or line breaks inside, which are spaces now")
    return summary
