"""Read and write recipes: TOML with `section.key=value` overrides to a `RunConfig`, and back.

A recipe is read strictly. An unknown key, a value of the wrong type and a value out of range are each a ConfigError
that names the file, the key, and the nearest valid name or the valid range.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from regard.config.migrations import current_key, migrate
from regard.config.names import UNKNOWN_NAME
from regard.config.overrides import OVERRIDES, PATHS, ParsedOverride, parse_override, resolve_path
from regard.config.placeholders import (
    Placeholders,
    fill_placeholders,
    missing_placeholder,
    placeholder_names,
    refuse_unknown_placeholders,
)
from regard.config.schema import CorpusConfig, DataConfig, ModelConfig, RunConfig
from regard.errors import ConfigError, suggest
from regard.plugins.loading import load_installed_plugins, missing_plugin
from regard.plugins.registry import valid_names

log = logging.getLogger("regard.config")

NOT_A_RECIPE = "a corpus is named by --data, or by --source and --target"
PLUGINS = "plugins"  # the key above all sections: names of plugins that the recipe needs


class ArchitectureSchema(Protocol):
    """What the reader of recipes needs to know about an architecture."""

    @property
    def config(self) -> type[ModelConfig]:
        """The class of its [model] section."""
        ...

    @property
    def presets(self) -> Mapping[str, Callable[[], ModelConfig]]:
        """Its named sizes."""
        ...


Architectures = Mapping[str, ArchitectureSchema]

FillDefaults = Callable[[dict[str, Any]], None]
"""Add the values that a recipe leaves out to its table, in place."""


def read_config(
    path: Path,
    architectures: Architectures,
    overrides: Sequence[str] = (),
    fill_defaults: FillDefaults = lambda table: None,
    placeholders: Placeholders | None = None,
    further_texts: Sequence[str] = (),
) -> RunConfig:
    """Read a TOML recipe and apply `section.key=value` overrides.

    Relative paths in the file are resolved against its folder, those in overrides against the working directory.

    Args:
        path: The recipe.
        architectures: The known architectures by name.
        overrides: `section.key=value`, each value written as in TOML; bare words are strings.
        fill_defaults: Called with the table after overrides are applied, before it is validated.
        placeholders: The values of `{NAME}` in texts of the recipe and of the overrides. A path with a placeholder
            that has none must exist as it is written. None: the recipe has no placeholders, as that of a run.
        further_texts: Other texts in which the placeholders may be.

    Raises:
        ConfigError: The file cannot be read, or a key or a value is not valid, or a placeholder has no value or is not
            in the recipe.
    """
    table = _read_table(path)
    if placeholders is not None:
        refuse_unknown_placeholders(placeholders, placeholder_names([table, *overrides, *further_texts]), path)
        table, overrides = fill_placeholders((table, list(overrides)), placeholders)
    parsed = [parse_override(text) for text in overrides]
    unfilled = _resolve_table_paths(table, path)
    table = _migrate(table, where=str(path))
    origins = _apply(parsed, table)
    if placeholders is not None:
        for key, text in unfilled.items():
            if key not in origins:
                raise missing_placeholder(text, f"{path}: {key}")
    fill_defaults(table)
    where = f"{path} with {_join_origins(origins)}" if origins else str(path)
    table = _migrate(table, where)  # again, because the architecture may be a default
    return parse_config(table, architectures, where=where, origins=origins)


def _read_table(path: Path) -> dict[str, Any]:
    """Return the table of a TOML file. Raise ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("there is no such recipe", where=path, fix="check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the recipe is not UTF-8 ({error})", where=path, fix=f"save it as UTF-8; {NOT_A_RECIPE}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the recipe cannot be read: {error}",
            where=path,
            fix=f"correct the file: a recipe is TOML; {NOT_A_RECIPE}",
        ) from None


def _resolve_table_paths(table: dict[str, Any], path: Path) -> dict[str, str]:
    """Make the paths in a recipe absolute, in place.

    Returns:
        The texts with placeholders that are neither paths that exist nor anything else, by `section.key`.
    """
    unfilled = {}
    for name, keys in PATHS.items():
        for part in _corpus_tables(table.get(name)):
            for key in keys:
                if isinstance(text := part.get(key), str):
                    part[key] = resolve_path(key, text, path.parent, f"{path}: {name}.{key}")
                    if placeholder_names(text) and not Path(part[key]).exists():
                        unfilled[f"{name}.{key}"] = text
    return unfilled


