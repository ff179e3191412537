"""Choose a recipe for your own files from the corpus and the machine, and explain each choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from regard.config.augmentation import AugmentationConfig
from regard.config.overrides import override_origins, parse_override, parse_overrides
from regard.config.recipe import override_config
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.console import Say
from regard.corpus.language_codes import base_code
from regard.corpus.language_pairs import is_known, language_pairs
from regard.errors import ConfigError
from regard.models import ARCHITECTURES
from regard.runs.column_tokenizers import add_columns
from regard.runs.holdout import split_corpus
from regard.runs.length_limit import round_addend
from regard.runs.model_choice import (
    DEFAULT_ARCHITECTURE,
    LARGE_CORPUS,
    can_be_smaller,
    choose_copying,
    choose_model,
    dropout_limit,
)
from regard.runs.plan import SUBWORDS, Plan, expected_vocabulary_sizes
from regard.runs.recipe_inputs import LEARNABLE_PAIRS, RecipeInputs, inspect_corpus, mean_length
from regard.runs.step_timing import StepTiming, measure_step
from regard.runs.time_budget import Budget, fit_schedule
from regard.special_tokens import SPECIAL
from regard.tokenizers.base import train_tokenizers

CHARACTER_MAX_LENGTH = 1_000  # data.max_length if tokens are characters, and lines are not longer
LONGEST = 1_024, 4_000  # the largest data.max_length that is chosen, for words and their parts, and for characters
WORDS_PER_TOKEN = 8  # with this many distinct words per token of a vocabulary, SentencePiece always finds enough pieces

MAX_ADDEND = 1_000  # tokens
SCARCE_RATE = 0.01  # Muon's learning rate if steps are scarce

BYTES_AND_SPECIAL = 256 + len(SPECIAL)

TokenizerChoice = tuple[TokenizerConfig, str]  # with the reason


def choose_recipe(
    data: DataConfig, overrides: Sequence[str] = (), *, gpu: bool, say: Say = lambda text: None
) -> tuple[RunConfig, list[str]]:
    """Choose a recipe for a corpus, and describe it line by line.

    Args:
        data: The corpus.
        overrides: `section.key=value`. All other values are chosen to go with them: sizes of the architecture that
            they name, a vocabulary that the corpus allows, a schedule for the time that they give.
        gpu: Whether training runs on a GPU.
        say: Prints what takes a while.

    Raises:
        DataError: The corpus cannot be read.
        ConfigError: An override is not valid.
    """
    override_values = parse_overrides(overrides)
    checked = check_overrides(
        RunConfig(data=data, model=ARCHITECTURES[DEFAULT_ARCHITECTURE].presets["small"]()), overrides
    )
    names = override_origins(overrides, checked.model.architecture)  # today's names of the keys
    keys = [name.removeprefix("data.") for name in names if name.startswith("data.")]
    data = data.model_copy(update={key: getattr(checked.data, key) for key in keys})
    say("reading the corpus")
    inputs = inspect_corpus(data, gpu=gpu)
    config, plan = build_recipe(data, inputs, overrides)
    tokenizer = None
    size = config.tokenizer.vocabulary_size
    if (
        config.tokenizer.kind in SUBWORDS
        and "tokenizer.vocabulary_size" not in override_values
        and inputs.distinct_words < WORDS_PER_TOKEN * size
    ):
        say(f"learning {size:,} tokens, to check whether the text has enough words for them")
        tokenizer = _fit_vocabulary(config, inputs, fixed_kind="tokenizer.kind" in override_values)
        config, plan = build_recipe(data, inputs, overrides, tokenizer)
    if config.train.max_minutes is not None:
        timing = _time_step(config, inputs, say)
        if can_be_smaller(inputs, override_values) and _is_rushed(config, inputs, timing):
            say("little time: trying a smaller model")
            inputs = replace(inputs, is_rushed=True)
            config, _ = build_recipe(data, inputs, overrides, tokenizer)
            timing = _time_step(config, inputs, say)
        config, plan = build_recipe(data, inputs, overrides, tokenizer, timing)
    return config, plan


def _time_step(config: RunConfig, inputs: RecipeInputs, say: Say) -> StepTiming:
    return measure_step(config, expected_vocabulary_sizes(config.tokenizer), mean_length(inputs, config.tokenizer), say)


def _is_rushed(config: RunConfig, inputs: RecipeInputs, timing: StepTiming) -> bool:
    epoch_steps = steps_per_epoch(inputs, config.tokenizer, config.train)
    budget = Budget.from_limits(config.train, config.train.max_steps, epoch_steps, timing)
    return budget.minutes is not None and budget.allowed < epoch_steps


def check_overrides(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """Return a config with overrides, but those of [tokenizer], which depend on the corpus.

    Raises:
        ConfigError: An override is not valid.
    """
    checked = [text for text in overrides if parse_override(text).section != "tokenizer"]
    return override_config(config, checked, ARCHITECTURES)


def _fit_vocabulary(config: RunConfig, inputs: RecipeInputs, *, fixed_kind: bool) -> TokenizerChoice | None:
    """Return the largest vocabulary that the corpus allows; None if that is the recipe's.

    The size is lowered in steps of a quarter. If no size is small enough, tokens become characters, unless the kind is
    fixed.
    """
    corpus, _ = split_corpus(config)
    first_size = size = config.tokenizer.vocabulary_size
    smallest = inputs.alphabet_size + BYTES_AND_SPECIAL
    reason = f"the text does not give {first_size:,} subwords"
    while size > smallest:
        tokenizer = config.tokenizer.model_copy(update={"vocabulary_size": size})
        try:
            train_tokenizers(tokenizer, ((pair.source, pair.target) for pair in corpus))
        except ConfigError:
            size = size * 3 // 4
        else:
            return None if size == first_size else (tokenizer, reason)
    return None if fixed_kind else (_character_tokenizer(inputs), reason)


def build_recipe(
    data: DataConfig,
    inputs: RecipeInputs,
    overrides: Sequence[str] = (),
    tokenizer_choice: TokenizerChoice | None = None,
    timing: StepTiming | None = None,
) -> tuple[RunConfig, list[str]]:
    """Choose a recipe as `choose_recipe` does, from what is known about the corpus and the machine.

    Args:
        data: The corpus.
        inputs: What is known about it.
        overrides: `section.key=value`.
        tokenizer_choice: A tokenizer that is known to suit the corpus.
        timing: Of a training step; without it, max_minutes does not change the schedule.

    Raises:
        ConfigError: An override is not valid.
    """
    override_values = parse_overrides(overrides)
    tokenizer, tokenizer_reason = tokenizer_choice or _choose_tokenizer(inputs, override_values)
    if "max_length" not in data.model_fields_set:
        data = data.model_copy(update={"max_length": _choose_max_length(inputs, tokenizer)})
    model, _ = choose_model(inputs, override_values)
    is_subword = override_values.get("tokenizer.kind", tokenizer.kind) in SUBWORDS
    augmentation = _choose_augmentation(data) if is_subword and not inputs.columns else AugmentationConfig()
    search = _choose_search(inputs, tokenizer)
    draft = RunConfig(data=data, tokenizer=tokenizer, model=model, augmentation=augmentation, search=search)
    draft = override_config(draft, overrides, ARCHITECTURES)
    draft = draft.model_copy(update={"tokenizer": add_columns(draft.tokenizer, inputs.columns)})
    train, needed, epoch_steps = _choose_training(inputs, draft, override_values)
    limits = override_config(draft.model_copy(update={"train": train}), overrides, ARCHITECTURES).train
    budget = Budget.from_limits(limits, needed, epoch_steps, timing)
    model, model_reason = choose_model(inputs, override_values, dropout_limit(inputs.pairs, budget, epoch_steps))
    if budget.is_scarce and train.optimizer == "muon":
        train = train.model_copy(update={"learning_rate": SCARCE_RATE})
    dev_tokens = inputs.dev_pairs * mean_length(inputs, draft.tokenizer)
    model, copying_reason = choose_copying(model, draft.tokenizer, inputs)
    fitted = draft.model_copy(update={"model": model, "train": fit_schedule(train, budget, dev_tokens)})
    config = override_config(fitted, overrides, ARCHITECTURES)
    plan = Plan(config, overrides)
    return config, [
        plan.tokens(tokenizer_reason),
        plan.model(model_reason),
        *plan.copying(copying_reason),
        *plan.augmentation(),
        plan.batch(epoch_steps),
        plan.schedule(epoch_steps, f"{_epochs(inputs)} epochs suit {inputs.pairs:,} pairs"),
        plan.patience(),
        *plan.length_limit(),
        *budget.describe(plan, inputs.pairs),
        *plan.other_overrides(),
    ]


def _choose_tokenizer(inputs: RecipeInputs, overrides: Mapping[str, object]) -> TokenizerChoice:
    """Choose kind and size of the tokenizer. If an override sets the kind, the size is chosen for it."""
    kind = overrides.get("tokenizer.kind")
    if kind is None and inputs.is_spelling:
        reason = f"a line has {inputs.mean_words:.1f} words and {inputs.mean_characters:.0f} characters"
        return _character_tokenizer(inputs), reason
    if kind is None and inputs.has_closed_vocabulary and "tokenizer.vocabulary_size" not in overrides:
        size = inputs.distinct_words + len(SPECIAL)
        reason = f"the text has {inputs.distinct_words:,} distinct words, each in several pairs"
        return TokenizerConfig(kind="word", vocabulary_size=max(8, size)), reason
    if kind is None and inputs.pairs < LEARNABLE_PAIRS:
        return _character_tokenizer(inputs), f"{inputs.pairs:,} pairs are too few to learn subwords from"
    if kind == "character":
        return _character_tokenizer(inputs), "the alphabet of the text"
    steps = ((5_000, 2_000), (20_000, 4_000), (100_000, 6_000), (500_000, 12_000), (2_000_000, 16_000))
    size = next((size for pairs, size in steps if inputs.pairs <= pairs), 32_000)
    size = max(size, inputs.alphabet_size + BYTES_AND_SPECIAL + 1_000)  # all characters and bytes, and room for pieces
    reason = f"chosen for {inputs.pairs:,} pairs"
    if kind is None or kind in SUBWORDS:
        reason += "; unknown characters become bytes"
    # Other kinds need further keys; the overrides set them with the kind.
    chosen_kind = kind if kind in ("bpe", "word", "byte") else "unigram"
    return TokenizerConfig(kind=str(chosen_kind), vocabulary_size=size), reason


def _character_tokenizer(inputs: RecipeInputs) -> TokenizerConfig:
    size = max(8, min(inputs.alphabet_size + len(SPECIAL), 8000))
    return TokenizerConfig(kind="character", vocabulary_size=size)


def _choose_max_length(inputs: RecipeInputs, tokenizer: TokenizerConfig) -> int:
    """Choose a maximum of tokens that almost all lines have, if that is no more than a model learns from here."""
    if tokenizer.kind in ("character", "byte"):
        bytes_per_character = 2 if tokenizer.kind == "byte" else 1
        smallest, largest, length = CHARACTER_MAX_LENGTH, LONGEST[1], bytes_per_character * inputs.long_characters
    else:
        pieces_per_word = 1 if tokenizer.kind == "word" else 2
        smallest, largest, length = 256, LONGEST[0], pieces_per_word * inputs.long_words
    return max(smallest, min(largest, length))


def _choose_search(inputs: RecipeInputs, tokenizer: TokenizerConfig) -> SearchConfig:
    """Allow translations as long as almost all targets. Subwords are counted as words, and bytes as characters."""
    excess = inputs.excess_characters if tokenizer.kind in ("character", "byte") else inputs.excess_words
    needed = min(round_addend(excess + 1), MAX_ADDEND)  # EOS is a token
    default = SearchConfig()
    return default.model_copy(update={"max_length_addend": max(default.max_length_addend, needed)})


def _choose_augmentation(data: DataConfig) -> AugmentationConfig:
    """Choose `light` for sentences and their translations: benchmarks/RESULTS.md, Robustness.

    In spellings, formulas and programs, a typo would make another text, so the languages of both sides must be known.
    """
    is_translation = all(
        base_code(source) != base_code(target) and is_known(source) and is_known(target)
        for source, target, _ in language_pairs(data)
    )
    return AugmentationConfig(level="light" if is_translation else "off")


def batch_size(inputs: RecipeInputs, tokenizer: TokenizerConfig) -> int:
    """Choose the number of tokens per batch."""
    corpus_tokens = inputs.pairs * mean_length(inputs, tokenizer)
    is_large = inputs.pairs >= LARGE_CORPUS and not inputs.is_rushed
    batch = (16_384 if inputs.has_gpu else 4_096) if is_large else 2_048
    while batch > 1_024 and corpus_tokens / batch < 60:  # an epoch of too few steps learns little
        batch //= 2
    return batch


def steps_per_epoch(inputs: RecipeInputs, tokenizer: TokenizerConfig, train: TrainConfig) -> int:
    """Estimate the number of steps per epoch. In batches of tokens, about a tenth is padding."""
    if train.pairs_per_batch is not None:
        return math.ceil(inputs.pairs / (train.pairs_per_batch * train.accumulate))
    tokens_per_step = train.tokens_per_batch * train.accumulate
    return max(1, round(1.1 * inputs.pairs * mean_length(inputs, tokenizer) / tokens_per_step))


def _epochs(inputs: RecipeInputs) -> int:
    steps = ((10_000, 40), (50_000, 25), (300_000, 15), (2_000_000, 8))
    return next((epochs for pairs, epochs in steps if inputs.pairs <= pairs), 4)


def _choose_training(
    inputs: RecipeInputs, draft: RunConfig, overrides: Mapping[str, object]
) -> tuple[TrainConfig, int, int]:
    """Return a [train] section that goes with the overrides, the steps that the corpus needs, and steps per epoch."""
    batch = batch_size(inputs, draft.tokenizer)
    if "train.tokens_per_batch" in overrides:
        batch = draft.train.tokens_per_batch
    sizes = draft.train.model_copy(update={"tokens_per_batch": batch})
    epoch_steps = steps_per_epoch(inputs, draft.tokenizer, sizes)
    needed = max(1_500, _epochs(inputs) * epoch_steps)
    optimizer = draft.train.optimizer if "train.optimizer" in overrides else "muon"
    config = TrainConfig(
        max_steps=needed,
        tokens_per_batch=batch,
        optimizer=optimizer,
        learning_rate=0.005 if optimizer == "muon" else draft.train.learning_rate,
        schedule="inverse_sqrt",
        warmup_steps=min(200, needed // 10),
        average_decay=0.0 if "train.average_checkpoints" in overrides else 0.99,
        checkpoint_every=max(50, min(2_000, needed // 40)),
        patience=10,
        metric="chrf",
    )
    return config, needed, epoch_steps
