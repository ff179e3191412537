"""Options that several commands share: their spelling, their group in `--help`, and what they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


BuiltinCorpus = Literal["dates", "numbers"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "int8"]  # of the weights during search

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, whose best checkpoint is used, or of a checkpoint.")
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Override a value of the recipe, e.g. --set train.seed=7. Can be repeated.",
        rich_help_panel=TRAINING,
    ),
]

# Search

SearchSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="search.KEY=VALUE",
        help="Override a search setting of the recipe, e.g. --set search.strategy=exact. Can be repeated.",
        rich_help_panel=SEARCH,
    ),
]
OldSearch = Annotated[list[str] | None, typer.Option("--search", metavar="KEY=VALUE", hidden=True)]
BeamSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of hypotheses in the beam; 1 is greedy search.",
        show_default="the recipe's",
        rich_help_panel=SEARCH,
    ),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="ALPHA",
        help="Strength of the length normalization: 0 prefers short translations, higher values longer ones.",
        show_default="the recipe's",
        rich_help_panel=SEARCH,
    ),
]
Patience = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="P",
        help="Stop a beam with P times --beam-size finished hypotheses; 0: only when no better one is possible.",
        show_default="the recipe's",
        rich_help_panel=SEARCH,
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
    typer.Option(
        metavar="RUN",
        help="Another run with the same vocabulary, whose probabilities are averaged with RUN's. Can be repeated.",
        rich_help_panel=MODEL,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="Tag put before each source, such as the target language of a multilingual model. Can be repeated.",
        rich_help_panel=MODEL,
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Device: auto, cpu, cuda or mps. auto is a CUDA GPU if there is one, else the CPU.",
        rich_help_panel=HARDWARE,
    ),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="Weights: float32, or int8, which is faster on a CPU.",
        rich_help_panel=HARDWARE,
    ),
]
BatchSize = Annotated[
    int, typer.Option(min=1, metavar="N", help="Sentences decoded at a time.", rich_help_panel=HARDWARE)
]

# Test set

Source = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Source side: text, one segment a line.", rich_help_panel=TEST_SET)
]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Reference translations, line by line.", rich_help_panel=TEST_SET),
]
Target = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Target side, line by line.", rich_help_panel=TEST_SET),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help=f"Instead, {BOTH_SIDES}.", rich_help_panel=TEST_SET),
]
SourceLanguage = Annotated[
    str,
    typer.Option(
        metavar="LANG",
        help="Language code of the source in --data.",
        show_default="the run's, or from the file's name",
        rich_help_panel=TEST_SET,
    ),
]
TargetLanguage = Annotated[
    str,
    typer.Option(
        metavar="LANG",
        help="Language code of the target in --data.",
        show_default="the run's, or from the file's name",
        rich_help_panel=TEST_SET,
    ),
]
SourceColumn = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help=f"Source column of a table: {COLUMN}.",
        show_default="the run's",
        rich_help_panel=TEST_SET,
    ),
]
TargetColumn = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help=f"Target column of a table: {COLUMN}.",
        show_default="the run's",
        rich_help_panel=TEST_SET,
    ),
]
Tokenized = Annotated[
    bool,
    typer.Option("--tokenized", help="The text is tokenized already: BLEU counts its tokens.", rich_help_panel=OUTPUT),
]

# Training corpus

CorpusSource = Annotated[
    Path | None,
    typer.Option(
        "--source",
        metavar="FILE",
        help="Source side: text, one segment a line; .gz, .xz and .zst are unpacked.",
        rich_help_panel=CORPUS,
    ),
]
CorpusTarget = Annotated[
    Path | None, typer.Option("--target", metavar="FILE", help="Target side, line by line.", rich_help_panel=CORPUS)
]
CorpusData = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help=f"Instead, {BOTH_SIDES}.", rich_help_panel=CORPUS),
]
CorpusSourceLanguage = Annotated[
    str,
    typer.Option(
        "--source-language",
        metavar="LANG",
        help="Language code of the source, such as en.",
        show_default="from the file's name",
        rich_help_panel=LANGUAGES,
    ),
]
CorpusTargetLanguage = Annotated[
    str,
    typer.Option(
        "--target-language",
        metavar="LANG",
        help="Language code of the target, such as de.",
        show_default="from the file's name",
        rich_help_panel=LANGUAGES,
    ),
]
CorpusSourceColumn = Annotated[
    str,
    typer.Option(
        "--source-column",
        metavar="COLUMN",
        help=f"Source column of a table: {COLUMN}.",
        show_default="`source`, the language, or the first of two",
        rich_help_panel=LANGUAGES,
    ),
]
CorpusTargetColumn = Annotated[
    str,
    typer.Option(
        "--target-column",
        metavar="COLUMN",
        help=f"Target column of a table: {COLUMN}.",
        show_default="`target`, the language, or the second of two",
        rich_help_panel=LANGUAGES,
    ),
]
DevSource = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Source side of a dev set, which the corpus must not contain.", rich_help_panel=DEV_SET
    ),
]
DevTarget = Annotated[Path | None, typer.Option(metavar="FILE", help="Its target side.", rich_help_panel=DEV_SET)]
DevData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Instead, one file with both sides.", rich_help_panel=DEV_SET)
]
TestSource = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Source side of a test set, which the corpus must not contain.", rich_help_panel=TEST_SET
    ),
]
TestTarget = Annotated[Path | None, typer.Option(metavar="FILE", help="Its target side.", rich_help_panel=TEST_SET)]
TestData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Instead, one file with both sides.", rich_help_panel=TEST_SET)
]


def refuse_unknown_architecture(name: str | None, option: str) -> None:
    """Raise ConfigError for an architecture that neither regard nor a loaded plugin has, before PyTorch is imported.

    It is for commands without a recipe: a recipe may name plugins, which are loaded with it.
    """
    names = valid_names("architectures")
    if name is not None and name not in names:
        fix = f"{suggest(name, names)}; a plugin can add others"
        raise ConfigError(f"unknown architecture '{name}'", where=option, fix=fix)
