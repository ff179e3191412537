"""The systems of a comparison, trained from one recipe or finished before, and their test set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from regard.checkpoints.run_folder import RunFolder
from regard.config.overrides import Override, parse_overrides
from regard.config.placeholders import Placeholders, check_placeholders, fill_placeholders
from regard.config.recipe import override_config, read_config, resolve_paths, to_table
from regard.config.schema import DataConfig, ModelConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.console import Say
from regard.corpus.builtin import BUILTIN, LANGUAGES
from regard.corpus.corpus import Corpus
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.corpus.source_columns import check_column_count
from regard.errors import CheckpointError, ConfigError, DataError, suggest
from regard.evaluation.test_set import TestSet
from regard.models import ARCHITECTURES
from regard.reports.compare.measure import TestConditions
from regard.reports.compare.seeds import name_with_seed
from regard.runs.holdout import split_corpus
from regard.runs.warm_start import fill_from_start, resolve_start

DEFAULT_MINUTES = 10.0  # training time of each system, if neither the request nor the recipe sets it
LIMITS = {"train.max_steps", "train.max_epochs"}  # a recipe that sets one of them needs no limit of time
QUICK_MINUTES = 0.36  # on a built-in corpus: all systems take five minutes, tests and page included
SEED = 1

QUICK_TOKENIZERS: Mapping[str, TokenizerConfig] = {
    "dates": TokenizerConfig(kind="character", vocabulary_size=1000),
    "numbers": TokenizerConfig(kind="unigram", vocabulary_size=360),  # parts of number words, and the bytes
}

# Small enough to learn a built-in corpus in QUICK_MINUTES on two cores.
QUICK_SIZES: Mapping[str, Mapping[str, Any]] = {
    "cho2014": {"hidden_size": 160, "embedding_size": 64, "maxout_size": 64},
    "sutskever2014": {"num_layers": 2, "hidden_size": 128, "embedding_size": 64},
    "bahdanau2014": {"hidden_size": 96, "embedding_size": 64, "attention_size": 64, "maxout_size": 64},
    "luong2015": {"num_layers": 1, "hidden_size": 128, "embedding_size": 64, "init_bound": 0.2},
    "gnmt2016": {
        "encoder_layers": 2,
        "decoder_layers": 2,
        "hidden_size": 96,
        "embedding_size": 64,
        "attention_size": 64,
        "init_bound": 0.2,
    },
    "bytenet2016": {"encoder_layers": 5, "decoder_layers": 5, "hidden_size": 64},
    "convs2s2017": {
        "embedding_size": 128,
        "encoder_convolutions": ((128, 3),) * 3,
        "decoder_convolutions": ((128, 3),) * 3,
    },
    "transformer2017": {"hidden_size": 96, "ffn_size": 192, "encoder_layers": 2, "decoder_layers": 2},
    "modern": {"hidden_size": 96, "ffn_size": 192, "encoder_layers": 2, "decoder_layers": 2},
}


@dataclass(frozen=True)
class ComparedSystem:
    """A system of the comparison.

    Attributes:
        name: Its name in the report.
        folder: The folder of its run.
        config: Its recipe.
        train: It is trained as part of the comparison.
        is_timed: Its training steps are timed; those of only one seed are.
    """

    name: str
    folder: Path
    config: RunConfig
    train: bool
    is_timed: bool = True


def select_architectures(names: str) -> list[str]:
    """Return the architectures named by `all` or by a comma-separated list, in the order of their papers.

    Raises:
        ConfigError: A name is unknown, or there is none.
    """
    known = list(ARCHITECTURES)
    if names.strip() == "all":
        return known
    selected = {name.strip() for name in names.split(",") if name.strip()}
    for name in sorted(selected - {*known}):
        raise ConfigError(f"there is no architecture '{name}'", where="architectures", fix=suggest(name, known))
    if not selected:
        raise ConfigError("no architecture is named", where="architectures", fix="name all, or at least one")
    return [name for name in known if name in selected]


def systems_from_recipe(
    recipe: Path,
    architectures: Sequence[str],
    overrides: Sequence[str],
    minutes: float | None,
    out: Path,
    placeholders: Placeholders = MappingProxyType({}),
) -> list[ComparedSystem]:
    """Return systems that share a recipe's [data], [tokenizer], [train] and [search].

    The recipe's own architecture has its own sizes, the others have those of their `small` preset.

    Args:
        recipe: The recipe's file.
        architectures: Names of the architectures.
        overrides: Changes of the recipe, as `section.key=value`.
        minutes: Training time of each system; None for the recipe's, or else DEFAULT_MINUTES unless the recipe sets
            train.max_steps or train.max_epochs.
        out: Folder of the comparison.
        placeholders: The values of the recipe's placeholders.

    Raises:
        ConfigError: The recipe, an override, a placeholder or the training time is not valid.
        CheckpointError: The recipe starts from a checkpoint, and there is none.
    """
    _reject_architecture(overrides)
    check_placeholders(placeholders, "placeholders")
    own = read_config(
        recipe, ARCHITECTURES, fill_defaults=fill_from_start, placeholders=placeholders, further_texts=overrides
    )
    overrides = fill_placeholders(list(overrides), placeholders)
    configs = [
        resolve_start(override_config(own, [f"model.architecture={name}", *overrides], ARCHITECTURES))
        for name in architectures
    ]  # fmt: skip
    limits = {f"train.{key}" for key in own.train.model_fields_set} | parse_overrides(overrides).keys()
    default = None if limits & LIMITS else DEFAULT_MINUTES
    return _with_budget(architectures, configs, minutes, default, out)


def systems_from_corpus(
    corpus: str, architectures: Sequence[str], overrides: Sequence[str], minutes: float | None, out: Path
) -> list[ComparedSystem]:
    """Return small systems for a built-in corpus, which they learn in QUICK_MINUTES.

    Raises:
        ConfigError: There is no such corpus, or an override or the training time is not valid.
    """
    _reject_architecture(overrides)
    if corpus not in BUILTIN:
        raise ConfigError(f"there is no built-in corpus {corpus!r}", where="corpus", fix=f"name {' or '.join(BUILTIN)}")
    configs = [override_config(quick_recipe(corpus, name), overrides, ARCHITECTURES) for name in architectures]
    return _with_budget(architectures, configs, minutes, QUICK_MINUTES, out)


def quick_recipe(corpus: str, architecture: str) -> RunConfig:
    """Return the recipe of an architecture for a built-in corpus."""
    spec = ARCHITECTURES[architecture]
    preset = spec.presets.get("small", spec.config)
    sizes: dict[str, Any] = {**preset().model_dump(), **QUICK_SIZES.get(architecture, {}), "architecture": architecture}
    if "dropout" in spec.config.model_fields:
        sizes["dropout"] = 0.0
    model: ModelConfig = spec.config(**sizes)
    source, target = LANGUAGES[corpus]
    data: dict[str, Any] = {"corpus": corpus, "source_language": source, "target_language": target}
    return RunConfig(
        data=DataConfig(**data),
        tokenizer=QUICK_TOKENIZERS[corpus],
        model=model,
        train=TrainConfig(
            seed=SEED,
            tokens_per_batch=1024,
            optimizer="muon",
            learning_rate=0.01,
            schedule="cosine",
            warmup_steps=20,
            label_smoothing=0.0,
            checkpoint_every=60,
            patience=0,
            metric="chrf",
        ),
        search=SearchConfig(beam_size=1, length_penalty=0.0),
    )


def _reject_architecture(overrides: Sequence[str]) -> None:
    if any(text.partition("=")[0].strip() == "model.architecture" for text in overrides):
        raise ConfigError(
            "an override cannot set the architecture", where="model.architecture", fix="use the option architectures"
        )


def _with_budget(
    names: Sequence[str], configs: Sequence[RunConfig], minutes: float | None, default: float | None, out: Path
) -> list[ComparedSystem]:
    systems = []
    for name, config in zip(names, configs, strict=True):
        if minutes is not None:
            limit = [Override(f"train.max_minutes={minutes}", "minutes")]
            config = override_config(config, limit, ARCHITECTURES)
        else:
            train = config.train.model_copy(update={"max_minutes": config.train.max_minutes or default})
            config = config.model_copy(update={"train": train})
        config = resolve_paths(config)
        systems.append(ComparedSystem(name, out / "runs" / name, config, train=True))
    return systems


def with_seeds(systems: Sequence[ComparedSystem], count: int, *, has_test_files: bool) -> list[ComparedSystem]:
    """Return each system `count` times, with its seed and the seeds that follow it.

    Raises:
        ConfigError: There is no seed, or the seed determines which pairs are held out as test set.
    """
    if count < 1:
        raise ConfigError(f"{count} seeds are too few", where="seeds", fix="give 1 or more")
    if not (has_test_files or systems[0].config.data.has_any_dev):
        raise ConfigError(
            "the seed determines which pairs are held out, so that each seed would have another test set",
            where="seeds",
            fix="give files of a test set, or a recipe with a dev set: data.dev_source and data.dev_target, or "
            "data.dev_file",
        )
    return [_with_seed(system, place) for system in systems for place in range(count)]


def _with_seed(system: ComparedSystem, place: int) -> ComparedSystem:
    seed = system.config.train.seed + place
    train = system.config.train.model_copy(update={"seed": seed})
    name = name_with_seed(system.name, seed)
    config = system.config.model_copy(update={"train": train})
    return replace(system, name=name, folder=system.folder.with_name(name), config=config, is_timed=place == 0)


def systems_from_runs(folders: Sequence[Path], overrides: Sequence[str]) -> list[ComparedSystem]:
    """Return finished runs, in the order of their papers. All are decoded with [search] of the first run.

    A run is named after its architecture, followed by its folder if several runs have the same architecture.

    Args:
        folders: The folders of the runs.
        overrides: Changes of [search], as `search.key=value`.

    Raises:
        ConfigError: An override is not valid.
        CheckpointError: A folder is not a run.
    """
    if any(not text.strip().startswith("search.") for text in overrides):
        raise ConfigError(
            "only the search of a finished run can be changed", where="overrides", fix="set nothing but search.*"
        )
    configs: dict[Path, RunConfig] = {}
    for folder in folders:
        run = RunFolder(folder)
        if not run.recipe.is_file():
            raise CheckpointError("this is not a run: it has no recipe.toml", where=folder, fix="give a run's folder")
        configs[Path(os.path.realpath(folder))] = read_config(run.recipe, ARCHITECTURES)
    first = override_config(next(iter(configs.values())), overrides, ARCHITECTURES)
    names = _name_runs({folder: config.model.architecture for folder, config in configs.items()})
    systems = [
        ComparedSystem(names[folder], folder, config.model_copy(update={"search": first.search}), train=False)
        for folder, config in configs.items()
    ]
    order = list(ARCHITECTURES)
    return sorted(systems, key=lambda system: order.index(system.config.model.architecture))


def _name_runs(architectures: Mapping[Path, str]) -> dict[Path, str]:
    """Return `bahdanau2014`, or `bahdanau2014-FOLDER` with as many parent folders as make the name unique."""
    counts = Counter(architectures.values())
    names = {}
    for folder, architecture in architectures.items():
        rivals = [path for path, name in architectures.items() if name == architecture and path != folder]
        depth = 1
        while any(path.parts[-depth:] == folder.parts[-depth:] for path in rivals):
            depth += 1
        parts = folder.parts[-depth:]
        names[folder] = architecture if counts[architecture] == 1 else "-".join([architecture, *parts])
    return names


def choose_test_conditions(
    systems: Sequence[ComparedSystem], test: CorpusPaths, *, tokenized: bool, report: Say = lambda text: None
) -> TestConditions:
    """Return the test set: the given files, or the test split of a built-in corpus, or the dev set.

    A file with both sides is read as the first system's recipe reads its own files.

    Args:
        systems: The systems.
        test: The files, if any.
        tokenized: The text is already split into tokens.
        report: Called with a sentence for each kind of line that was skipped in the files.

    Raises:
        ConfigError: The systems have different dev sets or test splits, and there are no files.
        DataError: The test set cannot be read, or has no pairs, or a source has another number of columns than those
            that the first system is trained on.
    """
    config = systems[0].config
    corpus: Corpus | None = test.open(Sides() if test.data is None else infer_sides(config.data, test.data))
    if corpus is not None:
        name = corpus.name
    else:
        _reject_different_splits(systems)
        if config.data.corpus is not None:
            name = f"test split of the built-in corpus {config.data.corpus}"
            corpus = BUILTIN[config.data.corpus](config.train.seed).test
        else:
            _, corpus = split_corpus(config)
            name = f"dev set ({corpus.name}), which also selected the checkpoints"
    pairs = list(corpus)
    for sentence in corpus.skipped.sentences() if test.files() else ():
        report(sentence)
    if not pairs:
        raise DataError("the test set has no pairs", where=corpus.name, fix="give a test set with text")
    check_column_count(pairs, len(config.tokenizer.source_columns), corpus.name)
    return TestConditions(
        test_set=TestSet(
            name=name,
            sources=tuple(pair.source for pair in pairs),
            references=tuple(pair.target for pair in pairs),
        ),
        target_language=config.data.target_language,
        search=config.search.model_copy(update={"shortlist": False}),  # new runs have no shortlist
        tokenized=tokenized,
    )


def _reject_different_splits(systems: Sequence[ComparedSystem]) -> None:
    first = systems[0]
    for system in systems[1:]:
        if _split_settings(system.config) != _split_settings(first.config):
            raise ConfigError(
                f"{first.name} and {system.name} do not hold out the same pairs",
                where="runs",
                fix="give a test set that none of them was trained on",
            )


def _split_settings(config: RunConfig) -> object:
    """Return the settings that determine the dev set and the test split of a built-in corpus."""
    is_random = not config.data.has_any_dev
    data = {key: value for key, value in to_table(config)["data"].items() if key != "max_length"}
    return data, config.train.seed if is_random else None
