"""Options that several commands share: their spelling, their group in `--help`, and what they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES
from regard.errors import ConfigError, suggest
from regard.plugins.names import BUILT_IN
from regard.plugins.registry import valid_names

CORPUS = "Corpus"
DEV_SET = "Dev set"
TEST_SET = "Test set"
LANGUAGES = "Languages and columns"
MODEL = "Model"
TRAINING = "Training"
SEARCH = "Search"
INPUT = "Input"
OUTPUT = "Output"
HARDWARE = "Hardware"

OLD_SPELLINGS = frozenset(["--out", "--out-source", "--out-target"])  # accepted, but not shown in --help

ARCHITECTURES = ", ".join(BUILT_IN["architectures"])
BOTH_SIDES = f"one file with both sides ({', '.join(BILINGUAL_SUFFIXES)})"
COLUMN = "a name, or a number counted from 1"


def option(
    metavar: str,
    help: str,
    group: str | None = None,
    *names: str,
    min: float | None = None,
    max: float | None = None,
    show_default: str | bool = True,
) -> Any:
    """Return an option with a value: its placeholder and its text in `--help`, and the group that it is listed in."""
    return typer.Option(
        *names, metavar=metavar, help=help, rich_help_panel=group, min=min, max=max, show_default=show_default
    )


BuiltinCorpus = Literal["dates", "numbers"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "int8"]  # of the weights during search

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of a run, whose best checkpoint is used, or of a checkpoint; or hf:OWNER/NAME from the hub.",
    ),
]

Settings = Annotated[
    list[str] | None,
    option(
        "SECTION.KEY=VALUE",
        "Override a value of the recipe, e.g. --set train.seed=7. Can be repeated.",
        TRAINING,
        "--set",
    ),
]
WITH = "--with"

# Search

SearchSettings = Annotated[
    list[str] | None,
    option(
        "search.KEY=VALUE",
        "Override a search setting of the recipe, e.g. --set search.strategy=exact. Can be repeated.",
        SEARCH,
        "--set",
    ),
]
OldSearch = Annotated[list[str] | None, typer.Option("--search", metavar="KEY=VALUE", hidden=True)]
BeamSize = Annotated[
    int | None,
    option("N", "Number of hypotheses in the beam; 1 is greedy search.", SEARCH, min=1, show_default="the recipe's"),
]
LengthPenalty = Annotated[
    float | None,
    option(
        "ALPHA",
        "Strength of the length normalization: 0 prefers short translations, higher values longer ones.",
        SEARCH,
        min=0.0,
        show_default="the recipe's",
    ),
]
Patience = Annotated[
    float | None,
    option(
        "P",
        "Stop a beam with P times --beam-size finished hypotheses; 0: only when no better one is possible.",
        SEARCH,
        min=0.0,
        show_default="the recipe's",
    ),
]
Glossary = Annotated[
    str,
    option(
        "FILE",
        "Glossary: source and target terms in a .tsv, .csv or .tbx file; none: no glossary.",
        SEARCH,
        "--glossary",
        show_default="glossary.tsv, .csv or .tbx in RUN, if there is one",
    ),
]
GlossaryMethod = Annotated[
    Literal["auto", "tags", "search", "both"],
    option(
        "NAME",
        "How terms get into translations: tags in the source, for a run trained with --terms; constrained search; or "
        "both. auto: both if RUN was trained with --terms, else search.",
        SEARCH,
        "--glossary-method",
    ),
]
SplitSentences = Annotated[
    bool | None,
    typer.Option(
        "--split-sentences/--no-split-sentences",
        help="Translate each sentence of a line separately.",
        show_default="yes, unless the run was trained on lines of several sentences",
        rich_help_panel=SEARCH,
    ),
]

# Model and hardware

Ensemble = Annotated[
    list[Path] | None,
    option(
        "RUN",
        "Another run with the same vocabulary, whose probabilities are averaged with RUN's. Can be repeated.",
        MODEL,
    ),
]
Tags = Annotated[
    list[str] | None,
    option(
        "TAG",
        "Tag put before each source, such as the target language of a multilingual model. Can be repeated.",
        MODEL,
        "--tag",
    ),
]
DeviceOption = Annotated[
    Device,
    option(
        "NAME",
        "Device: auto, cpu, cuda or mps. auto is a CUDA GPU if there is one, else the CPU.",
        HARDWARE,
        "--device",
    ),
]
PrecisionOption = Annotated[
    Precision, option("NAME", "Weights: float32, or int8, which is faster on a CPU.", HARDWARE, "--precision")
]
BatchSize = Annotated[int, option("N", "Sentences decoded at a time.", HARDWARE, min=1)]

# Test set

Source = Annotated[Path | None, option("FILE", "Source side: text, one segment a line.", TEST_SET)]
Reference = Annotated[Path | None, option("FILE", "Reference translations, line by line.", TEST_SET)]
Target = Annotated[Path | None, option("FILE", "Target side, line by line.", TEST_SET)]
Data = Annotated[Path | None, option("FILE", f"Instead, {BOTH_SIDES}.", TEST_SET, "--data")]
SourceLanguage = Annotated[
    str,
    option(
        "LANG", "Language code of the source in --data.", TEST_SET, show_default="the run's, or from the file's name"
    ),
]
TargetLanguage = Annotated[
    str,
    option(
        "LANG", "Language code of the target in --data.", TEST_SET, show_default="the run's, or from the file's name"
    ),
]
SourceColumn = Annotated[
    str,
    option(
        "COLUMN",
        f"Source column of a table: {COLUMN}; several with commas, as in 1,3.",
        TEST_SET,
        show_default="the run's",
    ),
]
TargetColumn = Annotated[
    str, option("COLUMN", f"Target column of a table: {COLUMN}.", TEST_SET, show_default="the run's")
]
LabelColumn = Annotated[
    str,
    option(
        "COLUMN",
        f"Column of a table with a label of each pair, such as its domain: {COLUMN}. Adds the scores of each label.",
        TEST_SET,
        show_default=False,
    ),
]
LABELS_HELP = "Instead, for --source: a label of each line, in a file with one label a line."
Labels = Annotated[Path | None, option("FILE", LABELS_HELP, TEST_SET, "--labels")]
Novelty = Annotated[
    bool,
    typer.Option(
        "--novelty",
        help="Instead, label each pair by which columns of its source do not occur in the training data of RUN.",
        rich_help_panel=TEST_SET,
    ),
]
Top = Annotated[
    list[int] | None,
    option(
        "K",
        "Also print how often the reference is among the K best translations, at most the beam size; repeatable.",
        OUTPUT,
        min=1,
    ),
]
Tokenized = Annotated[
    bool,
    typer.Option("--tokenized", help="The text is tokenized already: BLEU counts its tokens.", rich_help_panel=OUTPUT),
]

# Training corpus

CorpusSource = Annotated[
    Path | None,
    option("FILE", "Source side: text, one segment a line; .gz, .xz and .zst are unpacked.", CORPUS, "--source"),
]
CorpusTarget = Annotated[Path | None, option("FILE", "Target side, line by line.", CORPUS, "--target")]
CorpusData = Annotated[Path | None, option("FILE", f"Instead, {BOTH_SIDES}.", CORPUS, "--data")]
CorpusSourceLanguage = Annotated[
    str,
    option(
        "LANG",
        "Language code of the source, such as en.",
        LANGUAGES,
        "--source-language",
        show_default="from the file's name",
    ),
]
CorpusTargetLanguage = Annotated[
    str,
    option(
        "LANG",
        "Language code of the target, such as de.",
        LANGUAGES,
        "--target-language",
        show_default="from the file's name",
    ),
]
CorpusSourceColumn = Annotated[
    str,
    option(
        "COLUMN",
        f"Source column of a table: {COLUMN}; several with commas, as in 1,3.",
        LANGUAGES,
        "--source-column",
        show_default="`source`, the language, or the first of two",
    ),
]
CorpusTargetColumn = Annotated[
    str,
    option(
        "COLUMN",
        f"Target column of a table: {COLUMN}.",
        LANGUAGES,
        "--target-column",
        show_default="`target`, the language, or the second of two",
    ),
]
DevSource = Annotated[
    Path | None, option("FILE", "Source side of a dev set, which the corpus must not contain.", DEV_SET)
]
DevTarget = Annotated[Path | None, option("FILE", "Its target side.", DEV_SET)]
DevData = Annotated[Path | None, option("FILE", "Instead, one file with both sides.", DEV_SET)]
TestSource = Annotated[
    Path | None, option("FILE", "Source side of a test set, which the corpus must not contain.", TEST_SET)
]
TestTarget = Annotated[Path | None, option("FILE", "Its target side.", TEST_SET)]
TestData = Annotated[Path | None, option("FILE", "Instead, one file with both sides.", TEST_SET)]


def refuse_unknown_architecture(name: str | None, option: str) -> None:
    """Raise ConfigError for an architecture that neither regard nor a loaded plugin has, before PyTorch is imported.

    It is for commands without a recipe: a recipe may name plugins, which are loaded with it.
    """
    names = valid_names("architectures")
    if name is not None and name not in names:
        fix = f"{suggest(name, names)}; a plugin can add others"
        raise ConfigError(f"unknown architecture '{name}'", where=option, fix=fix)
