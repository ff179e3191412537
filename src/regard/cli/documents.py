"""`regard translate` of a document: filled, checked, written whole or not at all, and accounted for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from regard.cli.commands import Job
from regard.cli.streams import output, refuse_same, write_bytes
from regard.cli.translate import Wanted, Written
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.unsupported import MARKUP, format_by_name
from regard.documents.document import Columns, Document, Languages
from regard.documents.open import OPENERS, open_document
from regard.documents.translate import Outcome, Report, Request, Said, fill
from regard.errors import ConfigError, DataError
from regard.inference.translator import Constraints, Translator

TOLD = 5  # entries that were left, by name; all of them are in the report


@dataclass(frozen=True)
class Wishes:
    """What is said of the document beside its name."""

    paragraphs: bool
    plain: bool  # the input is lines of text, whatever its name says
    columns: Columns
    languages: Languages


def is_document(path: Path | None, wishes: Wishes) -> bool:
    """Return whether the input is read as a document.

    Raises ConfigError for options that only a document has, and DataError for a format that is not supported.
    """
    if wishes.plain and wishes.paragraphs:
        raise ConfigError("text is either lines or paragraphs", where="--plain, --paragraphs", fix="leave one out")
    if wishes.paragraphs or (path is not None and format_suffix(path) in OPENERS and not wishes.plain):
        return True
    if path is not None and not wishes.plain and (what := format_by_name(path)):
        known = ", ".join(OPENERS)
        fix = f"export it, or its text, in a format that is: {known}, or .txt in UTF-8"
        if format_suffix(path) in MARKUP:
            fix = f"give it in a format that is: {known}; --plain translates every line as it is, keys and tags too"
        raise DataError(f"the file is {what}, which is not supported", where=path, fix=fix)
    if any((wishes.columns != Columns(), wishes.languages != Languages())):
        raise ConfigError(
            "columns and languages are those of a document, and the input is lines of text",
            where="standard input" if path is None else path,
            fix=f"name a file that ends in {', '.join(OPENERS)}, or leave these options out",
        )
    return False


def translate_document(job: Job, wanted: Wanted, written: Written, wishes: Wishes) -> None:
    """See regard.documents.translate.fill."""
    _refuse_lines_only(job, wanted, written)
    refuse_same([job.input], [job.output, written.report])
    if job.input is None:
        raise ConfigError("paragraphs are read from a file", where="--paragraphs", fix="name it by --input")
    translator = job.translator()
    languages = Languages(
        wishes.languages.source or translator.source_language, wishes.languages.target or translator.target_language
    )
    document = open_document(job.input, languages, wishes.columns, paragraphs=wishes.paragraphs)
    outcome = fill(
        document,
        _Asking(translator, job, wanted, document),
        language=languages.source.replace("_", "-").split("-")[0],
        split=not translator.trained_on_several if wanted.split_sentences is None else wanted.split_sentences,
        requires=wanted.search.get("strategy", translator.search.strategy) == "beam",
    )
    write_bytes(job.output, outcome.data)
    if written.report is not None:
        with output(written.report) as write:
            for report in outcome.reports:
                write(_line(document, report))
    _tell(document, outcome)


class _Asking:
    """Translates what the document asks for, with the search that was asked for."""

    def __init__(self, translator: Translator, job: Job, wanted: Wanted, document: Document) -> None:
        self.translator = translator
        self.job = job
        self.wanted = wanted
        self.with_attention = any(segment.marked.marks for segment in document.segments)

    def __call__(self, requests: Sequence[Request]) -> list[Said]:
        constraints = None
        if any(request.require for request in requests):
            constraints = [Constraints(require=request.require) for request in requests]
        texts = [request.text for request in requests]
        found = self.translator.stream(
            texts,
            constraints=constraints,
            batch_size=self.job.batch_size,
            fallback=self.wanted.fallback,
            with_attention=self.with_attention,
            split_sentences=False,
            **self.wanted.search,
        )
        return [Said(best.text, best.alignment, best.marks) for best in found]


def _refuse_lines_only(job: Job, wanted: Wanted, written: Written) -> None:
    given = {
        "--top-beams": wanted.top_beams > 1,
        "--constraints": wanted.constraints is not None,
        "--scores": written.scores,
        "--alignments": written.alignments is not None,
        "--workers": job.workers > 1,
    }
    for option, is_given in given.items():
        if is_given:
            raise ConfigError(
                "it goes with lines of text, and the input is a document", where=option, fix="leave the option out"
            )


def _line(document: Document, report: Report) -> str:
    table: dict[str, Any] = {"file": document.name, "line": report.line}
    table |= {"why": report.why} if report.why else {"marks": list(report.marks)}
    return json.dumps({**table, "source": report.source, "translation": report.translation}, ensure_ascii=False) + "\n"


def _tell(document: Document, outcome: Outcome) -> None:
    console = Console(stderr=True)

    def tell(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    left = [report for report in outcome.reports if report.why]
    for report in left[:TOLD]:
        tell(f"left: {document.name}:{report.line}: {report.why}")
    if len(left) > TOLD:
        tell(f"left: {len(left) - TOLD:,} more")
    tell(
        f"{outcome.entries:,} entries: {outcome.filled:,} filled, {len(left):,} left untranslated, "
        f"{outcome.done:,} translated before"
    )
    ways = [f"{outcome.ways[way]:,} {said}" for way, said in _WAYS.items() if outcome.ways[way]]
    if ways:
        tell(f"sentences: {', '.join(ways)}")


_WAYS = {
    "whole": "as they are",
    "required": "with what was lost required",
    "parts": "in parts between placeholders",
    "left": "not",
}
