"""A recipe: one TOML file, read strictly into one RunConfig.

Every section is a frozen pydantic model. An unknown key, a value of another type, or a value out
of range is a ConfigError that names the file, the key and the nearest valid name.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, model_validator

from regard.config.data import DATA_PATHS as DATA_PATHS
from regard.config.data import MOST_LENGTH
from regard.config.data import CorpusConfig as CorpusConfig
from regard.config.data import DataConfig as DataConfig
from regard.config.data import Section as Section
from regard.errors import ConfigError

DATASET = "dataset"  # of [data]: a path where there is such a folder, else a name
MOST_WIDTH = 1 << 17  # of a layer, an embedding or a feed-forward
MOST_LAYERS = 1000
MOST_HEADS = 4096
MOST_KERNEL = 1023
MOST_POSITIONS = MOST_LENGTH  # that a model learns or looks over
MOST_VOCABULARY = 1_000_000
MOST_STEPS = 10**12

PATHS = {"data": (*DATA_PATHS, DATASET), "start": ("checkpoint",)}


class TokenizerConfig(Section):
    """[tokenizer]: how text becomes tokens."""

    kind: Literal["unigram", "bpe", "character", "word", "byte", "marian"] = "unigram"  # marian: only ever imported
    target_kind: Literal["unigram", "bpe", "character", "word", "byte"] | None = (
        None  # of the target side; None: the same
    )
    vocabulary_size: int = Field(8000, ge=8, le=MOST_VOCABULARY)  # at most; characters and bytes take what there is
    joint: bool = True  # one vocabulary for both sides

    @model_validator(mode="after")
    def _joint_alike(self) -> Self:
        if self.joint and self.target_kind not in (None, self.kind):
            raise ValueError("one vocabulary has tokens of one kind: say `joint = false` beside `target_kind`")
        return self


class ModelConfig(Section):
    """[model]: which system; each architecture adds its own sizes (see regard.models)."""

    architecture: str


def _default_rate(given: Mapping[str, Any]) -> float:
    """1.0 for Adadelta, which finds the length of its steps itself (Zeiler 2012); 1e-3 for the other optimizers."""
    return 1.0 if given.get("optimizer") == "adadelta" else 1e-3


class TrainConfig(Section):
    """[train]: how long, with what steps, and what is kept."""

    seed: int = Field(1, ge=0, lt=2**63)
    max_steps: int = Field(100_000, ge=1, le=MOST_STEPS)
    max_minutes: float | None = Field(None, gt=0, le=1e8)  # of training in all, resumed ones included
    tokens_per_batch: int = Field(4096, ge=1, le=10**9)  # padded tokens of the longer side in one batch
    accumulate: int = Field(1, ge=1, le=10**6)  # batches a step
    subword_sampling: float | None = Field(None, gt=0, lt=1)  # see regard.data.subword_sampling; None: off
    optimizer: Literal["adam", "adadelta", "muon"] = "adam"
    learning_rate: float = Field(default_factory=lambda given: _default_rate(given), gt=0)  # the schedule's peak
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = "inverse_sqrt"
    warmup_steps: int = Field(1000, ge=0, le=MOST_STEPS)
    clip_norm: float = Field(1.0, ge=0)  # bound on the norm of the gradient of the mean loss per target token; 0: off
    weight_decay: float = Field(0.0, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    checkpoint_every: int = Field(500, ge=1, le=MOST_STEPS)  # steps; each checkpoint is validated
    average_checkpoints: int = Field(1, ge=1, le=1000)  # the weights that are kept: a mean over so many checkpoints
    average_decay: float = Field(0.0, ge=0, lt=1)  # or over all steps, each counting so much less than the next; 0: off
    freeze: tuple[str, ...] = Field((), strict=False)  # what stays as it is: encoder, decoder.embedding, *.bias
    patience: int = Field(10, ge=0, le=10**9)  # checkpoints without a better score before training ends; 0: never
    metric: Literal["chrf", "bleu", "exact", "loss"] = "chrf"  # on dev; chooses the best checkpoint
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of products; auto: by a short try, when a run begins
    parallel: Literal["ddp", "fsdp"] = "ddp"  # under torchrun: the weights whole in each process, or a part in each

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.average_decay and self.average_checkpoints > 1:
            raise ValueError("give either `average_checkpoints` or `average_decay`: the weights kept are one mean")
        return self


class SearchConfig(Section):
    """[search]: how `translate` decodes unless told otherwise; validation so with one beam and without shortlist."""

    strategy: Literal["beam", "diverse", "lookahead", "exact", "sample", "mbr"] = "beam"  # a beam of 1 is greedy search
    beam_size: int = Field(5, ge=1, le=10_000)
    length_penalty: float = Field(0.6, ge=0)  # alpha, of
    length_norm: Literal["gnmt", "average"] = "gnmt"  # ((5 + |Y|) / 6) ** alpha, or |Y| ** alpha
    max_length_factor: float = Field(2.0, ge=0, le=100)  # a translation has at most factor * source tokens + addend
    max_length_addend: int = Field(20, ge=1, le=10_000)  # tokens; Vaswani et al. 2017: factor 1 and addend 50
    allow_empty: bool = False  # whether a beam may find nothing at all the best translation; greedy search always may
    coverage_penalty: float = Field(0.0, ge=0)  # GNMT's beta; of beam search
    no_repeat: int = Field(0, ge=0, le=10_000)  # no so many tokens in a row twice; 0: off; of beam search
    groups: int = Field(5, ge=1, le=10_000)  # of diverse beam search; they divide the beam
    diversity: float = Field(0.5, ge=0)  # what a token costs for each group that took it before
    lookahead_depth: int = Field(2, ge=1, le=100)  # steps
    lookahead_width: int = Field(3, ge=1, le=100)  # continuations tried at each
    exact_steps: int = Field(
        2000, ge=1, le=10**9
    )  # prefixes of a sentence that exact search may try before it gives up proof
    candidates: Literal["samples", "beam"] = "samples"  # of mbr, which takes the one that is most like the others
    samples: int = Field(16, ge=1, le=10_000)  # drawn for mbr
    temperature: float = Field(1.0, gt=0)
    top_k: int = Field(0, ge=0, le=MOST_VOCABULARY)  # draw among so many tokens; 0: all
    top_p: float = Field(1.0, gt=0, le=1)  # draw among the likeliest tokens that make up so much probability
    seed: int = Field(1, ge=0, lt=2**32)  # of draws; each line's own depend on it and on the line's number
    shortlist: bool = False  # only the tokens that the run's shortlist has for the source

    @model_validator(mode="after")
    def _groups_divide(self) -> SearchConfig:
        if self.strategy == "diverse" and self.beam_size % self.groups:
            raise ValueError(f"groups ({self.groups}) must divide beam_size ({self.beam_size})")
        return self


class StartConfig(Section):
    """[start]: whose weights and vocabulary training begins from, in the place of fresh ones."""

    checkpoint: str  # a checkpoint's folder, or a run's, whose best it is then
    new_tokens: int = Field(
        0, ge=0, le=MOST_VOCABULARY
    )  # that the new text adds to its vocabulary, to each of two; at most


class RunConfig(Section):
    """A whole recipe."""

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: SerializeAsAny[ModelConfig]
    train: TrainConfig = TrainConfig()
    search: SearchConfig = SearchConfig()
    start: StartConfig | None = None

    @model_validator(mode="after")
    def _can_be_sampled(self) -> Self:
        kinds = {self.tokenizer.kind, self.tokenizer.target_kind or self.tokenizer.kind}
        if self.train.subword_sampling is not None and not kinds <= {"unigram", "bpe"}:
            raise ValueError(
                f"train.subword_sampling needs subwords, and tokens are of the kind {' and '.join(sorted(kinds))}: "
                "text can be cut in one way only"
            )
        return self


class HasConfig(Protocol):
    """What a recipe's reader must know of an architecture."""

    @property
    def config(self) -> type[ModelConfig]:
        """The class that its [model] table is read into."""
        ...

    @property
    def presets(self) -> Mapping[str, Callable[[], ModelConfig]]:
        """Its named sizes."""
        ...


