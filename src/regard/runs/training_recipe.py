"""The recipe of a training request: a file with its overrides, or one that is chosen to suit the user's files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from regard.config.data_folder import find_data_file
from regard.config.overrides import Override, parse_overrides
from regard.config.recipe import override_config, parse_data
from regard.config.schema import DATA_PATHS, RunConfig
from regard.console import Say
from regard.corpus.builtin import LANGUAGES as BUILT_IN_LANGUAGES
from regard.corpus.declared_languages import declared_languages
from regard.corpus.formats.sides import Sides
from regard.corpus.language_codes import languages_from_names
from regard.models import ARCHITECTURES
from regard.runs import auto_recipe, finetune_recipe
from regard.runs.train import default_folder, read_recipe
from regard.runs.training_request import FILES, TrainingRequest
from regard.runtime import choose_device

LANGUAGES = ("source_language", "target_language")
PREFIXES = {("file", "hf"): "dataset", ("file", "mtdata"): "mtdata", ("dev_file", "mtdata"): "dev_mtdata"}


def choose_recipe(request: TrainingRequest, say: Say) -> tuple[RunConfig, Path]:
    """Return the recipe and the folder of the run.

    Args:
        request: What to train. Without a recipe, one is chosen that suits its files.
        say: Prints what takes a while, and the reasons of a choice.

    Raises:
        ConfigError: The request, the recipe or an override is not valid.
        DataError: A file cannot be read.
        CheckpointError: The run that training starts from cannot be read.
    """
    request.check()
    if request.recipe is None:
        config = _choose(request, say)
        return config, request.output or default_folder(config)
    start = {} if request.start is None else request.start.model_dump(exclude_unset=True)
    overrides = [
        *(
            Override(f"data.{key}={_quoted(value)}", request.spell(option))
            for option, (key, value) in _data_keys(request.files).items()
        ),
        *(Override(f"start.{key}={_quoted(value)}", request.spell("start")) for key, value in start.items()),
        *request.overrides,
    ]
    if isinstance(request.recipe, RunConfig):
        config = override_config(request.recipe, overrides, ARCHITECTURES) if overrides else request.recipe
        return config, request.output or default_folder(config)
    config = read_recipe(request.recipe, overrides, request.placeholders)
    name = "-".join([request.recipe.stem, *request.placeholders.values()])
    return config, request.output or Path("runs") / name


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _data_keys(files: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the key of [data] and the value of each option; `hf:NAME` and `mtdata:NAME` have their own keys."""
    keys = {}
    for option, value in files.items():
        prefix, _, name = value.partition(":")
        key = FILES[option]
        prefixed = PREFIXES.get((key, prefix))
        keys[option] = (key, value) if prefixed is None else (prefixed, name)
    return keys


def _choose(request: TrainingRequest, say: Say) -> RunConfig:
    start = request.start
    keys = _data_keys(request.files)
    values = dict(keys.values())
    data: dict[str, object] = {
        key: os.path.realpath(find_data_file(value)) if key in DATA_PATHS else value for key, value in values.items()
    }
    if "dataset" in values and Path(values["dataset"]).is_dir():
        data["dataset"] = os.path.realpath(values["dataset"])
    if start is None:
        data |= _languages(values, data, say)
    origins = {f"data.{key}": request.spell(option) for option, (key, _) in keys.items()}
    parsed = parse_data(data, where=request.caller, origins=origins)
    has_gpu = parse_overrides(request.overrides).get("train.device") != "cpu" and choose_device("auto").type == "cuda"
    choose = auto_recipe.choose_recipe if start is None else partial(finetune_recipe.choose_recipe, start)
    config, reasons = choose(parsed, request.overrides, gpu=has_gpu, say=say)
    for reason in reasons:
        say(reason)
    return config


def _languages(values: Mapping[str, str], data: Mapping[str, object], say: Say) -> dict[str, str]:
    """Return the languages that were requested, or else those in the names of the files, or else those in the file.

    Args:
        values: The requested values of [data].
        data: The same, with absolute paths.
        say: Prints languages that the file declares.

    Raises:
        DataError: The file cannot be read, or it is not clear which of its languages to use.
    """
    names = [values[key] for key in ("source", "target", "file", "dataset", "mtdata") if key in values]
    named = languages_from_names(*names) if names else BUILT_IN_LANGUAGES.get(values.get("corpus", ""), ("", ""))
    source, target = (values.get(key) or name for key, name in zip(LANGUAGES, named, strict=True))
    if "file" in data and not (source and target):
        file = Path(str(data["file"]))
        declared = declared_languages(file, Sides(source, target))
        source, target = source or declared[0], target or declared[1]
        if any(declared):
            say(f"languages: {source or 'unknown'} to {target or 'unknown'}, as {file.name} says")
    return dict(zip(LANGUAGES, (source, target), strict=True))
