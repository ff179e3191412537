"""`regard evaluate`: the quality of the translation of a test set."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from regard.cli.options import (
    OUTPUT,
    SEARCH,
    BatchSize,
    BeamSize,
    Data,
    DeviceOption,
    Ensemble,
    Glossary,
    GlossaryMethod,
    LengthPenalty,
    OldSearch,
    Patience,
    PrecisionOption,
    Reference,
    Run,
    SearchSettings,
    Source,
    SourceColumn,
    SourceLanguage,
    Tags,
    TargetColumn,
    TargetLanguage,
    Tokenized,
)

EXAMPLES = """
regard evaluate runs/en-de --source test.en --reference test.de
regard evaluate runs/en-de --data test.tsv --beam-size 8 --json
"""


def evaluate(
    run: Run,
    source: Source = None,
    reference: Reference = None,
    data: Data = None,
    source_language: SourceLanguage = "",
    target_language: TargetLanguage = "",
    source_column: SourceColumn = "",
    target_column: TargetColumn = "",
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.", rich_help_panel=OUTPUT)
    ] = False,
    tokenized: Tokenized = False,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    patience: Patience = None,
    split_sentences: Annotated[
        bool,
        typer.Option(
            "--split-sentences",
            help="Translate each sentence of a line separately.",
            show_default="no",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    glossary: Glossary = "",
    glossary_method: GlossaryMethod = "auto",
    settings: SearchSettings = None,
    search: OldSearch = None,
    ensemble: Ensemble = None,
    tag: Tags = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    batch_size: BatchSize = 64,
) -> None:
    """Translate a test set, and print its BLEU, chrF and TER, as sacreBLEU computes them."""
    from regard.cli.glossary_option import load_glossary
    from regard.cli.search_settings import search_settings
    from regard.cli.streams import output
    from regard.cli.test_set import TestSetFiles
    from regard.cli.translate_lines import say_proofs
    from regard.cli.translator_options import TranslatorOptions
    from regard.console import say, track
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths
    from regard.errors import DataError

    overrides = search_settings(settings, search, beam_size=beam_size, length_penalty=length_penalty, patience=patience)
    place = CorpusPaths(source, reference, data, ("--source", "--reference", "--data"))
    test_set = TestSetFiles(place, Sides(source_language, target_language, source_column, target_column))
    pairs, skipped = test_set.pairs(run)
    if not pairs:
        raise DataError("the test set has no lines", where=source, fix="give a test set with at least one line")
    for message in skipped.sentences():
        say(message)
    model = TranslatorOptions(run, device, precision, ensemble or (), tag or ())
    terms = load_glossary(glossary, model)
    translator = model.load()
    start = time.monotonic()
    results = translator.stream(
        (pair.source for pair in pairs),
        batch_size=batch_size,
        split_sentences=split_sentences,
        glossary=terms,
        glossary_method=glossary_method,
        **overrides,
    )
    best = list(track(results, "translating", len(pairs)))
    seconds = time.monotonic() - start
    say_proofs(Counter(translation.proved for translation in best))
    from regard.evaluation.metrics import measure, plugin_scores

    texts = [translation.text for translation in best], [pair.target for pair in pairs]
    language = target_language or translator.target_language
    quality = measure(*texts, target_language=language, tokenized=tokenized)
    further_scores = plugin_scores(*texts)
    with output(None) as write:
        if json_:
            counts = {"lines": len(pairs), "left_aside": skipped.sentences(), "seconds": round(seconds, 2)}
            write(json.dumps({**asdict(quality), **further_scores, **counts}, ensure_ascii=False) + "\n")
            return
        for name in ("bleu", "chrf", "ter"):
            write(f"{name:5} {getattr(quality, name):6.2f}  {quality.signatures[name]}\n")
        for name, score in further_scores.items():
            write(f"{name:5} {score:6.2f}\n")
        write(f"wer   {quality.wer:6.2f}  edits per 100 words of the reference\n")
        write(f"exact {100 * quality.exact:6.2f}  % of {len(pairs):,} lines, in {seconds:.1f} s\n")
