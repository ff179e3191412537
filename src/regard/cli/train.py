"""`regard train`: train a model from a recipe, from your own files, or from another run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import (
    ARCHITECTURES,
    BOTH_SIDES,
    CORPUS,
    DEV_SET,
    HARDWARE,
    MODEL,
    OUTPUT,
    TRAINING,
    CorpusSource,
    CorpusSourceColumn,
    CorpusSourceLanguage,
    CorpusTarget,
    CorpusTargetColumn,
    CorpusTargetLanguage,
    DevData,
    Device,
    DevTarget,
    Settings,
)
from regard.console import say
from regard.errors import ConfigError, PeerFailed

if TYPE_CHECKING:
    from rich.console import Console

    from regard.config.schema import StartConfig
    from regard.runs.train import Result

EXAMPLES = """
regard train --source train.en --target train.de --minutes 30
regard train recipe.toml -o runs/en-de --set train.seed=7
regard train --resume runs/en-de
regard train --from runs/en-de --data domain.tsv
"""
START = "Continue or fine-tune"
ENDS = {
    "steps": "finished all steps",
    "minutes": "reached the time limit",
    "patience": "stopped early, because the dev score no longer improves",
    "interrupted": "stopped, and saved a checkpoint",
}


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", help="Recipe (TOML).", show_default="chosen to suit your files"),
    ] = None,
    source: CorpusSource = None,
    target: CorpusTarget = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Instead, {BOTH_SIDES}; or hf:NAME for a Hugging Face dataset; or mtdata:NAME.",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    dev_source: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Source side of the dev set.",
            show_default="pairs held out from the corpus",
            rich_help_panel=DEV_SET,
        ),
    ] = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    source_language: CorpusSourceLanguage = "",
    target_language: CorpusTargetLanguage = "",
    source_column: CorpusSourceColumn = "",
    target_column: CorpusTargetColumn = "",
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Architecture: {ARCHITECTURES}.",
            show_default="the recipe's, or modern",
            rich_help_panel=MODEL,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Size of the model: tiny, small or base; most architectures also have paper.",
            show_default="the recipe's, or chosen to suit the corpus",
            rich_help_panel=MODEL,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Training time, in minutes. Without a recipe, the schedule is fitted to it.",
            show_default="the recipe's, or no limit",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    settings: Settings = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train for a few steps, print how much time and memory a run needs, and keep nothing.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Continue a run from its last checkpoint, or from the checkpoint named.",
            rich_help_panel=START,
        ),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Start from the weights and vocabulary of another run.", rich_help_panel=START
        ),
    ] = None,
    extend_vocabulary: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --from: add at most N tokens of the new corpus to the vocabulary.",
            rich_help_panel=START,
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Device: auto, cpu, cuda or mps. auto uses the GPU if there is one.",
            show_default="the recipe's, or auto",
            rich_help_panel=HARDWARE,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            "--out",
            metavar="DIR",
            help="Folder of the run.",
            show_default="runs/ and the languages, the architecture or the name of the recipe",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Train a model from a recipe, from your own files, or from another run.

    Ctrl-C saves a checkpoint; --resume continues from it. Under torchrun, all processes train one model together.
    """
    named = {
        "source": source,
        "target": target,
        "file": data,
        "dev_source": dev_source,
        "dev_target": dev_target,
        "dev_file": dev_data,
        "source_language": source_language,
        "target_language": target_language,
        "source_column": source_column,
        "target_column": target_column,
    }
    files = {name: str(value) for name, value in named.items() if value}
    overrides = _overrides(
        {
            "model.architecture": architecture,
            "model.preset": preset,
            "train.max_minutes": minutes,
            "train.device": device,
        },
        settings or [],
    )
    if _is_first_process():
        say("loading PyTorch", style="dim")
    try:
        start = _start_config(from_, extend_vocabulary)
        if resume is not None:
            is_alone = recipe is None and not files and output is None and start is None and not dry_run
            _check_resume(is_alone)
        else:
            _check_inputs(recipe, files, overrides)
    except ConfigError as error:
        if _is_first_process():
            raise
        raise PeerFailed(error.message) from None
    if resume is not None:
        _resume(resume, overrides)
    else:
        _train(recipe, files, output, start, overrides, dry_run=dry_run)