def _migrate(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a recipe with today's keys, and log a warning if it has old ones."""
    migrated, warnings = migrate(table, where)
    if warnings:
        _warn(f"{where} has old keys: {', '.join(warnings)}")
    return migrated


@cache
def _warn(message: str) -> None:
    """Log a warning, once per process."""
    log.warning("%s", message)


def _corpus_tables(section: object) -> list[dict[str, Any]]:
    """Return the table of a section and the tables of the corpora in it."""
    if not isinstance(section, dict):
        return []
    corpora = section.get("corpora")
    return [section, *(part for part in corpora if isinstance(part, dict))] if isinstance(corpora, list) else [section]


def _apply(overrides: Sequence[ParsedOverride], table: dict[str, Any]) -> dict[str, str]:
    """Write overrides into a table, in place. Return where each `section.key` was given."""
    architectures = [value for name, key, value, _ in overrides if (name, key) == ("model", "architecture")]
    origins = {}
    for name, key, value, origin in overrides:
        section = table.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"`{name}` is not a table", where=origin, fix=f"write it as [{name}] in the recipe")
        new_key = current_key(name, key, architectures[-1] if architectures else section.get("architecture"))
        if new_key != key:
            _warn(f"{origin}: `{name}.{key}` is now called `{name}.{new_key}`")
        _set_key(section, new_key, value, f"{origin}: {name}.{new_key}")
        origins[f"{name}.{new_key}"] = origin
    return origins


def _set_key(section: dict[str, Any], key: str, value: object, where: str) -> None:
    """Set a key of a section, or a key `table.key` of a table in it, in place. Raise ConfigError."""
    table, dot, nested_key = key.rpartition(".")
    if not dot:
        section[key] = value
        return
    values = section.setdefault(table, {})
    if not isinstance(values, dict):
        raise ConfigError(f"`{table}` is not a table", where=where, fix=f"set `{table}` as a whole")
    section[table] = {**values, nested_key: value}


def _join_origins(origins: Mapping[str, str]) -> str:
    """Return where overrides were given, for example `--set, --minutes`."""
    return ", ".join(dict.fromkeys(origins.values())) or OVERRIDES


AnyCorpus = TypeVar("AnyCorpus", bound=CorpusConfig)


def resolve_paths(config: RunConfig) -> RunConfig:
    """Return the recipe with absolute paths, so that it means the same from any folder."""
    return config.model_copy(update={"data": resolve_data_paths(config.data)})


def resolve_data_paths(data: DataConfig) -> DataConfig:
    """Return [data] with absolute paths."""
    corpora = tuple(_resolve_corpus_paths(corpus) for corpus in data.corpora)
    return _resolve_corpus_paths(data).model_copy(update={"corpora": corpora})


def _resolve_corpus_paths(corpus: AnyCorpus) -> AnyCorpus:
    values = ((key, getattr(corpus, key)) for key in PATHS["data"])
    paths = {key: resolve_path(key, value, Path(), f"data.{key}") for key, value in values if value is not None}
    return corpus.model_copy(update=paths)


def override_config(config: RunConfig, overrides: Sequence[str], architectures: Architectures) -> RunConfig:
    """Return a config with `section.key=value` overrides applied.

    An override of the architecture starts from that architecture's `small` preset (its first one, if there is none of
    that name), an override of the preset from that preset, and an override of the optimizer from that optimizer's
    default learning rate. Raises ConfigError.
    """
    parsed = [parse_override(text) for text in overrides]
    model = {key: value for section, key, value, _ in parsed if section == "model"}
    table = to_table(config)
    if "preset" in model or model.get("architecture", config.model.architecture) != config.model.architecture:
        table["model"] = _default_size(model.get("architecture", config.model.architecture), architectures)
    optimizers = [value for section, key, value, _ in parsed if (section, key) == ("train", "optimizer")]
    if optimizers and optimizers[-1] != config.train.optimizer:
        del table["train"]["learning_rate"]
    origins = _apply(parsed, table)
    return parse_config(table, architectures, where=_join_origins(origins), origins=origins)


def _default_size(architecture: object, architectures: Architectures) -> dict[str, Any]:
    """Return a [model] with the `small` preset of an architecture, or else its first preset, if it has any."""
    is_known = isinstance(architecture, str) and architecture in architectures
    presets = list(architectures[str(architecture)].presets) if is_known else ["small"]
    preset = {"preset": "small" if "small" in presets else presets[0]} if presets else {}
    return {"architecture": architecture, **preset}


def parse_config(
    table: Mapping[str, Any],
    architectures: Architectures,
    *,
    where: str,
    origins: Mapping[str, str] = MappingProxyType({}),
    for_training: bool = True,
) -> RunConfig:
    """Validate a nested table and return it as a RunConfig. The plugins that it names are loaded if they are installed.

    Without `for_training`, plugins may be missing that only read the corpus, and those of `train.metric`, which then
    has its default.

    Args:
        table: Section to key to value, as tomllib or json reads it.
        architectures: The known architectures by name.
        where: The origin of the table, for error messages.
        origins: The origin of each `section.key` that comes from elsewhere, such as an override.
        for_training: Whether a model is trained with the config, rather than only used.

    Raises:
        ConfigError: A key or a value is not valid.
        PluginError: A plugin that is needed is neither loaded nor installed.
    """
    sections, _ = migrate(table, where)  # the keys of a checkpoint may be old, too
    missing = load_installed_plugins(sections.pop(PLUGINS, ()), where)
    if not missing:
        return _parse_sections(sections, architectures, where, origins)
    if for_training:
        raise missing_plugin(missing[0], where)
    train = sections.get("train")
    if isinstance(train, Mapping) and train.get("metric") not in valid_names("metrics"):
        sections["train"] = {key: value for key, value in train.items() if key != "metric"}
    try:
        return _parse_sections(sections, architectures, where, origins)
    except ConfigError:  # probably a name that a missing plugin has
        raise missing_plugin(missing[0], where) from None


