"""`regard evaluate`: the quality of the translation of a test set."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    option,
)

if TYPE_CHECKING:
    from regard.evaluation.metrics import Quality

EXAMPLES = """
regard evaluate runs/en-de --source test.en --reference test.de
regard evaluate runs/en-de --data test.tsv --beam-size 8 --json
regard evaluate runs/en-de --source test.en --reference test.de --card
regard evaluate runs/reactions --data test.tsv --beam-size 10 --top 5 --top 10
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
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="Add the scores to README.md in RUN, the model card of the run.", rich_help_panel=OUTPUT
        ),
    ] = False,
    tokenized: Tokenized = False,
    top: Annotated[
        list[int] | None,
        option(
            "K",
            "Also print how often the reference is among the K best translations, at most the beam size; repeatable.",
            OUTPUT,
            min=1,
        ),
    ] = None,
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
    weights = _card_weights(run, ensemble) if card else ""
    terms = load_glossary(glossary, model)
    translator = model.load()
    start = time.monotonic()
    results = translator.stream(
        (pair.source for pair in pairs),
        batch_size=batch_size,
        split_sentences=split_sentences,
        glossary=terms,
        glossary_method=glossary_method,
        top_beams=max(top or [1]),
        **overrides,
    )
    best = list(track(results, "translating", len(pairs)))
    seconds = time.monotonic() - start
    say_proofs(Counter(translation.proved for translation in best))
    from regard.evaluation.metrics import exact_in_top, measure, plugin_scores

    texts = [translation.text for translation in best], [pair.target for pair in pairs]
    n_best = [[choice.text for choice in translation.n_best] for translation in best] if top else []
    exact_at = {count: exact_in_top(n_best, texts[1], count) for count in sorted(set(top or ()))}
    language = target_language or translator.target_language
    quality = measure(*texts, target_language=language, tokenized=tokenized)
    further_scores = plugin_scores(*texts)
    if json_:
        counts = {"lines": len(pairs), "left_aside": skipped.sentences(), "seconds": round(seconds, 2)}
        with output(None) as write:
            tops = {"exact_at": exact_at} if exact_at else {}
            write(json.dumps({**asdict(quality), **tops, **further_scores, **counts}, ensure_ascii=False) + "\n")
    else:
        _print_scores(quality, further_scores, exact_at, len(pairs), seconds)
    if card:
        from regard.runs.card.evaluation import add_scores

        details = [f"tags {' '.join(tag)}"] if tag else []
        details += ["a glossary"] if glossary else []
        details += [precision] if precision != "float32" else []
        search_config = translator.with_search(**overrides).search
        say(add_scores(run, weights, place.files(), quality, len(pairs), search_config, details))


def _card_weights(run: Path, ensemble: Sequence[Path] | None) -> str:
    """Return the digest of the weights whose scores the card gets. Raise ConfigError or CheckpointError."""
    from regard.errors import ConfigError
    from regard.runs.card.file import best_weights

    if ensemble:
        raise ConfigError("a model card has no scores of an ensemble", where="--card", fix="leave out --ensemble")
    return best_weights(run)


def _print_scores(
    quality: Quality,
    further_scores: Mapping[str, float],
    exact_at: Mapping[int, float],
    lines: int,
    seconds: float,
) -> None:
    from regard.cli.streams import output

    with output(None) as write:
        for name in ("bleu", "chrf", "ter"):
            write(f"{name:5} {getattr(quality, name):6.2f}  {quality.signatures[name]}\n")
        for name, score in further_scores.items():
            write(f"{name:5} {score:6.2f}\n")
        write(f"wer   {quality.wer:6.2f}  edits per 100 words of the reference\n")
        for count, share in exact_at.items():
            write(f"exact {100 * share:6.2f}  % of lines have the reference among the {count} best translations\n")
        write(f"exact {100 * quality.exact:6.2f}  % of {lines:,} lines, in {seconds:.1f} s\n")
