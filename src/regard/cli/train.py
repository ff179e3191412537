"""`regard train`: train a model from a recipe, from your own files, or from another run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
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
    WITH,
    BuiltinCorpus,
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
    option,
    refuse_unknown_architecture,
)
from regard.console import say
from regard.errors import ConfigError, PeerFailed, RegardError
from regard.plugins.registry import plugin_options
from regard.ray_cluster import require_ray

if TYPE_CHECKING:
    from rich.console import Console

    from regard.runs.train import Result
    from regard.runs.training_request import TrainingRequest

EXAMPLES = """
regard train --source train.en --target train.de --minutes 30
regard train recipe.toml -o runs/en-de --set train.seed=7
regard train recipe.toml --with language=tur
regard train --resume runs/en-de
regard train --from runs/en-de --data domain.tsv --terms
"""
START = "Continue or fine-tune"
SPELLINGS = {"start": "--from", "placeholders": WITH}  # options with another name in Python
TERMS = 0.4  # share of the training sources with terms


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", help="Recipe (TOML).", show_default="chosen to suit your files"),
    ] = None,
    source: CorpusSource = None,
    target: CorpusTarget = None,
    data: Annotated[
        Path | None,
        option("FILE", f"Instead, {BOTH_SIDES}; or hf:NAME for a Hugging Face dataset; or mtdata:NAME.", CORPUS),
    ] = None,
    corpus: Annotated[
        BuiltinCorpus | None, option("NAME", "Instead, a built-in corpus: dates or numbers.", CORPUS)
    ] = None,
    dev_source: Annotated[
        Path | None,
        option("FILE", "Source side of the dev set.", DEV_SET, show_default="pairs held out from the corpus"),
    ] = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    source_language: CorpusSourceLanguage = "",
    target_language: CorpusTargetLanguage = "",
    source_column: CorpusSourceColumn = "",
    target_column: CorpusTargetColumn = "",
    architecture: Annotated[
        str | None, option("NAME", f"Architecture: {ARCHITECTURES}.", MODEL, show_default="the recipe's, or modern")
    ] = None,
    preset: Annotated[
        str | None,
        option(
            "NAME",
            "Size of the model: tiny, small or base; most architectures also have paper.",
            MODEL,
            show_default="the recipe's, or chosen to suit the corpus",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        option(
            "N",
            "Training time, in minutes. Without a recipe, the schedule is fitted to it.",
            TRAINING,
            show_default="the recipe's, or no limit",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            "LEVEL",
            "Change some training pairs as people change text, with typos for example: off, light or full.",
            TRAINING,
            show_default="the recipe's; without one, light for sentences; off for other text and with --from",
        ),
    ] = None,
    terms: Annotated[
        bool,
        typer.Option(
            "--terms",
            help="Teach the model to follow a glossary: some training sources carry wanted target terms.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    settings: Settings = None,
    with_: Annotated[
        list[str] | None,
        option("NAME=VALUE", "Fill in the placeholder {NAME} of the recipe. Can be repeated.", TRAINING, WITH),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train for a few steps, print how much time and memory a run needs, and keep nothing.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    resume: Annotated[
        Path | None, option("RUN", "Continue a run from its last checkpoint, or from the checkpoint named.", START)
    ] = None,
    from_: Annotated[
        Path | None, option("RUN", "Start from the weights and vocabulary of another run.", START, "--from")
    ] = None,
    extend_vocabulary: Annotated[
        int | None, option("N", "With --from: add at most N tokens of the new corpus to the vocabulary.", START, min=1)
    ] = None,
    device: Annotated[
        Device | None,
        option(
            "NAME",
            "Device: auto, cpu, cuda or mps. auto is a CUDA GPU if there is one, else the CPU.",
            HARDWARE,
            "--device",
            show_default="the recipe's, or auto",
        ),
    ] = None,
    ray: Annotated[
        str,
        option(
            "ADDRESS",
            "Encode the corpus on a Ray cluster: HOST:PORT, `auto` for the one that runs on this machine, or "
            "`local` to start one. Needs the folder of the run on a file system that all nodes share.",
            HARDWARE,
            show_default="the cores of this machine",
        ),
    ] = "",
    output: Annotated[
        Path | None,
        option(
            "DIR",
            "Folder of the run.",
            OUTPUT,
            "-o",
            "--output",
            "--out",
            show_default="runs/ and the languages, the architecture or the name of the recipe",
        ),
    ] = None,
) -> None:
    """Train a model from a recipe, from your own files, or from another run.

    Ctrl-C saves a checkpoint; --resume continues from it. Under torchrun, all processes train one model together.
    """
    options = {
        "source": source,
        "target": target,
        "data": data,
        "corpus": corpus,
        "dev_source": dev_source,
        "dev_target": dev_target,
        "dev_data": dev_data,
        "source_language": source_language,
        "target_language": target_language,
        "source_column": source_column,
        "target_column": target_column,
    }
    files = {name: str(value) for name, value in options.items() if value}
    shortcuts = {"architecture": architecture, "preset": preset, "minutes": minutes, "device": device}
    shortcuts |= {"terms": TERMS if terms else None, "augment": augment}
    if _is_first_process():
        say("loading PyTorch", style="dim")
    try:
        request = _request(recipe, files, shortcuts, settings or [], with_ or [], output, from_, extend_vocabulary)
        if resume is not None:
            excluded = (recipe, files, output, request.start, request.placeholders, dry_run)
            if any(excluded):
                fix = "give no other argument with it, except those that change a value"
                raise ConfigError("--resume continues a run as it is", fix=fix)
        else:
            if recipe is None:
                refuse_unknown_architecture(architecture, "--architecture")
            if dry_run and ray:
                raise ConfigError("a dry run encodes on this machine", where="--ray", fix="leave it out")
            request.check()
    except ConfigError as error:
        if _is_first_process():
            raise
        raise PeerFailed(error.message) from None
    if resume is not None:
        _resume(resume, request.overrides, ray)
    elif dry_run:
        _dry_run(request)
    else:
        _train(request, ray)


def _is_first_process() -> bool:
    """Return whether this is the process of a torchrun job that prints, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _request(
    recipe: Path | None,
    files: Mapping[str, str],
    shortcuts: Mapping[str, object],
    settings: Sequence[str],
    placeholders: Sequence[str],
    output: Path | None,
    run: Path | None,
    new_tokens: int | None,
) -> TrainingRequest:
    """Return what the command line asks for. Raise ConfigError."""
    from regard.config.overrides import Override
    from regard.config.placeholders import parse_placeholders, single_values
    from regard.runs.training_request import TrainingRequest, option_overrides, start_config

    overrides = [*option_overrides(shortcuts, _spell), *(Override(text, "--set") for text in settings)]
    start = start_config(run, new_tokens, _spell)
    values = single_values(parse_placeholders(placeholders, WITH), WITH)
    return TrainingRequest(recipe, files, overrides, output, start, values, caller="regard train", spell=_spell)