def _parse_sections(
    sections: dict[str, Any], architectures: Architectures, where: str, origins: Mapping[str, str]
) -> RunConfig:
    model = sections.pop("model", None)
    if not isinstance(model, Mapping):
        raise ConfigError(
            "there is no [model] table",
            where=where,
            fix=f"add it, with one of {', '.join(architectures)} as model.architecture",
        )
    try:
        return RunConfig(model=_parse_model(model, architectures, where, origins), **sections)
    except ValidationError as error:
        raise _as_config_error(error, RunConfig, where, origins, prefix="") from None


def parse_data(table: Mapping[str, Any], *, where: str, origins: Mapping[str, str]) -> DataConfig:
    """Validate the table of [data] alone, as `parse_config` does. Raise ConfigError."""
    try:
        return DataConfig.model_validate(table)
    except ValidationError as error:
        raise _as_config_error(error, DataConfig, where, origins, prefix="data.") from None


def _parse_model(
    table: Mapping[str, Any], architectures: Architectures, where: str, origins: Mapping[str, str]
) -> ModelConfig:
    values = dict(table)
    name = values.get("architecture")
    if not isinstance(name, str) or name not in architectures:
        raise ConfigError(
            f"unknown architecture {name!r}" if name else "model.architecture is missing",
            where=origins.get("model.architecture", f"{where}: model.architecture"),
            fix=f"{suggest(str(name), architectures)}; a plugin can add others",
        )
    architecture = architectures[name]
    preset = values.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or preset not in architecture.presets:
            raise ConfigError(
                f"{name} has no preset {preset!r}",
                where=origins.get("model.preset", f"{where}: model.preset"),
                fix=suggest(str(preset), architecture.presets) if architecture.presets else "leave it out",
            )
        values = {**architecture.presets[preset]().model_dump(), **values}
    try:
        return architecture.config(**values)
    except ValidationError as error:
        raise _as_config_error(error, architecture.config, where, origins, prefix="model.") from None


def _as_config_error(
    error: ValidationError, root: type[BaseModel], where: str, origins: Mapping[str, str], prefix: str
) -> ConfigError:
    """Return the first problem that pydantic found as a ConfigError."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    key = prefix + ".".join(path)
    owner = _owner(root, path)
    value = first["input"]
    if first["type"] == "extra_forbidden":
        further = ["preset"] if prefix else [] if len(path) > 1 else [PLUGINS]
        problem, fix = f"unknown key `{key}`", suggest(path[-1], [*further, *owner.model_fields])
    elif first["type"] == UNKNOWN_NAME:
        problem, fix = f"`{key}`: {first['ctx']['problem']}", first["ctx"]["fix"]
    elif first["type"] == "missing":
        section = key.rpartition(".")[0]
        problem, fix = f"`{key}` is missing", f"add it to [{section}]" if section else f"add a [{key}] table"
    elif first["type"] == "model_type":
        problem, fix = f"`{key}` is not a table (it is {value!r})", f"write it as [{key}]"
    elif first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        problem = f"`{key.rstrip('.')}`: {message}" if key else message
        fix = "correct that table" if key else "correct the recipe"
    else:
        shown = value if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
        problem, fix = f"`{key}`: {first['msg']} (it is {shown!r})", "give a value of that type"
        if first["type"] in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
            fix = f"give a value {describe_range(owner, path[-1])}"
    return ConfigError(problem, where=origins.get(key, where), fix=fix)


def _owner(root: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Return the model that the last key of a path belongs to."""
    owner = root
    for part in path[:-1]:
        field = owner.model_fields.get(part)
        types = () if field is None else (field.annotation, *get_args(field.annotation))
        owner = next((kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)), owner)
    return owner


def describe_range(section: type[BaseModel], key: str) -> str:
    """Return the range of a numeric key in words, e.g. `of at least 1 and at most 10`."""
    words = {"ge": "of at least", "gt": "of more than", "le": "at most", "lt": "less than"}
    field = section.model_fields.get(key)
    limits = [] if field is None else field.metadata
    bounds = ((name, getattr(limit, name, None)) for limit in limits for name in words)
    return " and ".join(f"{words[name]} {value:,}" for name, value in bounds if value is not None) or "of that type"


def to_table(config: RunConfig) -> dict[str, Any]:
    """Return the sections of a config as nested tables. `parse_config` reads them back to an equal config."""
    return config.model_dump(mode="json", exclude_none=True)


def to_portable_table(config: RunConfig) -> dict[str, Any]:
    """Return the sections of a config, after the names of the plugins that it uses, for another process to read."""
    return {**({PLUGINS: list(config.plugins)} if config.plugins else {}), **to_table(config)}


def to_toml(config: RunConfig) -> str:
    """Return a config as TOML with every key written out."""
    return tomli_w.dumps(to_portable_table(config))
