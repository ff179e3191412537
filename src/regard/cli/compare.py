"""`regard compare`: train systems under one budget, or take finished runs, and compare them on a test set."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import (
    ARCHITECTURES,
    OUTPUT,
    TEST_SET,
    TRAINING,
    WITH,
    BuiltinCorpus,
    Settings,
    Tokenized,
    option,
    refuse_unknown_architecture,
)

EXAMPLES = """
regard compare --corpus dates --minutes 1
regard compare recipe.toml --architectures bahdanau2014,modern -o report
regard compare recipe.toml --architectures modern --seeds 5 -o report
regard compare recipe.toml --with language=tur,hun --jobs 2 -o report
regard compare --runs runs/first,runs/second -o report
"""
SYSTEMS = "Systems"


def compare(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="Recipe (TOML) that every system is trained with.")
    ] = None,
    corpus: Annotated[
        BuiltinCorpus | None, option("NAME", "Instead of a recipe, a built-in corpus: dates or numbers.", SYSTEMS)
    ] = None,
    runs: Annotated[list[str] | None, option("RUN,RUN", "Instead of a recipe, finished runs.", SYSTEMS)] = None,
    architectures: Annotated[str, option("NAME,NAME", f"Architectures to train: {ARCHITECTURES}.", SYSTEMS)] = "all",
    minutes: Annotated[
        float | None,
        option(
            "N",
            "Training time of each system, in minutes.",
            TRAINING,
            min=0.01,
            show_default="the recipe's, or 10; 0.36 for a built-in corpus",
        ),
    ] = None,
    seeds: Annotated[
        int,
        option("N", "Train each system N times, with seeds that follow each other, and report means.", TRAINING, min=1),
    ] = 1,
    jobs: Annotated[
        int, option("N", "Train N systems at a time, each with its share of the cores.", TRAINING, min=1)
    ] = 1,
    with_: Annotated[
        list[str] | None,
        option(
            "NAME=VALUE,VALUE",
            "Compare the systems for each value of the placeholder {NAME} of the recipe, and write one table. "
            "Can be repeated.",
            SYSTEMS,
            WITH,
        ),
    ] = None,
    settings: Settings = None,
    test_source: Annotated[
        Path | None,
        option(
            "FILE",
            "Source side of the test set.",
            TEST_SET,
            show_default="the test split of the corpus, or the dev set",
        ),
    ] = None,
    test_reference: Annotated[Path | None, option("FILE", "Reference translations, line by line.", TEST_SET)] = None,
    test_data: Annotated[
        Path | None, option("FILE", "Instead, one file with both sides, with the columns of the recipe.", TEST_SET)
    ] = None,
    output: Annotated[
        Path, option("DIR", "Folder for the runs and the report.", OUTPUT, "-o", "--output", "--out")
    ] = Path("report"),
    tokenized: Tokenized = False,
) -> None:
    """Train several systems for the same time, or take finished runs, and compare them on a test set.

    Writes one HTML page, and its numbers as JSON. After Ctrl-C the same command continues.
    """
    for name in architectures.split(",") if recipe is None else ():
        refuse_unknown_architecture(name.strip() if name.strip() not in ("", "all") else None, "--architectures")
    from regard.console import say, status

    with status("loading PyTorch"):
        from regard.config.placeholders import parse_placeholders
        from regard.corpus.paths import CorpusPaths
        from regard.reports.compare.plan import ComparisonRequest
        from regard.reports.compare.run import compare as compare_systems
        from regard.reports.compare.values import compare_values
    from rich.console import Console

    request = ComparisonRequest(
        recipe=recipe,
        corpus=corpus,
        architectures=architectures,
        minutes=minutes,
        seeds=seeds,
        runs=_folders(runs or []),
        overrides=settings or [],
        test=CorpusPaths(test_source, test_reference, test_data, ("--test-source", "--test-reference", "--test-data")),
        tokenized=tokenized,
        jobs=jobs,
    )
    values = parse_placeholders(with_ or [], WITH)
    console = Console(stderr=True)
    table = None
    try:
        if values:
            page, table = compare_values(request, values, output, console)
            print(table)
        else:
            page = compare_systems(request, output, console)
    except KeyboardInterrupt:
        say("stopped; finished training and measurements are saved")
        say(f"continue:   {shlex.join(['regard', *sys.argv[1:]])}")
        raise typer.Exit(130) from None
    say(f"report:     {page.resolve()}")
    if table is not None and table.failures:
        raise typer.Exit(1)


def _folders(texts: Sequence[str]) -> list[Path]:
    """Return the paths in texts that separate them by commas; a text that is an existing path is one path."""
    parts = [[text] if Path(text).exists() else text.split(",") for text in texts]
    return [Path(path) for paths in parts for path in paths if path]