Architectures = Mapping[str, HasConfig]


Complete = Callable[[dict[str, Any]], None]


def read_recipe(
    path: Path, architectures: Architectures, overrides: Sequence[str] = (), complete: Complete = lambda table: None
) -> RunConfig:
    """A TOML file, with `section.key=value` overrides, to a RunConfig; `complete` may add to its table.

    Paths in the file are relative to its folder; in overrides, to the working folder. Raises ConfigError.
    """
    read = [_read_override(text) for text in overrides]
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("there is no such recipe", where=path, fix="check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"the recipe is not UTF-8 ({error})", where=path, fix="save it as UTF-8") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"the recipe cannot be read: {error}", where=path, fix="mend it: a recipe is TOML") from None
    for name, keys in PATHS.items():
        section = table.get(name)
        for key in keys:
            for part in _with_parts(section):
                if isinstance(part.get(key), str):
                    part[key] = _absolute(key, part[key], path.parent, f"{path}: {name}.{key}")
    _apply(read, table)
    complete(table)
    return parse_config(table, architectures, where=f"{path} with overrides" if overrides else str(path))


def _with_parts(section: object) -> list[dict[str, Any]]:
    """A section's table, and those of the corpora in it."""
    if not isinstance(section, dict):
        return []
    corpora = section.get("corpora")
    return [section, *(part for part in corpora if isinstance(part, dict))] if isinstance(corpora, list) else [section]


def _absolute(key: str, path: str, folder: Path, where: str) -> str:
    try:
        if key == DATASET and not (folder / path).is_dir():
            return path
        return str((folder / path).resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{path!r} is no path: {error}", where=where, fix="name a file") from None


Override = tuple[str, str, Any]  # section, key, value


def _read_override(text: str) -> Override:
    place, equals, value = text.partition("=")
    section, _, key = place.strip().partition(".")
    if not (equals and section and key) or "." in key:
        raise ConfigError(
            f"`{text}` is not of the form section.key=value", where="--set", fix="for example --set train.seed=7"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        parsed = {}
    chosen = parsed["value"] if len(parsed) == 1 else value.strip()  # a bare word or a path is a string
    if key in PATHS.get(section, ()) and isinstance(chosen, str):
        chosen = _absolute(key, chosen, Path(), f"--set {section}.{key}")
    return section, key, chosen


def overridden(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the value of each `section.key` that overrides set. Raises ConfigError."""
    return {f"{section}.{key}": value for section, key, value in map(_read_override, overrides)}


def _apply(overrides: Sequence[Override], table: dict[str, Any]) -> None:
    for name, key, value in overrides:
        section = table.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"`{name}` is not a table", where="--set", fix=f"write it as [{name}] in the recipe")
        section[key] = value


AnyCorpus = TypeVar("AnyCorpus", bound=CorpusConfig)


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The same recipe with paths that mean the same from any folder."""
    corpora = tuple(_absolutely(corpus) for corpus in config.data.corpora)
    return config.model_copy(update={"data": _absolutely(config.data).model_copy(update={"corpora": corpora})})


def _absolutely(corpus: AnyCorpus) -> AnyCorpus:
    named = ((key, getattr(corpus, key)) for key in PATHS["data"])
    paths = {key: _absolute(key, value, Path(), f"data.{key}") for key, value in named if value is not None}
    return corpus.model_copy(update=paths)


def override_config(config: RunConfig, overrides: Sequence[str], architectures: Architectures) -> RunConfig:
    """A config with `section.key=value` overrides.

    Another architecture begins from its `small` preset, a preset that is named from itself, and another optimizer
    with its own default learning rate. Raises ConfigError.
    """
    read = [_read_override(text) for text in overrides]
    model = {key: value for section, key, value in read if section == "model"}
    table = to_table(config)
    if "preset" in model or model.get("architecture", config.model.architecture) != config.model.architecture:
        table["model"] = {"preset": "small", "architecture": config.model.architecture}
    optimizers = [value for section, key, value in read if (section, key) == ("train", "optimizer")]
    if optimizers and optimizers[-1] != config.train.optimizer:
        del table["train"]["learning_rate"]
    _apply(read, table)
    return parse_config(table, architectures, where="--set")


def parse_config(table: Mapping[str, Any], architectures: Architectures, *, where: str) -> RunConfig:
    """A nested table to a RunConfig; `where` names its origin in errors. Raises ConfigError."""
    rest = dict(table)
    model = rest.pop("model", None)
    if not isinstance(model, Mapping):
        raise ConfigError(
            "there is no [model] table",
            where=where,
            fix=f"name one of {', '.join(architectures)} as model.architecture",
        )
    try:
        return RunConfig(model=_parse_model(model, architectures, where), **rest)
    except ValidationError as error:
        raise _as_config_error(error, RunConfig, where, prefix="") from None


def _parse_model(table: Mapping[str, Any], architectures: Architectures, where: str) -> ModelConfig:
    values = dict(table)
    name = values.get("architecture")
    if not isinstance(name, str) or name not in architectures:
        raise ConfigError(
            f"there is no architecture {name!r}" if name else "model.architecture is missing",
            where=f"{where}: model.architecture",
            fix=_did_you_mean(str(name), list(architectures)),
        )
    chosen = architectures[name]
    preset = values.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or preset not in chosen.presets:
            raise ConfigError(
                f"{name} has no preset {preset!r}",
                where=f"{where}: model.preset",
                fix=_did_you_mean(str(preset), list(chosen.presets)),
            )
        values = {**chosen.presets[preset]().model_dump(), **values}
    try:
        return chosen.config(**values)
    except ValidationError as error:
        raise _as_config_error(error, chosen.config, where, prefix="model.") from None


def _as_config_error(error: ValidationError, root: type[BaseModel], where: str, prefix: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    key = prefix + ".".join(path)
    owner = root
    for part in path[:-1]:
        field = owner.model_fields.get(part)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        owner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), owner)
    given = first["input"]
    if first["type"] == "extra_forbidden":
        names = [*(["preset"] if prefix else []), *owner.model_fields]
        what, fix = f"there is no key `{key}`", _did_you_mean(path[-1], names)
    elif first["type"] == "missing":
        section = key.rpartition(".")[0]
        what, fix = f"`{key}` is missing", f"add it under [{section}]" if section else f"add a [{key}] table"
    elif first["type"] == "model_type":
        what, fix = f"`{key}` is not a table (it is {given!r})", f"write it as [{key}]"
    elif first["type"] == "value_error":
        said = first["msg"].removeprefix("Value error, ")
        what, fix = (f"`{key.rstrip('.')}`: {said}", "mend that table") if key else (said, "mend the recipe")
    else:
        shown = given if len(repr(given)) <= 40 else f"{repr(given)[:40]}..."
        what, fix = f"`{key}`: {first['msg']} (it is {shown!r})", "give a value of that kind"
        if first["type"] in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
            fix = f"give a value {_range_of(owner, path[-1])}"
    return ConfigError(what, where=where, fix=fix)


def _range_of(owner: type[BaseModel], key: str) -> str:
    """Return the range that a field allows, in words."""
    names = {"ge": "of at least", "gt": "of more than", "le": "at most", "lt": "less than"}
    field = owner.model_fields.get(key)
    limits = [] if field is None else field.metadata
    bounds = ((name, getattr(limit, name, None)) for limit in limits for name in names)
    return " and ".join(f"{names[name]} {value:,}" for name, value in bounds if value is not None) or "of that kind"


def _did_you_mean(given: str, names: list[str]) -> str:
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    return (f"did you mean `{near[0]}`? " if near else "") + f"valid: {', '.join(names)}"


def to_table(config: RunConfig) -> dict[str, Any]:
    """The nested table that parse_config reads back to an equal config."""
    return config.model_dump(mode="json", exclude_none=True)


def to_toml(config: RunConfig) -> str:
    """The resolved recipe as TOML, every key written out."""
    return tomli_w.dumps(to_table(config))


def to_json(config: RunConfig) -> str:
    """The resolved recipe as JSON."""
    return json.dumps(to_table(config), indent=2, ensure_ascii=False)
