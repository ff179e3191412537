"""A recipe for training another run's model further on your own files, each choice with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.recipe import override_config, parse_overrides
from regard.config.schema import DataConfig, RunConfig, StartConfig, TrainConfig
from regard.contract import VocabularySizes
from regard.models import ARCHITECTURES
from regard.runs.auto_recipe import Facts, batch_size, look, mean_length, steps_an_epoch
from regard.runs.plan import Plan
from regard.runs.time_budget import Budget, Timing, fit, measure

LESS = 2  # times lower is the learning rate than that of the run that it begins from: recipes/RESULTS.md
EPOCHS = ((10_000, 10), (100_000, 5), (1_000_000, 2))  # up to so many pairs, so many times over; once over more


def recipe(
    start: StartConfig,
    data: DataConfig,
    overrides: Sequence[str] = (),
    *,
    gpu: bool,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[RunConfig, list[str]]:
    """Choose a whole recipe for a corpus, to go with `section.key=value` overrides, and describe it in a few lines.

    say: prints what takes a while. Raises CheckpointError if the start cannot be read, DataError and ConfigError.
    """
    place = resolve_checkpoint(Path(start.checkpoint))
    theirs = load_checkpoint(place)
    say("reading the corpus")
    facts = look(data, gpu=gpu)
    config, reasons = choose(start, data, theirs, facts, overrides)
    if config.train.max_minutes is not None:
        both = theirs.tokenizers
        sizes = VocabularySizes(both.source.size, both.target.size, both.joint)
        timing = measure(config, sizes, mean_length(facts, config.tokenizer), say)
        config, reasons = choose(start, data, theirs, facts, overrides, timing)
    return config, reasons


def choose(
    start: StartConfig,
    data: DataConfig,
    theirs: Checkpoint,
    facts: Facts,
    overrides: Sequence[str] = (),
    timing: Timing | None = None,
) -> tuple[RunConfig, list[str]]:
    """Choose a whole recipe and describe it; model, tokenizer, languages and search are those of the other run.

    timing: of a training step. Raises ConfigError.
    """
    old, given = theirs.config, parse_overrides(overrides)
    taken = {name: getattr(data, name) or getattr(old.data, name) for name in ("source_language", "target_language")}
    if "max_length" not in data.model_fields_set:
        taken["max_length"] = old.data.max_length
    asked = RunConfig(
        data=data.model_copy(update=taken),
        tokenizer=old.tokenizer,
        model=old.model,
        search=old.search,
        start=start,
    )
    train, an_epoch = _train(old, facts, override_config(asked, overrides, ARCHITECTURES).train, given)
    needed = train.max_steps
    limits = override_config(asked.model_copy(update={"train": train}), overrides, ARCHITECTURES).train
    budget = Budget.of(limits, needed, timing)
    dev_tokens = facts.dev * mean_length(facts, old.tokenizer)
    chosen = asked.model_copy(update={"train": fit(train, budget, dev_tokens)})
    config = override_config(chosen, overrides, ARCHITECTURES)
    plan = Plan(config, given)
    return config, [
        _kept(plan, old),
        plan.batch(an_epoch),
        plan.schedule(an_epoch, "fewer epochs than from the beginning"),
        _rate(plan, old),
        plan.patience(),
        *budget.lines(plan, facts.pairs),
        *plan.others(),
    ]


def _kept(plan: Plan, old: RunConfig) -> str:
    data = plan.config.data
    languages = "-".join(name for name in (data.source_language, data.target_language) if name)
    named = f", {languages}" if languages else ""
    dropout = plan.value("model.dropout", f"dropout={plan.config.model.model_dump().get('dropout')}")
    return f"model: {old.model.architecture} and its {old.tokenizer.kind} tokens{named}, as they are there; {dropout}"


def _rate(plan: Plan, old: RunConfig) -> str:
    rate = plan.value("train.learning_rate", f"{plan.config.train.learning_rate:g}")
    if plan.is_given("train.learning_rate"):
        return f"rate: {rate}, after {old.train.learning_rate:g} in the run that it starts from"
    return (
        f"rate: {rate}, {old.train.learning_rate:g} / {LESS}: with a lower one it forgets less of what it was trained "
        "on before, and learns less"
    )


def _train(old: RunConfig, facts: Facts, asked: TrainConfig, given: Mapping[str, object]) -> tuple[TrainConfig, int]:
    """Choose [train] to go with what was set by hand; also the steps of an epoch."""
    batch = asked.tokens_per_batch if "train.tokens_per_batch" in given else batch_size(facts, old.tokenizer)
    an_epoch = steps_an_epoch(facts, old.tokenizer, batch * asked.accumulate)
    epochs = next((n for pairs, n in EPOCHS if facts.pairs <= pairs), 1)
    steps = max(200, epochs * an_epoch)
    return TrainConfig(
        max_steps=steps,
        tokens_per_batch=batch,
        optimizer=old.train.optimizer,
        learning_rate=old.train.learning_rate / LESS,
        schedule="cosine",
        warmup_steps=min(100, steps // 10),
        clip_norm=old.train.clip_norm,
        weight_decay=old.train.weight_decay,
        label_smoothing=old.train.label_smoothing,
        checkpoint_every=max(20, min(1_000, steps // 20)),
        patience=5,
        metric=old.train.metric,
    ), an_epoch
