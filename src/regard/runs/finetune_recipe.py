"""Choose a recipe for fine-tuning another run's model on your own files, and explain each choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint, vocabulary_sizes
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.overrides import parse_overrides
from regard.config.recipe import override_config
from regard.config.schema import DataConfig, RunConfig, StartConfig, TrainConfig
from regard.console import Say
from regard.models import ARCHITECTURES
from regard.runs.auto_recipe import batch_size, check_overrides, steps_per_epoch
from regard.runs.plan import Plan
from regard.runs.recipe_inputs import RecipeInputs, inspect_corpus, mean_length
from regard.runs.step_timing import StepTiming, measure_step
from regard.runs.time_budget import Budget, fit_schedule

RATE_DIVISOR = 2  # the learning rate is that of the first run divided by this: recipes/RESULTS.md
EPOCHS = ((10_000, 10), (100_000, 5), (1_000_000, 2))  # up to this many pairs, this many epochs; 1 for more pairs


def choose_recipe(
    start: StartConfig,
    data: DataConfig,
    overrides: Sequence[str] = (),
    *,
    gpu: bool,
    say: Say = lambda text: None,
) -> tuple[RunConfig, list[str]]:
    """Choose a recipe for fine-tuning, and describe it line by line.

    Args:
        start: The checkpoint to start from.
        data: The new corpus.
        overrides: `section.key=value`. All other values are chosen to go with them.
        gpu: Whether training runs on a GPU.
        say: Prints what takes a while.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        DataError: The corpus cannot be read.
        ConfigError: An override is not valid.
    """
    checkpoint = load_checkpoint(resolve_checkpoint(Path(start.checkpoint)))
    check_overrides(checkpoint.config, overrides)
    say("reading the corpus")
    inputs = inspect_corpus(data, gpu=gpu)
    config, plan = build_recipe(start, data, checkpoint, inputs, overrides)
    if config.train.max_minutes is not None:
        length = mean_length(inputs, config.tokenizer)
        timing = measure_step(config, vocabulary_sizes(checkpoint.tokenizers), length, say)
        config, plan = build_recipe(start, data, checkpoint, inputs, overrides, timing)
    return config, plan


def build_recipe(
    start: StartConfig,
    data: DataConfig,
    checkpoint: Checkpoint,
    inputs: RecipeInputs,
    overrides: Sequence[str] = (),
    timing: StepTiming | None = None,
) -> tuple[RunConfig, list[str]]:
    """Choose a recipe as `choose_recipe` does, from what is known about the corpus and the machine.

    Model, tokenizer, languages and search are those of the checkpoint.

    Args:
        start: The [start] section.
        data: The new corpus.
        checkpoint: The checkpoint that [start] means.
        inputs: What is known about the corpus.
        overrides: `section.key=value`.
        timing: Of a training step; without it, max_minutes does not change the schedule.

    Raises:
        ConfigError: An override is not valid.
    """
    old, override_values = checkpoint.config, parse_overrides(overrides)
    inherited = {
        name: getattr(data, name) or getattr(old.data, name) for name in ("source_language", "target_language")
    }
    if "max_length" not in data.model_fields_set:
        inherited["max_length"] = old.data.max_length
    draft = RunConfig(
        data=data.model_copy(update=inherited),
        tokenizer=old.tokenizer,
        model=old.model,
        search=old.search,
        start=start,
    )
    limits = override_config(draft, overrides, ARCHITECTURES).train
    train, epoch_steps = _choose_training(old, inputs, limits, override_values)
    needed = train.max_steps
    limits = override_config(draft.model_copy(update={"train": train}), overrides, ARCHITECTURES).train
    budget = Budget.from_limits(limits, needed, epoch_steps, timing)
    dev_tokens = inputs.dev_pairs * mean_length(inputs, old.tokenizer)
    fitted = draft.model_copy(update={"train": fit_schedule(train, budget, dev_tokens)})
    config = override_config(fitted, overrides, ARCHITECTURES)
    plan = Plan(config, overrides)
    return config, [
        _describe_model(plan, old),
        plan.batch(epoch_steps),
        plan.schedule(epoch_steps, "fewer epochs than from scratch"),
        _describe_rate(plan, old),
        plan.patience(),
        *budget.describe(plan, inputs.pairs),
        *plan.other_overrides(),
    ]


def _describe_model(plan: Plan, old: RunConfig) -> str:
    data = plan.config.data
    languages = "-".join(name for name in (data.source_language, data.target_language) if name)
    pair = f", {languages}" if languages else ""
    dropout = plan.mark("model.dropout", f"dropout={plan.config.model.model_dump().get('dropout')}")
    return (
        f"model: {old.model.architecture} with {old.tokenizer.kind} tokens{pair}, as in the run that it starts from; "
        f"{dropout}"
    )


def _describe_rate(plan: Plan, old: RunConfig) -> str:
    rate = plan.mark("train.learning_rate", f"{plan.config.train.learning_rate:g}")
    old_rate = old.train.last_stage.learning_rate
    if plan.is_overridden("train.learning_rate"):
        return f"rate: {rate}, after {old_rate:g} in the run that it starts from"
    return (
        f"rate: {rate}, {old_rate:g} / {RATE_DIVISOR}: with a lower rate the model forgets less of what "
        "it was trained on before, and learns less"
    )


def _choose_training(
    old: RunConfig, inputs: RecipeInputs, limits: TrainConfig, overrides: Mapping[str, object]
) -> tuple[TrainConfig, int]:
    """Return a [train] section that goes with the overrides, and the steps per epoch."""
    batch = limits.tokens_per_batch if "train.tokens_per_batch" in overrides else batch_size(inputs, old.tokenizer)
    sizes = limits.model_copy(update={"tokens_per_batch": batch})
    epoch_steps = steps_per_epoch(inputs, old.tokenizer, sizes)
    epochs = next((epochs for pairs, epochs in EPOCHS if inputs.pairs <= pairs), 1)
    steps = max(200, epochs * epoch_steps)
    train = TrainConfig(
        max_steps=steps,
        tokens_per_batch=batch,
        **old.train.last_stage.optimizer_settings,
        learning_rate=old.train.last_stage.learning_rate / RATE_DIVISOR,
        schedule="cosine",
        warmup_steps=min(100, steps // 10),
        clip_norm=old.train.clip_norm,
        loss_per=old.train.loss_per,
        weight_decay=old.train.weight_decay,
        label_smoothing=old.train.label_smoothing,
        checkpoint_every=max(20, min(1_000, steps // 20)),
        patience=5,
        metric=old.train.metric,
    )
    return train, epoch_steps
