"""The recipe that `regard train` trains by: a file, or one that is chosen to suit the user's files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from regard.config.data_folder import find_data_file
from regard.config.schema import DATA_PATHS, DataConfig, RunConfig, StartConfig
from regard.console import say
from regard.corpus.language_codes import languages_from_names
from regard.runs import auto_recipe, finetune_recipe
from regard.runs import train as runs
from regard.runtime import choose_device

PREFIXES = {("file", "hf"): "dataset", ("file", "mtdata"): "mtdata", ("dev_file", "mtdata"): "dev_mtdata"}


def choose_recipe(
    recipe: Path | None,
    files: Mapping[str, str],
    output: Path | None,
    start: StartConfig | None,
    overrides: Sequence[str],
    console: Console,
) -> tuple[RunConfig, Path]:
    """Return the recipe and the folder of the run.

    Args:
        recipe: A recipe in TOML; None: one that suits `files` is chosen, and explained on the console.
        files: Keys of [data] that the command line sets.
        output: The folder; None: a default name.
        start: The run whose weights training starts from, if there is one.
        overrides: `section.key=value` texts.
        console: Where messages go.

    Raises:
        ConfigError: The recipe or an override is not valid.
        DataError: A file cannot be read.
        CheckpointError: The run that training starts from cannot be read.
    """
    files = _without_prefixes(files)
    if recipe is None:
        config = _chosen_recipe(files, start, overrides, console)
        return config, output or runs.default_folder(config)
    settings = [f"data.{key}={_quoted(value)}" for key, value in files.items()]
    start_values = {} if start is None else start.model_dump(exclude_unset=True)
    settings += [f"start.{key}={_quoted(value)}" for key, value in start_values.items()]
    return runs.read_recipe(recipe, [*settings, *overrides]), output or Path("runs") / recipe.stem


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _without_prefixes(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files with `hf:NAME` and `mtdata:NAME` under the keys of [data] that they belong to."""
    renamed = {}
    for key, value in files.items():
        prefix, _, name = value.partition(":")
        new_key = PREFIXES.get((key, prefix))
        renamed[new_key or key] = name if new_key else value
    return renamed


def _chosen_recipe(
    files: Mapping[str, str], start: StartConfig | None, overrides: Sequence[str], console: Console
) -> RunConfig:
    paths = {key: os.path.realpath(find_data_file(value)) for key, value in files.items() if key in DATA_PATHS}
    if "dataset" in files:
        folder = Path(files["dataset"])
        paths["dataset"] = os.path.realpath(folder) if folder.is_dir() else files["dataset"]
    names = {key: value for key, value in files.items() if key in ("mtdata", "dev_mtdata")}
    columns = {key: value for key, value in files.items() if key.endswith("_column")}
    origins = [files[key] for key in ("source", "target", "file", "dataset", "mtdata") if key in files]
    languages = {}
    for key, from_name in zip(("source_language", "target_language"), languages_from_names(*origins), strict=True):
        languages[key] = files.get(key) or ("" if start else from_name)
    data = DataConfig.model_validate({**paths, **names, **languages, **columns})
    has_gpu = choose_device("auto").type == "cuda"
    choose = auto_recipe.choose_recipe if start is None else partial(finetune_recipe.choose_recipe, start)
    config, reasons = choose(data, overrides, gpu=has_gpu, say=lambda text: say(text, console))
    for reason in reasons:
        say(reason, console)
    return config
