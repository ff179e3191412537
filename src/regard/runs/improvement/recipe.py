"""The recipe of an improvement: corrections that are repeated, mixed with old pairs that are seen once.

The constants are chosen on measurements: benchmarks/RESULTS.md, "Improving a run with corrections".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regard.config.data import CorpusConfig
from regard.config.recipe import override_config
from regard.config.schema import DataConfig, RunConfig, StartConfig, TrainConfig
from regard.models import ARCHITECTURES
from regard.runs.improvement.old_pairs import OldRun
from regard.runs.improvement.options import EPOCHS, OLD_PAIRS
from regard.runs.improvement.record import RecordFolder, TextPair
from regard.tokenizers.base import Tokenizers

RATE_DIVISOR: Final = 5  # the learning rate is that of the old run divided by this
MIN_STEPS: Final = 50  # a batch has fewer tokens if there would be fewer steps
CHECKPOINT_EVERY: Final = 500  # steps; more are taken only with many corrections
PADDING: Final = 1.03  # tokens of a batch, padding included, for each token of its pairs


def make_recipe(
    old: OldRun,
    folder: RecordFolder,
    pairs: tuple[Sequence[TextPair], Sequence[TextPair]],
    tokenizers: Tokenizers,
    *,
    epochs: int = EPOCHS,
    old_pairs: float = OLD_PAIRS,
    overrides: Sequence[str] = (),
) -> RunConfig:
    """Return the recipe that trains an old model on corrections and old pairs.

    Args:
        old: The old run. Model, tokenizer, languages and search stay as they are.
        folder: Where both kinds of pairs and the dev set are.
        pairs: The corrections, and the old pairs.
        tokenizers: The tokenizers of the old run, which tell how many steps there are.
        epochs: How often training sees each correction.
        old_pairs: Old pairs for each time that it sees a correction. If there are fewer, they are repeated.
        overrides: `section.key=value`.

    Raises:
        ConfigError: An override is not valid.
    """
    corrections, sample = pairs
    config, (source_language, target_language) = old.config, old.languages
    pairs_needed = old_pairs * epochs * len(corrections)
    repeats = max(1.0, pairs_needed / len(sample)) if sample else 1.0
    tokens = epochs * _count_tokens(corrections, tokenizers) + repeats * _count_tokens(sample, tokenizers)
    batch = max(1, min(config.train.tokens_per_batch * config.train.accumulate, round(PADDING * tokens / MIN_STEPS)))
    steps = max(1, round(PADDING * tokens / batch))
    corpora = [CorpusConfig(file=str(folder.corrections), weight=float(epochs))]
    if sample:
        corpora.append(CorpusConfig(file=str(folder.old_pairs), weight=repeats))
    data = DataConfig(
        corpora=tuple(corpora),
        dev_file=str(folder.old_dev),
        source_language=source_language,
        target_language=target_language,
        max_length=config.data.max_length,
    )
    train = TrainConfig(
        seed=config.train.seed,
        max_steps=steps,
        tokens_per_batch=batch,
        optimizer=config.train.optimizer,
        learning_rate=config.train.learning_rate / RATE_DIVISOR,
        schedule="cosine",
        warmup_steps=steps // 10,
        clip_norm=config.train.clip_norm,
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


def _count_tokens(pairs: Sequence[TextPair], tokenizers: Tokenizers) -> int:
    """Return the tokens of the longer side of each pair, with the end of the sentence."""
    return sum(
        1 + max(len(tokenizers.source.encode(source)), len(tokenizers.target.encode(target)))
        for source, target in pairs
    )
