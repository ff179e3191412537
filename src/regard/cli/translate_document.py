"""Translate a document and write it in its own format."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.cli.glossary_option import load_glossary
from regard.cli.streams import output, refuse_same, write_bytes
from regard.cli.translate_options import DocumentOptions, OutputOptions, SearchRequest
from regard.cli.translator_options import TranslatorOptions
from regard.console import say
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.sides import Sides
from regard.corpus.language_codes import base_code
from regard.corpus.paths import check_source_columns, infer_sides
from regard.documents.document import Columns, Document, LanguagePair
from regard.documents.open import CONTAINERS, CONVERTED, open_document
from regard.documents.translate import DocumentResult, EntryReport, TranslatedText, TranslationRequest, fill_document
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.config.schema import RunConfig
    from regard.inference.translator import Translator
    from regard.terms.glossary import Glossary

SHOWN_ENTRIES = 5  # untranslated entries that are printed; the report has all of them


def translate_document(
    model: TranslatorOptions,
    path: Path | None,
    request: SearchRequest,
    outputs: OutputOptions,
    options: DocumentOptions,
) -> None:
    """Fill the untranslated entries of a document, write it, and print how many are filled.

    The document is read before the model is loaded, so that errors in it are reported at once.

    Raises:
        ConfigError: An option does not apply to documents.
        DataError: The document cannot be read or written.
        CheckpointError: The model cannot be loaded.
        DecodingError: The search fails.
    """
    _refuse_options_for_lines(request, outputs)
    if path is not None and outputs.text is None and format_suffix(path) in CONTAINERS and sys.stdout.isatty():
        raise ConfigError("the document is not text for a terminal", where="--output", fix="name a file to write")
    refuse_same([path, Path(request.glossary)], outputs.files())
    _refuse_format_of_output(path, outputs.text)
    glossary = load_glossary(request.glossary, model)
    if path is None:
        raise ConfigError("paragraphs are read from a file", where="--paragraphs", fix="name the file by --input")
    languages = _languages(model, options)
    sides = _columns(model, path, options)
    columns = Columns(sides.source_column, sides.target_column, options.keys, options.keys_are_source)
    document = open_document(path, languages, columns, paragraphs=options.paragraphs)
    _check_columns(model, path, document)
    translator = model.load()
    split = not translator.trained_on_several if request.split_sentences is None else request.split_sentences
    outcome = fill_document(
        document,
        _SegmentTranslator(translator, request, document, glossary, with_confidence=outputs.confidence),
        language=base_code(languages.source),
        split=split,
        requires=request.search.get("strategy", translator.search.strategy) == "beam",
    )
    write_bytes(outputs.text, outcome.data)
    if outputs.report is not None:
        with output(outputs.report) as write:
            for report in outcome.reports:
                write(_report_line(document, report))
    _say_outcome(document, outcome)


def _languages(model: TranslatorOptions, options: DocumentOptions) -> LanguagePair:
    """Return the languages that the user names, or those of the run. Raise CheckpointError if it cannot be read."""
    data = _load_config(model).data
    source = options.source_language or data.source_language
    return LanguagePair(source, options.target_language or data.target_language)


def _load_config(model: TranslatorOptions) -> RunConfig:
    from regard.checkpoints.checkpoint import load_config
    from regard.checkpoints.run_folder import resolve_checkpoint

    return load_config(resolve_checkpoint(model.run))


def _columns(model: TranslatorOptions, path: Path, options: DocumentOptions) -> Sides:
    """Return the columns of a table to translate: those that the user names, or else several of the recipe.

    Raises:
        CheckpointError: The run cannot be read.
        ConfigError: The user names another number of columns than the sources of the run have.
    """
    config = _load_config(model)
    sides = Sides(source_column=options.source_column, target_column=options.target_column)
    if not config.tokenizer.source_columns:
        return sides
    sides = infer_sides(config.data, path, sides)
    check_source_columns(config, sides, path)
    return sides


def _check_columns(model: TranslatorOptions, path: Path, document: Document) -> None:
    """Raise ConfigError if a document has sources with several columns and the run has not, or the reverse."""
    columns = len(_load_config(model).tokenizer.source_columns)
    if document.segments and columns and not document.segments[0].has_columns:
        raise ConfigError(
            f"the sources of the run have {columns} columns",
            where=path,
            fix="give a table (.tsv, .csv) with --source-column, or lines with a tab between the columns",
        )
    if document.segments and not columns and document.segments[0].has_columns:
        raise ConfigError(
            "the sources of the run are text without columns", where="--source-column", fix="name a single column"
        )


class _SegmentTranslator:
    """Translates segments of a document with the search that the user has chosen."""

    def __init__(
        self,
        translator: Translator,
        request: SearchRequest,
        document: Document,
        glossary: Glossary | str | None,
        *,
        with_confidence: bool,
    ) -> None:
        self.translator = translator
        self.request = request
        self.glossary = glossary
        self.with_confidence = with_confidence or request.min_confidence is not None
        self.has_markup = any(segment.content.tags for segment in document.segments)

    def __call__(self, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        from regard.inference.confidence import to_document_text
        from regard.inference.translator import Constraints

        constraints = None
        if any(request.require for request in requests):
            constraints = [Constraints(require=request.require) for request in requests]
        texts = [request.text for request in requests]
        results = self.translator.stream(
            texts,
            constraints=constraints,
            batch_size=self.request.batch_size,
            fallback=self.request.fallback,
            with_attention=self.has_markup,
            with_confidence=self.with_confidence,
            split_sentences=False,
            glossary=self.glossary,
            glossary_method=self.request.glossary_method,
            **self.request.search,
        )
        return [to_document_text(best, self.request.min_confidence) for best in results]


def _refuse_options_for_lines(request: SearchRequest, outputs: OutputOptions) -> None:
    """Raise ConfigError for an option that applies to lines of text only."""
    uses = {
        "--top-beams": request.top_beams > 1,
        "--constraints": request.constraints is not None,
        "--scores": outputs.scores,
        "--alignments": outputs.alignments is not None,
        "--workers": request.workers > 1,
    }
    for option, is_used in uses.items():
        if is_used:
            raise ConfigError(
                "it applies to lines of text, but the input is a document", where=option, fix="remove the option"
            )
    if outputs.confidence and outputs.report is None:
        raise ConfigError(
            "a document has no place for confidences", where="--confidence", fix="add --report FILE, which lists them"
        )


def _refuse_format_of_output(path: Path | None, written: Path | None) -> None:
    """Raise ConfigError if the name of the output says that it has a format that cannot be written."""
    if path is None or written is None or format_suffix(path) != format_suffix(written):
        return
    if suffix := CONVERTED.get(format_suffix(path)):
        raise ConfigError(
            f"a {format_suffix(path)[1:].upper()} is not written; its translation is Markdown",
            where=written,
            fix=f"name the output {written.with_suffix(suffix).name}",
        )


def _report_line(document: Document, report: EntryReport) -> str:
    table: dict[str, Any] = {"file": document.name}
    table |= {"part": report.part, "paragraph": report.line} if report.part else {"line": report.line}
    table |= {"why": report.reason} if report.reason else {"marks": list(report.marks)}
    if report.confidence is not None:
        table["confidence"] = round(report.confidence.value, 4)
        table["words"] = [{"word": word, "confidence": round(value, 4)} for word, value in report.confidence.words]
    return json.dumps({**table, "source": report.source, "translation": report.translation}, ensure_ascii=False) + "\n"


def _say_outcome(document: Document, outcome: DocumentResult) -> None:
    untranslated = [report for report in outcome.reports if report.reason]
    for report in untranslated[:SHOWN_ENTRIES]:
        place = f" ({report.part}, paragraph {report.line})" if report.part else f":{report.line}"
        say(f"not translated: {document.name}{place}: {report.reason}")
    if len(untranslated) > SHOWN_ENTRIES:
        say(f"not translated: {len(untranslated) - SHOWN_ENTRIES:,} more")
    say(
        f"{outcome.entries:,} entries: {outcome.filled:,} filled, {len(untranslated):,} not translated, "
        f"{outcome.already_translated:,} already translated"
    )
    counts = [f"{outcome.methods[way]:,} {text}" for way, text in _WAYS.items() if outcome.methods[way]]
    if counts:
        say(f"sentences: {', '.join(counts)}")


_WAYS = {
    "whole": "translated whole",
    "required": "translated with the placeholders required",
    "parts": "translated in parts between placeholders",
    "failed": "not translated",
}
