"""Who is compared with whom: systems to be trained from one recipe, or finished runs; and on what they are tested."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import override_config, read_config, resolve_paths, to_table
from regard.config.schema import DataConfig, ModelConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.corpus.builtin import BUILTIN
from regard.corpus.corpus import Corpus
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.errors import CheckpointError, ConfigError, DataError
from regard.models import ARCHITECTURES
from regard.reports.compare.measure import Exam
from regard.runs.holdout import split_corpus

Say = Callable[[str], None]

MINUTES = 10.0  # of training for each system, where neither the command nor the recipe says
QUICK_MINUTES = 0.36  # on an embedded corpus: all systems in five minutes, tests and page included
SEED = 1

QUICK_TOKENS: Mapping[str, TokenizerConfig] = {
    "dates": TokenizerConfig(kind="character", vocabulary_size=1000),
    "numbers": TokenizerConfig(kind="unigram", vocabulary_size=360),  # the parts of number words, beside the bytes
}

# Small enough to learn an embedded corpus in QUICK_MINUTES on two cores.
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
class Contender:
    """A system by its name in the report, the folder of its run, its recipe, and whether it is to be trained here."""

    name: str
    folder: Path
    config: RunConfig
    train: bool


def chosen(architectures: str) -> list[str]:
    """`all`, or names with commas between them, in the order of their papers. Raises ConfigError."""
    known = list(ARCHITECTURES)
    if architectures.strip() == "all":
        return known
    asked = {name.strip() for name in architectures.split(",") if name.strip()}
    for name in sorted(asked - {*known}):
        raise ConfigError(
            f"there is no architecture {name!r}", where="--architectures", fix=f"say all, or some of {', '.join(known)}"
        )
    if not asked:
        raise ConfigError("no architecture is named", where="--architectures", fix="say all, or name some")
    return [name for name in known if name in asked]


def from_recipe(
    recipe: Path, names: Sequence[str], overrides: Sequence[str], minutes: float | None, out: Path
) -> list[Contender]:
    """One recipe's [data], [tokenizer], [train] and [search] for all; another architecture than its own is `small`.

    `minutes` goes before the recipe's train.max_minutes. Raises ConfigError.
    """
    _refuse_architecture(overrides)
    own = read_config(recipe, ARCHITECTURES)
    configs = [
        override_config(own, [f"model.architecture={name}", *overrides], ARCHITECTURES)
        for name in names
    ]  # fmt: skip
    return _to_train(names, configs, minutes, MINUTES, out)


def from_corpus(
    corpus: str, names: Sequence[str], overrides: Sequence[str], minutes: float | None, out: Path
) -> list[Contender]:
    """An embedded corpus and sizes that learn it in QUICK_MINUTES. Raises ConfigError."""
    _refuse_architecture(overrides)
    if corpus not in BUILTIN:
        raise ConfigError(
            f"there is no embedded corpus {corpus!r}", where="--corpus", fix=f"say {' or '.join(BUILTIN)}"
        )
    configs = [override_config(quick(corpus, name), overrides, ARCHITECTURES) for name in names]
    return _to_train(names, configs, minutes, QUICK_MINUTES, out)


def quick(corpus: str, architecture: str) -> RunConfig:
    """The recipe for an embedded corpus of one architecture."""
    chosen = ARCHITECTURES[architecture]
    sizes: dict[str, Any] = {**chosen.presets["small"]().model_dump(), **QUICK_SIZES.get(architecture, {})}
    model: ModelConfig = chosen.config(**{**sizes, "dropout": 0.0})
    source, target = ("en", "de") if corpus == "numbers" else ("", "iso")
    data: dict[str, Any] = {"corpus": corpus, "source_language": source, "target_language": target}
    return RunConfig(
        data=DataConfig(**data),
        tokenizer=QUICK_TOKENS[corpus],
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


def _refuse_architecture(overrides: Sequence[str]) -> None:
    if any(text.partition("=")[0].strip() == "model.architecture" for text in overrides):
        raise ConfigError("systems are not chosen so", where="--set", fix="name them by --architectures")


def _to_train(
    names: Sequence[str], configs: Sequence[RunConfig], minutes: float | None, default: float, out: Path
) -> list[Contender]:
    found = []
    for name, config in zip(names, configs, strict=True):
        budget = minutes or config.train.max_minutes or default
        train = config.train.model_copy(update={"max_minutes": budget})
        config = resolve_paths(config.model_copy(update={"train": train}))
        found.append(Contender(name, out / "runs" / name, config, train=True))
    return found


def from_runs(folders: Sequence[Path], overrides: Sequence[str]) -> list[Contender]:
    """Finished runs, in the order of their papers; all are decoded as [search] of the first one says.

    A run is called by its architecture, and where several have the same by its folder as well. Overrides
    are of [search] alone. Raises ConfigError, CheckpointError.
    """
    if any(not text.strip().startswith("search.") for text in overrides):
        raise ConfigError("a finished run is as it is", where="--set", fix="set nothing but search.*")
    found: dict[Path, RunConfig] = {}
    for folder in folders:
        run = RunFolder(folder)
        if not run.recipe.is_file():
            raise CheckpointError("this is no run: no recipe.toml", where=folder, fix="give a run's folder")
        found[Path(os.path.realpath(folder))] = read_config(run.recipe, ARCHITECTURES)
    first = override_config(next(iter(found.values())), overrides, ARCHITECTURES)
    names = _names({folder: config.model.architecture for folder, config in found.items()})
    contenders = [
        Contender(names[folder], folder, config.model_copy(update={"search": first.search}), train=False)
        for folder, config in found.items()
    ]
    in_turn = list(ARCHITECTURES)
    return sorted(contenders, key=lambda one: in_turn.index(one.config.model.architecture))


def _names(architectures: Mapping[Path, str]) -> dict[Path, str]:
    """`bahdanau2014`; of several `bahdanau2014-FOLDER`, with as many folders above it as it takes."""
    common = Counter(architectures.values())
    names = {}
    for folder, architecture in architectures.items():
        rivals = [other for other, of in architectures.items() if of == architecture and other != folder]
        depth = 1
        while any(other.parts[-depth:] == folder.parts[-depth:] for other in rivals):
            depth += 1
        parts = folder.parts[-depth:]
        names[folder] = architecture if common[architecture] == 1 else "-".join([architecture, *parts])
    return names


def exam_of(
    contenders: Sequence[Contender], test: CorpusPaths, *, tokenized: bool, say: Say = lambda text: None
) -> Exam:
    """The test set: files, else the test split of an embedded corpus, else the dev set.

    Of files it is told what was left aside; one with both sides is read as the first one's recipe reads its own.
    Raises ConfigError where that is not one and the same for all, DataError where it cannot be read.
    """
    config = contenders[0].config
    corpus: Corpus | None = test.open(Sides() if test.data is None else infer_sides(config.data, test.data))
    if corpus is not None:
        name = corpus.name
    else:
        _refuse_different(contenders)
        if config.data.corpus is not None:
            name = f"the test split of the embedded corpus {config.data.corpus}"
            corpus = BUILTIN[config.data.corpus](config.train.seed).test
        else:
            _, corpus = split_corpus(config)
            name = f"the dev set ({corpus.name}), by which the checkpoints were chosen"
    pairs = list(corpus)
    for sentence in corpus.skipped.sentences() if test.files() else ():
        say(sentence)
    if not pairs:
        raise DataError("there is no pair to test on", where=corpus.name, fix="name a test set with text")
    return Exam(
        name=name,
        sources=tuple(pair.source for pair in pairs),
        references=tuple(pair.target for pair in pairs),
        target_language=config.data.target_language,
        search=config.search.model_copy(update={"shortlist": False}),  # a fresh run has none
        tokenized=tokenized,
    )


def _refuse_different(contenders: Sequence[Contender]) -> None:
    first = contenders[0]
    for other in contenders[1:]:
        if _held_out(other.config) != _held_out(first.config):
            raise ConfigError(
                f"{first.name} and {other.name} do not hold out the same pairs",
                where="--runs",
                fix="name a test set that neither was trained on by --test-source and --test-reference, or --test-data",
            )


def _held_out(config: RunConfig) -> object:
    """What decides the dev set and an embedded corpus' test split."""
    by_chance = not config.data.has_any_dev
    data = {key: value for key, value in to_table(config)["data"].items() if key != "max_length"}
    return data, config.train.seed if by_chance else None
