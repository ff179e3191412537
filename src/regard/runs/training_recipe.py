"""The recipe of a training request: a file with its overrides, or one that is chosen to suit the user's files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from regard.config.data_folder import find_data_file
from regard.config.overrides import Override
from regard.config.recipe import override_config, parse_data
from regard.config.schema import DATA_PATHS, RunConfig
from regard.console import Say
from regard.corpus.builtin import LANGUAGES
from regard.corpus.language_codes import languages_from_names
from regard.models import ARCHITECTURES
from regard.runs import auto_recipe, finetune_recipe
from regard.runs.train import default_folder, read_recipe
from regard.runs.training_request import FILES, TrainingRequest
from regard.runtime import choose_device

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
    return read_recipe(request.recipe, overrides), request.output or Path("runs") / request.recipe.stem


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
    names = [values[key] for key in ("source", "target", "file", "dataset", "mtdata") if key in values]
    languages = languages_from_names(*names) if names else LANGUAGES.get(values.get("corpus", ""), ("", ""))
    for key, language in zip(("source_language", "target_language"), languages, strict=True):
        data[key] = values.get(key) or ("" if start else language)
    origins = {f"data.{key}": request.spell(option) for option, (key, _) in keys.items()}
    parsed = parse_data(data, where=request.caller, origins=origins)
    has_gpu = choose_device("auto").type == "cuda"
    choose = auto_recipe.choose_recipe if start is None else partial(finetune_recipe.choose_recipe, start)
    config, reasons = choose(parsed, request.overrides, gpu=has_gpu, say=say)
    for reason in reasons:
        say(reason)
    return config
