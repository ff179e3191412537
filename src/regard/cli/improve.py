"""`regard improve`: fine-tune a run on corrections, and accept the new model only if it is better."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.options import (
    BOTH_SIDES,
    LANGUAGES,
    OUTPUT,
    TRAINING,
    CorpusSourceColumn,
    CorpusTargetColumn,
    Settings,
    option,
)
from regard.errors import ConfigError
from regard.runs.improvement.options import EPOCHS, OLD_PAIRS, ImproveOptions

if TYPE_CHECKING:
    from rich.console import Console

    from regard.runs.improvement.improve import Improvement

EXAMPLES = """
regard improve runs/en-de --corrections corrections.sqlite --replace
regard improve runs/en-de --corrections corrections.tmx -o runs/better
regard improve --resume runs/better
regard improve runs/en-de --undo
"""
REJECTED = 3  # exit status
CORRECTIONS = "Corrections"
REPLACE = "Replace the old model"


def improve(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="Run to improve.", show_default="only with --resume")
    ] = None,
    corrections: Annotated[
        Path | None, option("FILE", f"Corrections: a store of `regard serve`, or {BOTH_SIDES}.", CORRECTIONS)
    ] = None,
    source_language: Annotated[
        str, option("LANG", "Language code of the source.", LANGUAGES, show_default="the run's")
    ] = "",
    target_language: Annotated[
        str, option("LANG", "Language code of the target.", LANGUAGES, show_default="the run's")
    ] = "",
    tag: Annotated[
        list[str] | None,
        option(
            "TAG",
            "Tag of the corrections, for a run with several. Can be repeated.",
            LANGUAGES,
            "--tag",
            show_default="the tags of their languages",
        ),
    ] = None,
    source_column: CorpusSourceColumn = "",
    target_column: CorpusTargetColumn = "",
    epochs: Annotated[int, option("N", "How often training sees each correction.", TRAINING, min=1)] = EPOCHS,
    old_pairs: Annotated[
        float,
        option(
            "N",
            "Old pairs for each time that training sees a correction. More of them keep what the model knows.",
            TRAINING,
            min=0,
        ),
    ] = OLD_PAIRS,
    old_data: Annotated[
        Path | None,
        option(
            "FILE",
            "Pairs that RUN translates well, for the old pairs and the old dev set; for an imported model.",
            TRAINING,
            show_default="the run's",
        ),
    ] = None,
    settings: Settings = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="If the new model is accepted, make it the best checkpoint of RUN, in one step; a server that runs "
            "loads it. The old one is kept.",
            rich_help_panel=REPLACE,
        ),
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Make the checkpoint that was replaced last the best one again.", rich_help_panel=REPLACE
        ),
    ] = False,
    resume: Annotated[Path | None, option("NEWRUN", "Continue an improvement that was interrupted.", OUTPUT)] = None,
    output: Annotated[
        Path | None,
        option("DIR", "Folder of the new run.", OUTPUT, "-o", "--output", show_default="RUN-improved-1, or the next"),
    ] = None,
) -> None:
    """Fine-tune a run on corrections, and accept the new model only if it is better.

    The corrections are checked, one in five is held out, and the others are mixed with old pairs, so that the model
    forgets nothing. It is accepted if it is better on the corrections held out and not worse on the old dev set. The
    exit status is 3 if it is rejected.
    """
    from rich.console import Console

    from regard.console import say

    _check_arguments(run, corrections, resume, output, undo=undo, replace=replace)
    say("loading PyTorch", style="dim")
    from regard.config.overrides import Override
    from regard.runs.improvement import improve as improvement
    from regard.runs.improvement.corrections import NothingToDoError
    from regard.runs.improvement.record import made_by

    console = Console(stderr=True)
    if undo:
        _undo(Path(run or ""), console)
        return
    folder = resume or output or improvement.default_output(Path(run or ""))
    options: ImproveOptions = {
        "output": folder,
        "epochs": epochs,
        "old_pairs": old_pairs,
        "old_data": old_data,
        "replace": replace,
        "source_language": source_language,
        "target_language": target_language,
        "tags": tag or (),
        "source_column": source_column,
        "target_column": target_column,
        "overrides": [Override(text, "--set") for text in settings or ()],
        "console": console,
    }
    try:
        if resume is None:
            result = improvement.improve(run or "", corrections or "", **options)
        else:
            result = improvement.resume_improvement(resume, console=console)
    except NothingToDoError as error:
        say(f"{error.message}; {error.fix}", console)
        return
    except KeyboardInterrupt:
        if made_by(folder).exists:
            say(f"continue:   regard improve --resume {shlex.quote(str(folder))}", console)
        raise typer.Exit(130) from None
    _say_result(result, run or Path(made_by(result.folder).read().run), console)


def _check_arguments(
    run: Path | None, corrections: Path | None, resume: Path | None, output: Path | None, *, undo: bool, replace: bool
) -> None:
    """Raise ConfigError for arguments that do not go together."""
    if resume is not None and (run or corrections or output or undo or replace):
        raise ConfigError("--resume continues an improvement as it is", fix="give no other argument with it")
    if resume is None and run is None:
        raise ConfigError("no run to improve is given", fix="give RUN and --corrections FILE, or --resume NEWRUN")
    if undo and (corrections or output or replace):
        raise ConfigError("--undo only restores the old checkpoint", fix="give RUN and --undo")
    if resume is None and not undo and corrections is None:
        raise ConfigError("there are no corrections", where="--corrections", fix="name a store or a file")


def _undo(run: Path, console: Console) -> None:
    from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
    from regard.console import say
    from regard.runs.card.file import refresh_card
    from regard.runs.improvement.replacement import undo

    resolve_checkpoint(run)  # report a wrong path
    before, restored = undo(RunFolder(run))
    refresh_card(RunFolder(run), partial(say, console=console))
    say(f"{run}: the best checkpoint is {restored} again, instead of {before}", console)


def _say_result(result: Improvement, run: Path, console: Console) -> None:
    """Print what has happened to the new run; exit with REJECTED if it is rejected."""
    from regard.console import say

    folder = shlex.quote(str(result.folder))
    if not result.accepted:
        say(f"the rejected run is kept in {folder}", console)
        raise typer.Exit(REJECTED)
    if result.installed:
        old = shlex.quote(str(run))
        say(f"replaced:   the best checkpoint of {old} is now {result.installed}", console)
        say(f"undo:       regard improve {old} --undo", console)
    else:
        say(f"translate:  regard translate {folder} < input.txt > output.txt", console)
