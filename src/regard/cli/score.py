"""`regard score`: the probability of given translations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from regard.cli.options import (
    OUTPUT,
    BatchSize,
    Data,
    DeviceOption,
    Run,
    Source,
    SourceColumn,
    SourceLanguage,
    Tags,
    Target,
    TargetColumn,
    TargetLanguage,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regard.corpus.corpus import Pair
    from regard.corpus.paths import CorpusPaths
    from regard.inference.translator import Translator

EXAMPLES = """
regard score runs/en-de --source test.en --target test.de
regard score runs/en-de --data memory.tmx -o scores.tsv
"""


def score(
    run: Run,
    source: Source = None,
    target: Target = None,
    data: Data = None,
    source_language: SourceLanguage = "",
    target_language: TargetLanguage = "",
    source_column: SourceColumn = "",
    target_column: TargetColumn = "",
    output: Annotated[
        Path | None,
        option(
            "FILE",
            "File to write; compressed if it ends in .gz, .xz or .zst.",
            OUTPUT,
            "-o",
            "--output",
            show_default="standard output",
        ),
    ] = None,
    tag: Tags = None,
    device: DeviceOption = "auto",
    batch_size: BatchSize = 64,
) -> None:
    """Print the log-probability of each target given its source, one per line.

    It is the sum over the target's tokens and the end of the sentence, in nats. With --data each line begins with the
    line number of the pair and a tab.
    """
    from regard.cli import streams
    from regard.cli.test_set import TestSetFiles
    from regard.cli.translator_options import TranslatorOptions
    from regard.console import say
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    place = CorpusPaths(source, target, data, ("--source", "--target", "--data"))
    streams.refuse_same(place.files(), [output])
    test_set = TestSetFiles(place, Sides(source_language, target_language, source_column, target_column))
    pairs, skipped = test_set.pairs(run)
    translator = TranslatorOptions(run, device, tags=tag or ()).load()
    _check_pairs(pairs, place, translator)
    for message in skipped.sentences():
        say(message)
    texts = ((pair.source, pair.target) for pair in pairs)
    with streams.output(output, keep_partial=True) as write:
        for pair, value in zip(pairs, translator.score(texts, batch_size=batch_size), strict=True):
            write(f"{value:.6f}\n" if data is None else f"{pair.line}\t{value:.6f}\n")


def _check_pairs(pairs: Sequence[Pair], place: CorpusPaths, translator: Translator) -> None:
    """Raise DataError for a pair that has no source, or is too long."""
    from regard.errors import DataError

    tokenizers = translator.tokenizers
    for pair in pairs:
        where = f"{place.source or place.data}:{pair.line}"
        if not pair.source.strip():
            raise DataError("the pair has no source", where=where, fix="remove the line from both files")
        for text, tokenizer in ((pair.source, tokenizers.source), (pair.target, tokenizers.target)):
            if not translator.fits(text.strip(), tokenizer):
                raise DataError(
                    f"one side has more than {translator.longest:,} tokens, and pairs cannot be split",
                    where=where,
                    fix="split the pair, or remove it",
                )
