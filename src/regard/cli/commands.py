"""What each command does: a few lines over the public API."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast, get_args

import typer
from rich.console import Console

from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import DATA_PATHS, DataConfig, RunConfig, StartConfig
from regard.corpus.language_codes import languages_from_names
from regard.errors import ConfigError
from regard.inference.shortlist import make_shortlist
from regard.inference.translator import Precision, Translator
from regard.reports.compare.demo import run_demo
from regard.reports.compare.run import Request
from regard.reports.compare.run import compare as compare_systems
from regard.runs import auto_recipe, finetune_recipe
from regard.runs import train as runs
from regard.runs.dry_run import dry_run
from regard.runs.train import Result
from regard.runtime import choose_device
from regard.training.distributed import init_distributed

PREFIXES = {("file", "hf"): "dataset", ("file", "mtdata"): "mtdata", ("dev_file", "mtdata"): "dev_mtdata"}


@dataclass(frozen=True)
class Job:
    """What translate, evaluate and score share."""

    run: Path
    input: Path | None
    output: Path | None
    device: str
    batch_size: int
    precision: str = "float32"
    others: tuple[Path, ...] = ()  # runs that decode together with it
    workers: int = 0  # 0: as many as the work is worth
    tags: tuple[str, ...] = ()  # before each source

    def translator(self) -> Translator:
        """The run's model, or an ensemble's. Raises CheckpointError, ConfigError, DecodingError."""
        return self.loader()()

    def loader(self) -> Callable[[], Translator]:
        """What loads it, here or in another process."""
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"there is no precision {self.precision!r}",
                where="--precision",
                fix=f"say {' or '.join(get_args(Precision))}",
            )
        precision = cast(Precision, self.precision)
        load = partial(Translator.load, self.run, self.device, precision)
        if self.others:
            load = partial(Translator.load_ensemble, [self.run, *self.others], self.device, precision)
        return partial(_with_tags, load, self.tags) if self.tags else load


def _with_tags(load: Callable[[], Translator], tags: Sequence[str]) -> Translator:
    return load().with_tags(tags)


def _console() -> Console:
    return Console(stderr=True)


def start(run: Path | None, new_tokens: int | None) -> StartConfig | None:
    """What --from and --extend-vocabulary say."""
    if run is not None:
        given = {} if new_tokens is None else {"new_tokens": new_tokens}
        return StartConfig(checkpoint=os.path.realpath(run), **given)
    if new_tokens is not None:
        raise ConfigError(
            "there is no vocabulary to extend",
            where="--extend-vocabulary",
            fix="name the run that has it by --from RUN",
        )
    return None


def resume(run: Path, overrides: Sequence[str], *, alone: bool) -> None:
    """See regard.runs.train.resume."""
    if not alone:
        raise ConfigError("--resume goes on with a run as it is", fix="give no other argument beside it than --set")
    console = _console()
    _together(lambda: (run, lambda: runs.resume(run, overrides, console=console)), console)


def train(
    recipe: Path | None,
    files: dict[str, str],
    *,
    out: Path | None,
    start: StartConfig | None,
    overrides: Sequence[str],
    dry: bool,
) -> None:
    """See regard.runs.train.train; for a dry run, regard.runs.dry_run."""
    console = _console()
    files = _by_prefix(files)
    if dry:
        dry_run(*_wanted(recipe, files, out, start, overrides, console), console)
        return

    def asked() -> tuple[Path, Callable[[], Result]]:
        config, folder = _wanted(recipe, files, out, start, overrides, console)
        return folder, lambda: runs.train(config, folder, console=console)

    _together(asked, console)


def _by_prefix(files: dict[str, str]) -> dict[str, str]:
    """The same, with --data hf:NAME and mtdata:NAME as what they name, which is no file."""
    named = {}
    for key, value in files.items():
        prefix, _, name = value.partition(":")
        known = PREFIXES.get((key, prefix))
        named[known or key] = name if known else value
    return named


def _wanted(
    recipe: Path | None,
    files: dict[str, str],
    out: Path | None,
    start: StartConfig | None,
    overrides: Sequence[str],
    console: Console,
) -> tuple[RunConfig, Path]:
    """The recipe to train by, and the run's folder."""
    if recipe is None:
        config = _own_files(files, start, overrides, console)
        return config, out or runs.default_folder(config)
    data = [f"data.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in files.items()]
    begun = {} if start is None else start.model_dump(exclude_unset=True)
    data += [f"start.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in begun.items()]
    return runs.read_recipe(recipe, [*data, *overrides]), out or Path("runs") / recipe.stem


def _together(asked: Callable[[], tuple[Path, Callable[[], Result]]], console: Console) -> None:
    """A run's folder and the work on it, in each of the processes that there are; the first one tells of it."""
    with init_distributed() as here:
        console.quiet = not here.is_main
        result = _until_done(*here.main_process_first(asked), console)
    _finish(result, console)


def _until_done(folder: Path, work: Callable[[], Result], console: Console) -> Result:
    try:
        return work()
    except KeyboardInterrupt:
        console.print("stopped at once", highlight=False)
        if RunFolder(folder).recipe.is_file():
            _tell_how_to_go_on(folder, console)
        raise typer.Exit(130) from None


def _tell_how_to_go_on(folder: Path, console: Console) -> None:
    command = f"regard train --resume {shlex.quote(str(folder))}"
    console.print(f"go on:      {command}", highlight=False, markup=False, soft_wrap=True)


def _own_files(
    files: dict[str, str], start: StartConfig | None, overrides: Sequence[str], console: Console
) -> RunConfig:
    origins = {"source", "target", "file", "dataset", "mtdata"} & files.keys()
    if origins != {"source", "target"} and (len(origins) != 1 or origins & {"source", "target"}):
        raise ConfigError(
            "it is not clear what to train on" if origins else "there is nothing to train on",
            where="regard train",
            fix="give a recipe, or both --source and --target, or --data",
        )
    dev_sets = {"dev_source", "dev_file", "dev_mtdata"} & files.keys()
    if ("dev_source" in files) != ("dev_target" in files) or len(dev_sets) > 1:
        raise ConfigError(
            "a dev set has two sides",
            where="regard train",
            fix="give both --dev-source and --dev-target, or --dev-data",
        )
    paths = {name: os.path.realpath(value) for name, value in files.items() if name in DATA_PATHS}
    if "dataset" in files:
        folder = Path(files["dataset"])
        paths["dataset"] = os.path.realpath(folder) if folder.is_dir() else files["dataset"]
    paths |= {name: value for name, value in files.items() if name in ("mtdata", "dev_mtdata")}
    columns = {name: value for name, value in files.items() if name.endswith("_column")}
    if len(columns) == 1:
        raise ConfigError(
            "a pair has two columns", where="regard train", fix="give both --source-column and --target-column"
        )
    told = languages_from_names(
        *(files[name] for name in ("source", "target", "file", "dataset", "mtdata") if name in files)
    )
    names = ("source_language", "target_language")
    languages = {name: files.get(name) or ("" if start else said) for name, said in zip(names, told, strict=True)}
    data = DataConfig.model_validate({**paths, **languages, **columns})
    gpu = choose_device("auto").type == "cuda"
    choose = auto_recipe.recipe if start is None else partial(finetune_recipe.recipe, start)
    say = runs.say_on(console)
    config, reasons = choose(data, overrides, gpu=gpu, say=say)
    for reason in reasons:
        say(reason)
    return config


def _finish(result: Result, console: Console) -> None:
    ends = {
        "steps": "all steps are done",
        "minutes": "its minutes are over",
        "patience": "it has stopped getting better",
        "interrupted": "stopped, and saved",
    }
    scores = "  ".join(f"{name} {value:.3f}" for name, value in result.scores.items())
    console.print(
        f"{ends[result.end]}, at step {result.step:,}" + (f"; best on dev: {scores}" if scores else ""),
        highlight=False,
        soft_wrap=True,
    )
    if result.end == "interrupted":
        _tell_how_to_go_on(result.folder, console)
        raise typer.Exit(130)
    command = f"regard translate {shlex.quote(str(result.folder))} < in > out"
    console.print(f"translate:  {command}", highlight=False, markup=False, soft_wrap=True)


def tell_proved(counts: Counter[bool | None]) -> None:
    """On stderr, after exact search, how many lines it has proved: counts of Translation.proved."""
    if not (counts[True] or counts[False]):
        return
    told = f"exact search proved {counts[True]:,} of {counts[True] + counts[False]:,} lines the best that there are"
    if counts[False]:
        told += f"; {counts[False]:,} not, within exact_steps"
    _console().print(told, highlight=False, soft_wrap=True)


def shortlist(run: Path, candidates: int, frequent: int) -> None:
    """See regard.inference.shortlist.make_shortlist."""
    console = _console()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    path = make_shortlist(run, candidates, frequent, say)
    say(f"written to {path}; with it:  regard translate {shlex.quote(str(run))} --search shortlist=true < in > out")


def demo(out: Path) -> None:
    """See regard.reports.compare.demo."""
    run_demo(out, Console())


def folders(given: Sequence[str]) -> list[Path]:
    """Paths, with commas between them unless such a path is there."""
    return [Path(one) for text in given for one in ([text] if Path(text).exists() else text.split(",")) if one]


def compare(request: Request, out: Path) -> None:
    """See regard.reports.compare.run."""
    console = _console()
    try:
        page = compare_systems(request, out, console)
    except KeyboardInterrupt:
        console.print("stopped; what was trained and measured is kept", highlight=False, soft_wrap=True)
        command = shlex.join(["regard", *sys.argv[1:]])
        console.print(f"go on:      {command}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    console.print(f"report:     {page.resolve()}", highlight=False, markup=False, soft_wrap=True)
