"""The recipe of an improvement: corrections that are repeated, mixed with old pairs that are seen once.

The constants are chosen on measurements: benchmarks/RESULTS.md, "Improving a run with corrections".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regard.config.data import CorpusConfig
from regard.config.recipe import override_config
from regard.config.schema import DataConfig, RunConfig, StartConfig, TrainConfig
from regard.corpus.tagged import split_tags
from regard.models import ARCHITECTURES
from regard.runs.improvement.old_pairs import OldRun
from regard.runs.improvement.options import EPOCHS, OLD_PAIRS
from regard.runs.improvement.record import RecordFolder, Tags, TextPair, part_files
from regard.runs.improvement.tag_sets import TagSet
from regard.tokenizers.base import Tokenizers

RATE_DIVISOR: Final = 5  # the learning rate is that of the old run divided by this
MIN_STEPS: Final = 50  # a batch has fewer tokens if there would be fewer steps
CHECKPOINT_EVERY: Final = 500  # steps; more are taken only with many corrections
PADDING: Final = 1.03  # tokens of a batch, padding included, for each token of its pairs


@dataclass(frozen=True)
class Mixture:
    """What an improvement trains on, and the dev set.

    Attributes:
        corrections: The corrections.
        old_pairs: The old pairs.
        dev: The dev set.
        tags: The sets of tags that are before sources, in the order of their files.
    """

    corrections: Sequence[TextPair]
    old_pairs: Sequence[TextPair]
    dev: Sequence[TextPair]
    tags: Sequence[Tags]


def make_recipe(
    old: OldRun,
    folder: RecordFolder,
    mixture: Mixture,
    tokenizers: Tokenizers,
    *,
    epochs: int = EPOCHS,
    old_pairs: float = OLD_PAIRS,
    overrides: Sequence[str] = (),
) -> RunConfig:
    """Return the recipe that trains an old model on corrections and old pairs.

    Args:
        old: The old run. Model, tokenizer, languages, tags and search stay as they are.
        folder: Where both kinds of pairs and the dev set are.
        mixture: The pairs.
        tokenizers: The tokenizers of the old run, which tell how many steps there are.
        epochs: How often training sees each correction.
        old_pairs: Old pairs for each time that it sees a correction. If there are fewer, they are repeated.
        overrides: `section.key=value`.

    Raises:
        ConfigError: An override is not valid.
    """
    corrections, sample, config = mixture.corrections, mixture.old_pairs, old.config
    pairs_needed = old_pairs * epochs * len(corrections)
    repeats = max(1.0, pairs_needed / len(sample)) if sample else 1.0
    tokens = epochs * _count_tokens(corrections, tokenizers) + repeats * _count_tokens(sample, tokenizers)
    batch = max(1, min(config.train.tokens_per_batch * config.train.accumulate, round(PADDING * tokens / MIN_STEPS)))
    steps = max(1, round(PADDING * tokens / batch))
    data = _make_data(old, folder, mixture, epochs, repeats)
    train = TrainConfig(
        seed=config.train.seed,
        terms=config.train.terms,
        max_steps=steps,
        tokens_per_batch=batch,
        **config.train.last_stage.optimizer_settings,
        learning_rate=config.train.last_stage.learning_rate / RATE_DIVISOR,
        schedule="cosine",
        warmup_steps=steps // 10,
        clip_norm=config.train.clip_norm,
        loss_per=config.train.loss_per,
        weight_decay=config.train.weight_decay,
        label_smoothing=config.train.label_smoothing,
        checkpoint_every=min(steps, CHECKPOINT_EVERY),
        patience=0,  # the last checkpoint is evaluated
        metric=config.train.metric,
        device=config.train.device,
        precision=config.train.precision,
    )
    start = StartConfig(checkpoint=str(old.checkpoint))
    recipe = config.model_copy(update={"data": data, "start": start, "train": train})
    return override_config(recipe, overrides, ARCHITECTURES) if overrides else recipe


def _make_data(old: OldRun, folder: RecordFolder, mixture: Mixture, epochs: int, repeats: float) -> DataConfig:
    """Return the corpora of each set of tags of the old run, with its tags, and the dev set."""
    config, sets = old.config.data, {known.tags: known for known in old.tag_sets}
    dev = _files_with_pairs(folder.old_dev, mixture.dev, mixture.tags)
    weighted = [
        (_files_with_pairs(folder.corrections, mixture.corrections, mixture.tags), float(epochs)),
        (_files_with_pairs(folder.old_pairs, mixture.old_pairs, mixture.tags), repeats),
    ]
    corpora = []
    is_tagged = set(sets) != {()}
    for tags, known in sets.items():
        dev_file = dev.get(tags) if len(dev) > 1 else None
        for files, weight in weighted:
            if tags in files:
                corpora.append(_corpus(known if is_tagged else TagSet(), files[tags], weight, dev_file))
                dev_file = None
    only = next(iter(dev)) if len(dev) == 1 else ()
    languages = config.source_language, config.target_language
    if not is_tagged:
        languages = sets[()].source_language, sets[()].target_language
    return DataConfig(
        corpora=tuple(corpora),
        dev_file=dev[only] if len(dev) == 1 else None,
        tags=only,
        source_language=languages[0],
        target_language=languages[1],
        max_length=config.max_length,
    )


def _files_with_pairs(path: Path, pairs: Sequence[TextPair], tags: Sequence[Tags]) -> Mapping[Tags, str]:
    """Return the files that have pairs, by the tags of the pairs."""
    present = {tuple(split_tags(source)[0]) for source, _ in pairs}
    return {known: str(file) for known, file in zip(tags, part_files(path, tags), strict=True) if known in present}


def _corpus(known: TagSet, file: str, weight: float, dev_file: str | None) -> CorpusConfig:
    source, target = known.source_language, known.target_language
    return CorpusConfig(
        file=file, weight=weight, dev_file=dev_file, tags=known.tags, source_language=source, target_language=target
    )


def _count_tokens(pairs: Sequence[TextPair], tokenizers: Tokenizers) -> int:
    """Return the tokens of the longer side of each pair, with the end of the sentence."""
    return sum(
        1 + max(len(tokenizers.source.encode(source)), len(tokenizers.target.encode(target)))
        for source, target in pairs
    )
