"""`regard evaluate`: the quality of the translation of a test set."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import (
    BOTH_SIDES,
    LABELS_HELP,
    OUTPUT,
    SEARCH,
    TEST_SET,
    BatchSize,
    BeamSize,
    DeviceOption,
    Ensemble,
    Glossary,
    GlossaryMethod,
    LabelColumn,
    LengthPenalty,
    Novelty,
    OldSearch,
    Patience,
    PrecisionOption,
    Run,
    SearchSettings,
    SourceColumn,
    SourceLanguage,
    Tags,
    TargetColumn,
    TargetLanguage,
    Tokenized,
    Top,
    option,
)

if TYPE_CHECKING:
    from regard.cli.evaluation_output import ReadTestSet
    from regard.cli.test_set import TestSetFiles

EXAMPLES = """
regard evaluate runs/en-de --source test.en --reference test.de
regard evaluate runs/en-de --data test.tsv --beam-size 8 --json
regard evaluate runs/en-de --source test.en --reference test.de --card
regard evaluate runs/reactions --data test.tsv --beam-size 10 --top 5 --top 10
regard evaluate runs/reactions --data test.tsv --label-column class
regard evaluate runs/inflection --data test.tsv --novelty
regard evaluate runs/en-de --data 2016.tsv --data 2017.tsv --json
"""
REPEATED = "Repeat it for several test sets."


def evaluate(
    run: Run,
    source: Annotated[
        list[Path] | None, option("FILE", f"Source side: text, one segment a line. {REPEATED}", TEST_SET)
    ] = None,
    reference: Annotated[
        list[Path] | None, option("FILE", "Reference translations, line by line; as often as --source.", TEST_SET)
    ] = None,
    data: Annotated[list[Path] | None, option("FILE", f"Instead, {BOTH_SIDES}. {REPEATED}", TEST_SET)] = None,
    source_language: SourceLanguage = "",
    target_language: TargetLanguage = "",
    source_column: SourceColumn = "",
    target_column: TargetColumn = "",
    label_column: LabelColumn = "",
    labels: Annotated[list[Path] | None, option("FILE", f"{LABELS_HELP} As often as --source.", TEST_SET)] = None,
    novelty: Novelty = False,
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
    top: Top = None,
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
    """Translate test sets, and print their BLEU, chrF and TER, as sacreBLEU computes them."""
    from regard.cli.glossary_option import load_glossary
    from regard.cli.search_settings import search_settings
    from regard.cli.test_set import TestSetFiles, labels_of_test_sets, list_test_sets
    from regard.cli.translate_lines import say_proofs
    from regard.cli.translator_options import TranslatorOptions
    from regard.console import say, track
    from regard.corpus.formats.sides import Sides

    overrides = search_settings(settings, search, beam_size=beam_size, length_penalty=length_penalty, patience=patience)
    sides = Sides(source_language, target_language, source_column, target_column)
    places = list_test_sets(source, reference, data)
    test_sets = [
        _read(TestSetFiles(place, sides, label_file, label_column, novelty), run)
        for place, label_file in zip(places, labels_of_test_sets(labels, len(places)), strict=True)
    ]
    model = TranslatorOptions(run, device, precision, ensemble or (), tag or ())
    weights = _card_weights(run, ensemble) if card else ""
    terms = load_glossary(glossary, model)
    translator = model.load()
    from regard.cli.evaluation_output import name_test_sets, print_scores, score_test_set, write_json

    names = name_test_sets([test_set.files for test_set in test_sets])
    results = []
    for name, test_set in zip(names, test_sets, strict=True):
        start = time.monotonic()
        translations = translator.stream(
            (pair.source for pair in test_set.pairs),
            batch_size=batch_size,
            split_sentences=split_sentences,
            glossary=terms,
            glossary_method=glossary_method,
            top_beams=max(top or [1]),
            **overrides,
        )
        description = f"translating {name}" if len(names) > 1 else "translating"
        best = list(track(translations, description, len(test_set.pairs)))
        seconds = time.monotonic() - start
        say_proofs(Counter(translation.proved for translation in best))
        language = target_language or translator.target_language
        results.append(
            score_test_set(name, test_set, best, seconds, target_language=language, tokenized=tokenized, top=top or ())
        )
    (write_json if json_ else print_scores)(results)
    if card:
        from regard.runs.card.evaluation import add_scores

        details = [f"tags {' '.join(tag)}"] if tag else []
        details += ["a glossary"] if glossary else []
        details += [precision] if precision != "float32" else []
        search_config = translator.with_search(**overrides).search
        for test_set, scores in zip(test_sets, results, strict=True):
            say(add_scores(run, weights, test_set.files, scores.quality, scores.pairs, search_config, details))


def _read(files: TestSetFiles, run: Path) -> ReadTestSet:
    """Return a test set with its labels, and print what was skipped.

    Raises:
        ConfigError: It is not clear what to read.
        DataError: A file cannot be read, or has no lines.
        CheckpointError: `run` cannot be read.
    """
    from regard.cli.evaluation_output import ReadTestSet
    from regard.console import say
    from regard.errors import DataError

    pairs, skipped = files.pairs(run)
    if not pairs:
        raise DataError(
            "the test set has no lines", where=files.place.source, fix="give a test set with at least one line"
        )
    for message in skipped.sentences():
        say(message)
    return ReadTestSet(tuple(files.place.files()), pairs, skipped, files.read_labels(run, pairs))


def _card_weights(run: Path, ensemble: Sequence[Path] | None) -> str:
    """Return the digest of the weights whose scores the card gets. Raise ConfigError or CheckpointError."""
    from regard.errors import ConfigError
    from regard.runs.card.file import best_weights

    if ensemble:
        raise ConfigError("a model card has no scores of an ensemble", where="--card", fix="leave out --ensemble")
    return best_weights(run)
