"""`regard corrections`: show and export the corrections that `regard serve` has kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import OUTPUT, option
from regard.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from regard.corpus.corrections import Correction

EXAMPLES = """
regard corrections corrections.sqlite
regard corrections corrections.sqlite -o corrections.tmx
"""
SHOWN = 10  # corrections, by default


def corrections(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store of `regard serve --corrections`.")],
    last: Annotated[int, option("N", "Show the last N corrections.", OUTPUT, min=0)] = SHOWN,
    after: Annotated[
        int, option("N", "Leave out the corrections up to number N, as after an earlier export.", OUTPUT, min=0)
    ] = 0,
    output: Annotated[
        Path | None,
        option(
            "FILE",
            "Instead, write all of them to a file: .tmx, or .tsv with all that is known of each.",
            OUTPUT,
            "-o",
            "--output",
        ),
    ] = None,
) -> None:
    """Show or export the corrections that a server has kept."""
    from regard.cli.streams import output as open_output
    from regard.cli.streams import refuse_same
    from regard.console import say
    from regard.corpus.corrections import CorrectionStore
    from regard.corpus.corrections_export import tmx_lines, tsv_lines

    rows = [
        (number, correction)
        for number, correction in CorrectionStore(store).read()
        if correction is not None and number > after
    ]
    if output is None:
        _show(rows, last)
        return
    writers = {".tmx": tmx_lines, ".tsv": tsv_lines}
    suffix = next((suffix for suffix in writers if suffix in map(str.lower, output.suffixes)), None)
    if suffix is None:
        raise ConfigError("the formats are TMX and TSV", where=output, fix="name it FILE.tmx or FILE.tsv")
    refuse_same([store], [output])
    with open_output(output) as write:
        for line in writers[suffix](rows):
            write(line)
    say(f"{_count(rows)} written to {output}")


def _show(rows: list[tuple[int, Correction]], last: int) -> None:
    """Print how many corrections there are of each pair of languages, and the last ones."""
    from collections import Counter

    from regard.cli.streams import output

    counts = Counter((row.source_language, row.target_language) for _, row in rows)
    with output(None) as write:
        write(f"{_count(rows)}\n")
        for (source, target), count in counts.most_common():
            write(f"{source}-{target}: {count:,}\n")
        for number, correction in rows[len(rows) - min(last, len(rows)) :]:
            write(f"\n{number}  {_describe(correction)}\n")
            for name, text in _texts(correction):
                write(f"  {name:11} {' '.join(text.split())}\n")


def _count(rows: list[tuple[int, Correction]]) -> str:
    return f"{len(rows):,} {'correction' if len(rows) == 1 else 'corrections'}"


def _describe(correction: Correction) -> str:
    step = "" if correction.step is None else f", step {correction.step:,}"
    model = f"  {correction.model}{step}" if correction.model else ""
    origin = f"  {correction.origin}" if correction.origin else ""
    return f"{correction.time}  {correction.source_language}-{correction.target_language}{model}{origin}"


def _texts(correction: Correction) -> Iterable[tuple[str, str]]:
    yield "source", correction.source
    if correction.translation is not None:
        yield "translation", correction.translation
    yield "corrected", correction.target
