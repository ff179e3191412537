"""A recipe for training another run's model further on one's own files, each choice with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regard.auto import Facts, batch_size, look
from regard.checkpoint import Checkpoint, load_checkpoint
from regard.config import DataConfig, RunConfig, StartConfig, TrainConfig, override_config
from regard.models import ARCHITECTURES
from regard.runfolder import resolve

LESS = 2  # times lower is the learning rate than that of the run that it begins from: recipes/RESULTS.md
EPOCHS = ((10_000, 10), (100_000, 5), (1_000_000, 2))  # up to so many pairs, so many times over; once over more


def recipe(
    start: StartConfig, data: DataConfig, overrides: Sequence[str] = (), *, gpu: bool
) -> tuple[RunConfig, list[str]]:
    """A whole recipe for a corpus, with `section.key=value` overrides, and a sentence for each choice.

    Raises CheckpointError where the start cannot be read, DataError and ConfigError.
    """
    place = resolve(Path(start.checkpoint))
    theirs = load_checkpoint(place)
    config, reasons = choose(start, data, theirs, look(data, gpu=gpu))
    return override_config(config, overrides, ARCHITECTURES), reasons


def choose(start: StartConfig, data: DataConfig, theirs: Checkpoint, facts: Facts) -> tuple[RunConfig, list[str]]:
    """A whole recipe, and a sentence for each choice; model, tokenizer, languages and search are of the other run."""
    old = theirs.config
    taken = {name: getattr(data, name) or getattr(old.data, name) for name in ("source_language", "target_language")}
    if "max_length" not in data.model_fields_set:
        taken["max_length"] = old.data.max_length
    train, why = _train(old, facts)
    config = RunConfig(
        data=data.model_copy(update=taken),
        tokenizer=old.tokenizer,
        model=old.model,
        train=train,
        search=old.search,
        start=start,
    )
    languages = "-".join(name for name in (taken["source_language"], taken["target_language"]) if name)
    kept = f"model: {old.model.architecture} and its {old.tokenizer.kind} tokens" + (
        f", {languages}" if languages else ""
    )
    return config, [f"{kept}, as they are there", *why]


def _train(old: RunConfig, facts: Facts) -> tuple[TrainConfig, list[str]]:
    batch, steps_an_epoch = batch_size(facts, by_character=old.tokenizer.kind in ("character", "byte"))
    epochs = next((n for pairs, n in EPOCHS if facts.pairs <= pairs), 1)
    steps = max(200, epochs * steps_an_epoch)
    every = max(20, min(1_000, steps // 20))
    rate = old.train.learning_rate / LESS
    config = TrainConfig(
        max_steps=steps,
        tokens_per_batch=batch,
        optimizer=old.train.optimizer,
        learning_rate=rate,
        schedule="cosine",
        warmup_steps=min(100, steps // 10),
        clip_norm=old.train.clip_norm,
        weight_decay=old.train.weight_decay,
        label_smoothing=old.train.label_smoothing,
        checkpoint_every=every,
        patience=5,
        metric=old.train.metric,
    )
    return config, [
        f"batch: {batch:,} tokens, about {steps_an_epoch:,} steps an epoch",
        f"rate: {config.optimizer} at {rate:g}, {old.train.learning_rate:g} / {LESS}: lower still, it forgets less "
        "of what it was trained on before, and learns less; "
        f"a warm-up of {config.warmup_steps} steps, as the optimizer has no past here, and a cosine to 0",
        f"steps: {steps:,} ({steps / steps_an_epoch:.0f} epochs), fewer than from the beginning",
        f"patience: a checkpoint every {every:,} steps, an end after {config.patience} without a better "
        f"{config.metric} on dev",
    ]
