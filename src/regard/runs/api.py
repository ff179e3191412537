"""`regard.train`: what the command `regard train` does, in Python."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast, overload

from rich.console import Console

from regard.config.overrides import Overrides, to_overrides
from regard.config.placeholders import Placeholders
from regard.config.schema import RunConfig
from regard.console import say
from regard.errors import ConfigError, suggest
from regard.runs.train import Result
from regard.runs.train import train as train_config
from regard.runs.training_recipe import choose_recipe
from regard.runs.training_request import FILES, OPTIONS, TrainingRequest, option_overrides, start_config
from regard.training.distributed import init_distributed

CALLER = "regard.train"


class TrainOptions(TypedDict, total=False):
    """Options of `regard.train`. Their defaults are those of the recipe, or suit the corpus.

    Attributes:
        minutes: Training time, in minutes. Without a recipe, the schedule is fitted to it.
        architecture: The architecture, such as `modern` or `bahdanau2014`.
        preset: The size of the model: `tiny`, `small` or `base`; most architectures also have `paper`.
        device: The device to train on.
        augment: How many training pairs are changed as people change text, with typos for example: `off`, `light` or
            `full`.
        overrides: Other keys of the recipe, as `["train.seed=7"]` or `{"train.seed": 7}`.
        placeholders: The values of the placeholders of a recipe, as `{"language": "tur"}` for `{language}`.
        dev_source: The source side of the dev set. Without a dev set, pairs are held out of the corpus.
        dev_target: Its target side.
        dev_data: One file with both sides of the dev set, instead of these.
        source_language: The language code of the source, such as `en`; by default from the file's name.
        target_language: The language code of the target.
        source_column: The source column of a table: a name, or a number counted from 1; several with commas, `1,3`.
        target_column: The target column of a table.
        start: A run whose weights and vocabulary training starts from (fine-tuning).
        extend_vocabulary: With `start`: the most tokens of the new corpus to add to the vocabulary.
        ray: A Ray cluster that encodes the corpus, as `--ray` of `regard train`: `HOST:PORT`, `auto` or `local`.
        quiet: Print nothing.
        console: Where to print messages and progress; standard error by default.
    """

    minutes: float | None
    architecture: str | None
    preset: str | None
    device: Literal["auto", "cpu", "cuda", "mps"] | None
    augment: Literal["off", "light", "full"] | None
    overrides: Overrides
    placeholders: Placeholders
    dev_source: str | Path | None
    dev_target: str | Path | None
    dev_data: str | Path | None
    source_language: str | None
    target_language: str | None
    source_column: str | None
    target_column: str | None
    start: str | Path | None
    extend_vocabulary: int | None
    ray: str
    quiet: bool
    console: Console | None


class RecipeOptions(TrainOptions, total=False):
    """Options of `regard.train` with a recipe, whose corpus they may replace."""

    source: str | Path
    target: str | Path
    data: str | Path


@overload
def train(
    recipe: RunConfig | str | Path, output: str | Path | None = None, **options: Unpack[RecipeOptions]
) -> Result: ...
@overload
def train(
    *, source: str | Path, target: str | Path, output: str | Path | None = None, **options: Unpack[TrainOptions]
) -> Result: ...
@overload
def train(*, data: str | Path, output: str | Path | None = None, **options: Unpack[TrainOptions]) -> Result: ...
@overload
def train(
    *, corpus: Literal["dates", "numbers"], output: str | Path | None = None, **options: Unpack[TrainOptions]
) -> Result: ...
def train(recipe: RunConfig | str | Path | None = None, output: str | Path | None = None, **options: Any) -> Result:
    """Train a model on your own files, on a built-in corpus, or from a recipe.

    Without a recipe, vocabulary, model size, schedule and batch size are chosen for the corpus and the machine, and
    each choice is printed with its reason. Ctrl-C saves a checkpoint; `regard.resume` continues from it. Under
    torchrun, all processes train the run together; a job that torchrun restarts resumes its own run.

    Example:
        >>> result = regard.train(source="a.en", target="a.de", minutes=30)
        >>> regard.load(result.folder).translate("A dog runs.").text
        'Ein Hund rennt.'

    Args:
        recipe: A recipe from `read_recipe`, or the path of one.
        output: The folder of the run. Default: in `runs`, named after the languages and the architecture, or after the
            recipe.
        options: The corpus, as `source` and `target`, two text files, line by line; or as `data`, one file with both
            sides; or as `corpus`, the name of a built-in corpus. For all other options see `TrainOptions`.

    Raises:
        ConfigError: An option is not valid, or the recipe does not suit the corpus or the machine.
        DataError: The corpus cannot be read.
        CheckpointError: A checkpoint cannot be read or written.
        TrainingError: Training diverges or runs out of memory.
    """
    request, console = _parse(recipe, output, options)
    with init_distributed() as processes:
        console.quiet = console.quiet or not processes.is_main
        choose = partial(choose_recipe, request, partial(say, console=console, wrap=True))
        config, folder = processes.main_process_first(choose)
        return train_config(config, folder, console=console, ray=options.get("ray", ""))


def _parse(
    recipe: RunConfig | str | Path | None, output: str | Path | None, options: dict[str, Any]
) -> tuple[TrainingRequest, Console]:
    valid = {"output", "source", "target", "data", "corpus", *TrainOptions.__annotations__}
    for name in options:
        if name not in valid:
            raise ConfigError(f"unknown option `{name}`", where=CALLER, fix=suggest(name, sorted(valid)))
    shortcuts = cast("dict[str, object]", {name: options.get(name) for name in OPTIONS})
    request = TrainingRequest(
        recipe=recipe if recipe is None or isinstance(recipe, RunConfig) else Path(recipe),
        files={name: str(options[name]) for name in FILES if options.get(name) is not None},
        overrides=[*option_overrides(shortcuts), *to_overrides(options.get("overrides", ()))],
        output=None if output is None else Path(output),
        start=start_config(options.get("start"), options.get("extend_vocabulary")),
        placeholders=options.get("placeholders", {}),
        caller=CALLER,
    )
    request.check()
    quiet, console = options.get("quiet", False), options.get("console")
    return request, Console(quiet=True) if quiet else console or Console(stderr=True)