def _spell(option: str) -> str:
    """Return an option as it is written on the command line."""
    return SPELLINGS.get(option) or f"--{option.replace('_', '-')}"


def _dry_run(request: TrainingRequest) -> None:
    from rich.console import Console

    from regard.runs.dry_run import dry_run
    from regard.runs.training_recipe import choose_recipe

    console = Console(stderr=True)
    dry_run(*choose_recipe(request, partial(say, console=console, wrap=True)), console)


def _train(request: TrainingRequest, ray: str) -> None:
    from rich.console import Console

    from regard.runs import train as runs
    from regard.runs.training_recipe import choose_recipe

    console = Console(stderr=True)

    def prepare() -> tuple[Path, Callable[[], Result]]:
        config, folder = choose_recipe(request, partial(say, console=console, wrap=True))
        return folder, lambda: runs.train(config, folder, console=console, ray=ray)

    _run_in_every_process(prepare, console, ray)


def _resume(run: Path, overrides: Sequence[str], ray: str) -> None:
    from rich.console import Console

    from regard.runs import train as runs

    console = Console(stderr=True)
    _run_in_every_process(lambda: (run, lambda: runs.resume(run, overrides, console=console, ray=ray)), console, ray)


def _run_in_every_process(prepare: Callable[[], tuple[Path, Callable[[], Result]]], console: Console, ray: str) -> None:
    """Prepare and train in each process of the job; the first one prints.

    Args:
        prepare: Returns the folder of the run, and a function that trains.
        console: Where messages go; silenced in all processes but the first.
        ray: The cluster that encodes the corpus; empty: none.
    """
    from regard.training.distributed import init_distributed

    if ray:
        require_ray()  # before the corpus is read
    with init_distributed() as process:
        console.quiet = not process.is_main
        folder, work = process.main_process_first(prepare)
        try:
            result = work()
        except KeyboardInterrupt:
            _say_stopped(folder, console, ray)
            raise typer.Exit(130) from None
    _say_result(result, console)


def _say_stopped(path: Path, console: Console, ray: str) -> None:
    """Print how far the run at a path had come, which is a run or one of its checkpoints, and the next command."""
    from regard.checkpoints.run_folder import RunFolder
    from regard.runs.resume import find_run

    run, is_finished = RunFolder(path), False
    with suppress(RegardError):  # the folder does not contain a run yet
        run, _ = find_run(path)
        is_finished = run.finished is not None
    if run.last is None:
        say("stopped before the first checkpoint" if run.log.is_file() else "stopped before training began", console)
    elif is_finished:
        say(f"stopped after the end of training; the last checkpoint is {run.last.name}", console)
        _say_how_to_translate(run.path, console)
        return
    else:
        say(f"stopped; the last checkpoint is {run.last.name}", console)
    if run.recipe.is_file():
        _say_how_to_continue(run.path, console, f" --ray {shlex.quote(ray)}" if ray else "")


def _say_how_to_continue(folder: Path, console: Console, options: str = "") -> None:
    say(f"continue:   regard train --resume {shlex.quote(str(folder))}{options}{plugin_options()}", console)


def _say_result(result: Result, console: Console) -> None:
    """Print why training ended, the best scores, and the next command; exit with 130 if it was interrupted."""
    say(result.summary, console)
    if result.end == "interrupted":
        _say_how_to_continue(result.folder, console)
        raise typer.Exit(130)
    _say_how_to_translate(result.folder, console)


def _say_how_to_translate(folder: Path, console: Console) -> None:
    command = f"regard translate {shlex.quote(str(folder))}{plugin_options()}"
    say(f"translate:  {command} < input.txt > output.txt", console)