def _is_first_process() -> bool:
    """Return whether this is the process of a torchrun job that prints, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _overrides(options: Mapping[str, object], settings: Sequence[str]) -> list[str]:
    """Return `section.key=value` for each option that is given, and then the values of --set."""
    return [*(f"{key}={value}" for key, value in options.items() if value is not None), *settings]


def _start_config(run: Path | None, new_tokens: int | None) -> StartConfig | None:
    """Return the [start] that --from and --extend-vocabulary ask for. Raise ConfigError."""
    if run is None and new_tokens is not None:
        raise ConfigError(
            "there is no vocabulary to extend", where="--extend-vocabulary", fix="name the run that has it by --from"
        )
    if run is None:
        return None
    from regard.config.schema import StartConfig

    values = {} if new_tokens is None else {"new_tokens": new_tokens}
    return StartConfig(checkpoint=os.path.realpath(run), **values)


def _check_resume(is_alone: bool) -> None:
    if not is_alone:
        raise ConfigError(
            "--resume continues a run as it is", fix="give no other argument with it, except those that change a value"
        )


def _check_inputs(recipe: Path | None, files: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Raise ConfigError for inputs that are unclear, before PyTorch is imported."""
    from regard.config.recipe import parse_overrides

    parse_overrides(overrides)
    if recipe is not None:
        return
    corpus = {"source", "target", "file"} & files.keys()
    if corpus not in ({"source", "target"}, {"file"}):
        raise ConfigError(
            "it is not clear what to train on" if corpus else "there is nothing to train on",
            where="regard train",
            fix="give a recipe, or both --source and --target, or --data",
        )
    if ("dev_source" in files) != ("dev_target" in files) or {"dev_source", "dev_file"} <= files.keys():
        raise ConfigError(
            "a dev set has two sides",
            where="regard train",
            fix="give both --dev-source and --dev-target, or --dev-data",
        )
    if ("source_column" in files) != ("target_column" in files):
        raise ConfigError(
            "a pair has two columns", where="regard train", fix="give both --source-column and --target-column"
        )


def _train(
    recipe: Path | None,
    files: Mapping[str, str],
    output: Path | None,
    start: StartConfig | None,
    overrides: Sequence[str],
    *,
    dry_run: bool,
) -> None:
    from rich.console import Console

    from regard.cli.training_recipe import choose_recipe
    from regard.runs import train as runs

    console = Console(stderr=True)
    if dry_run:
        from regard.runs.dry_run import dry_run as run_dry

        run_dry(*choose_recipe(recipe, files, output, start, overrides, console), console)
        return

    def prepare() -> tuple[Path, Callable[[], Result]]:
        config, folder = choose_recipe(recipe, files, output, start, overrides, console)
        return folder, lambda: runs.train(config, folder, console=console)

    _run_in_every_process(prepare, console)


def _resume(run: Path, overrides: Sequence[str]) -> None:
    from rich.console import Console

    from regard.runs import train as runs

    console = Console(stderr=True)
    _run_in_every_process(lambda: (run, lambda: runs.resume(run, overrides, console=console)), console)


def _run_in_every_process(prepare: Callable[[], tuple[Path, Callable[[], Result]]], console: Console) -> None:
    """Prepare and train in each process of the job; the first one prints.

    Args:
        prepare: Returns the folder of the run, and a function that trains.
        console: Where messages go; silenced in all processes but the first.
    """
    from regard.training.distributed import init_distributed

    with init_distributed() as process:
        console.quiet = not process.is_main
        folder, work = process.main_process_first(prepare)
        try:
            result = work()
        except KeyboardInterrupt:
            _say_stopped(folder, console)
            raise typer.Exit(130) from None
    _say_result(result, console)


def _say_stopped(folder: Path, console: Console) -> None:
    say("stopped before training began", console)
    if (folder / "recipe.toml").is_file():
        _say_how_to_continue(folder, console)


def _say_how_to_continue(folder: Path, console: Console) -> None:
    say(f"continue:   regard train --resume {shlex.quote(str(folder))}", console)


def _say_result(result: Result, console: Console) -> None:
    """Print why training ended, the best scores, and the next command; exit with 130 if it was interrupted."""
    scores = "  ".join(f"{name} {value:.3f}" for name, value in result.scores.items())
    say(f"{ENDS[result.end]}, at step {result.step:,}" + (f"; best on dev: {scores}" if scores else ""), console)
    if result.end == "interrupted":
        _say_how_to_continue(result.folder, console)
        raise typer.Exit(130)
    say(f"translate:  regard translate {shlex.quote(str(result.folder))} < input.txt > output.txt", console)
