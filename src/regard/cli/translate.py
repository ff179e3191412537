"""`regard translate`: translate text line by line, or a document in its own format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import (
    COLUMN,
    HARDWARE,
    INPUT,
    LANGUAGES,
    OUTPUT,
    SEARCH,
    BatchSize,
    BeamSize,
    DeviceOption,
    Ensemble,
    Glossary,
    GlossaryMethod,
    LengthPenalty,
    OldSearch,
    Patience,
    PrecisionOption,
    Run,
    SearchSettings,
    SplitSentences,
    Tags,
    option,
)
from regard.errors import ConfigError

EXAMPLES = """
regard translate runs/en-de < input.txt > output.txt
regard translate runs/en-de -i manual.po -o manual.de.po
regard translate runs/en-de -i input.txt --beam-size 8 --scores
regard translate runs/en-de -i manual.docx --glossary terms.tsv
regard translate runs/en-de -i input.txt --confidence --min-confidence 0.5
regard translate runs/en-de -i large.txt.zst -o large.de.txt --ray auto
"""


def translate(
    run: Run,
    input_: Annotated[
        Path | None,
        option(
            "FILE",
            "File to translate; .gz, .xz and .zst are unpacked. Rows of .parquet are translated like lines.",
            INPUT,
            "-i",
            "--input",
            show_default="standard input",
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Read the input as lines of text, whatever its name.", rich_help_panel=INPUT),
    ] = False,
    paragraphs: Annotated[
        bool,
        typer.Option(
            "--paragraphs",
            help="Read the input as paragraphs of plain text, and translate sentence by sentence.",
            rich_help_panel=INPUT,
        ),
    ] = False,
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
    top_beams: Annotated[int, option("N", "Number of translations to print per line, best first.", OUTPUT, min=1)] = 1,
    scores: Annotated[
        bool,
        typer.Option("--scores", help="Print the score and a tab before each translation.", rich_help_panel=OUTPUT),
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence",
            help="Print before each translation the probability that it is right, and a tab; --report has it for each "
            "word. For a document, only --report has it.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    min_confidence: Annotated[
        float | None,
        option(
            "P",
            "Leave sentences untranslated whose translation is right with a lower probability than this.",
            OUTPUT,
            min=0,
            max=1,
            show_default="translate all",
        ),
    ] = None,
    alignments: Annotated[
        Path | None, option("FILE", "Write word alignments in Pharaoh format: 0-0 1-2 ...", OUTPUT)
    ] = None,
    report: Annotated[
        Path | None, option("FILE", "Write a JSON object for each line whose translation looks degenerate.", OUTPUT)
    ] = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    patience: Patience = None,
    split_sentences: SplitSentences = None,
    constraints: Annotated[
        Path | None,
        option(
            "FILE",
            'A JSON object for each input line: {"require": ["..."], "forbid": ["..."], "prefix": "..."}.',
            SEARCH,
        ),
    ] = None,
    glossary: Glossary = "",
    glossary_method: GlossaryMethod = "auto",
    fallback: Annotated[
        list[str] | None,
        option(
            "KEY=VALUE",
            "Search setting with which degenerate translations are searched again, e.g. no_repeat=3. Can be repeated.",
            SEARCH,
        ),
    ] = None,
    keep_numbers: Annotated[
        bool,
        typer.Option(
            "--keep-numbers",
            help="Search again where a translation lacks a number, URL or e-mail address of its source.",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    settings: SearchSettings = None,
    search: OldSearch = None,
    source_column: Annotated[
        str,
        option(
            "COLUMN",
            f"Column of a table or of Parquet to translate: {COLUMN}; several with commas, as in 1,3.",
            LANGUAGES,
            show_default="`source`, the language, or the first of two",
        ),
    ] = "",
    target_column: Annotated[
        str,
        option(
            "COLUMN",
            "Column of a table to write translations to; it is added if it does not exist.",
            LANGUAGES,
            show_default="`target`, the language, or the second of two",
        ),
    ] = "",
    keys: Annotated[
        list[str] | None,
        option(
            "PATTERN",
            "Keys of a JSON, YAML or other file of strings whose values are translated, such as '*.title'; with ! "
            "before it, keys that are not. Can be repeated.",
            LANGUAGES,
            show_default="all values that are text",
        ),
    ] = None,
    source_keys: Annotated[
        bool,
        typer.Option(
            "--source-keys",
            help="Translate the keys of a file of strings: fill values that are empty or the same as their key.",
            rich_help_panel=LANGUAGES,
        ),
    ] = False,
    source_language: Annotated[
        str, option("LANG", "Language code of the source in a document.", LANGUAGES, show_default="the run's")
    ] = "",
    target_language: Annotated[
        str, option("LANG", "Language code of the target in a document.", LANGUAGES, show_default="the run's")
    ] = "",
    ensemble: Ensemble = None,
    tag: Tags = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    batch_size: BatchSize = 64,
    workers: Annotated[
        int,
        option(
            "N", "Number of processes on a CPU, or of actors with --ray; 0 chooses what is fastest.", HARDWARE, min=0
        ),
    ] = 0,
    ray: Annotated[
        str,
        option(
            "ADDRESS",
            "Translate on a Ray cluster: HOST:PORT, `auto` for the one that runs on this machine, or `local` to "
            "start one. Needs --input and --output on a file system that all nodes share. If it is interrupted, the "
            "same command continues.",
            HARDWARE,
            show_default="no cluster",
        ),
    ] = "",
) -> None:
    """Translate text line by line, or a document in its own format.

    Line i of the output is the translation of line i of the input. In a document (.po, .xlf, .tmx, .tsv, .csv, .srt,
    .vtt, .md, .html, .json, .arb, .yaml, .properties, .strings, .stringsdict, .xcstrings, .ftl, .xml of Android,
    .resx, .ipynb, .docx, .pptx, .xlsx, .odt, .odp, .ods, .epub) only text is translated, and everything else stays as
    it is. The text of a .pdf is written as Markdown.
    """
    from regard.cli.search_settings import search_settings
    from regard.cli.translate_options import DocumentOptions, OutputOptions, SearchRequest, is_parquet
    from regard.cli.translator_options import TranslatorOptions

    model = TranslatorOptions(run, device, precision, ensemble or (), tag or ())
    request = SearchRequest(
        search=search_settings(
            settings,
            search,
            beam_size=beam_size,
            length_penalty=length_penalty,
            patience=patience,
            keep_numbers=keep_numbers or None,
        ),
        fallback=search_settings(fallback, option="--fallback") if fallback else None,
        top_beams=top_beams,
        constraints=constraints,
        split_sentences=split_sentences,
        min_confidence=min_confidence,
        batch_size=batch_size,
        workers=workers,
        ray=ray,
        column=source_column if is_parquet(input_) else None,
        glossary=glossary,
        glossary_method=glossary_method,
    )
    outputs = OutputOptions(output, scores=scores, confidence=confidence, alignments=alignments, report=report)
    columns = (source_column, target_column)
    languages = (source_language, target_language)
    document = DocumentOptions(paragraphs, plain, *columns, *languages, tuple(keys or ()), source_keys)
    if document.apply_to(input_):
        if ray:
            raise ConfigError(
                "a document is translated on one machine", where="--ray", fix="give lines of text or Parquet"
            )
        from regard.cli.translate_document import translate_document

        translate_document(model, input_, request, outputs, document)
    else:
        from regard.cli.translate_lines import translate_lines

        translate_lines(model, input_, request, outputs)
