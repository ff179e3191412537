"""A recipe for one's own files, chosen from the corpus and the machine, each choice with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from regard.config import (
    DataConfig,
    ModelConfig,
    RunConfig,
    SearchConfig,
    TokenizerConfig,
    TrainConfig,
    override_config,
)
from regard.errors import ConfigError
from regard.models import ARCHITECTURES, modern
from regard.opening import open_corpora
from regard.prepare import held_out_size, split
from regard.symbols import SPECIAL
from regard.text.tokenizer import train_tokenizers

LOOKED_AT = 200_000  # pairs at most whose text is looked at; all are counted
BY_CHARACTER = 1000  # data.max_length, where tokens are characters
PLENTY = 4  # distinct words for each token of a vocabulary: with so many, SentencePiece never lacks pieces

_BYTES = 256 + len(SPECIAL)


@dataclass(frozen=True)
class Facts:
    """What a recipe is chosen by."""

    pairs: int  # for training
    words: float  # mean white-space separated words of the longer side
    characters: float  # mean characters of the longer side
    alphabet: int  # distinct characters
    distinct: int  # white-space separated words
    gpu: bool


def recipe(data: DataConfig, overrides: Sequence[str] = (), *, gpu: bool) -> tuple[RunConfig, list[str]]:
    """A whole recipe for a corpus, with `section.key=value` overrides, and a sentence for each choice.

    A vocabulary that was chosen here is one that the corpus allows. Raises DataError and ConfigError.
    """
    facts = look(data, gpu=gpu)
    chosen, reasons = choose(data, facts)
    config = override_config(chosen, overrides, ARCHITECTURES)
    wanted = config.tokenizer.vocabulary_size
    subwords = config.tokenizer.kind in ("unigram", "bpe")
    if subwords and wanted == chosen.tokenizer.vocabulary_size and facts.distinct < PLENTY * wanted:
        config = _fit(config, facts)
        if config.tokenizer.vocabulary_size < wanted:
            reasons.append(
                f"tokens: the text does not give {wanted:,} subwords, so {config.tokenizer.vocabulary_size:,} "
                f"{config.tokenizer.kind} tokens instead"
            )
    return config, reasons


def _fit(config: RunConfig, facts: Facts) -> RunConfig:
    """The recipe with the largest vocabulary, in steps of a quarter, that can be learned; else with characters."""
    corpus, _ = split(config)
    size = config.tokenizer.vocabulary_size
    while size > facts.alphabet + _BYTES:
        tokenizer = config.tokenizer.model_copy(update={"vocabulary_size": size})
        try:
            train_tokenizers(tokenizer, ((pair.source, pair.target) for pair in corpus))
        except ConfigError:
            size = size * 3 // 4
        else:
            return config.model_copy(update={"tokenizer": tokenizer})
    data = config.data.model_copy(update={"max_length": max(config.data.max_length, BY_CHARACTER)})
    return config.model_copy(update={"tokenizer": _characters(facts), "data": data})


def look(data: DataConfig, *, gpu: bool) -> Facts:
    """Go over a corpus once. Raises DataError."""
    corpus, dev = open_corpora(data, seed=1)
    pairs = iter(corpus)
    words = characters = seen = 0
    alphabet: set[str] = set()
    distinct: set[str] = set()
    for pair in islice(pairs, LOOKED_AT):
        seen += 1
        source, target = pair.source.split(), pair.target.split()
        distinct.update(source, target)
        words += max(len(source), len(target))
        characters += max(len(pair.source), len(pair.target))
        alphabet.update(pair.source, pair.target)
    count = seen + sum(1 for _ in pairs)
    held_out = 0 if dev is not None else data.held_out or held_out_size(count)
    return Facts(max(1, count - held_out), words / seen, characters / seen, len(alphabet), len(distinct), gpu)


def choose(data: DataConfig, facts: Facts) -> tuple[RunConfig, list[str]]:
    """A whole recipe, and a sentence for each choice."""
    tokenizer, why_tokens = _tokenizer(facts)
    if tokenizer.kind == "character" and "max_length" not in data.model_fields_set:
        data = data.model_copy(update={"max_length": BY_CHARACTER})
    model, why_model = _model(facts)
    train, why_train = _train(facts, tokenizer)
    config = RunConfig(data=data, tokenizer=tokenizer, model=model, train=train, search=SearchConfig())
    return config, [why_tokens, why_model, *why_train]


def _tokenizer(facts: Facts) -> tuple[TokenizerConfig, str]:
    if facts.words < 1.5 and facts.characters < 60:
        why = f"tokens: characters, since a line has {facts.words:.1f} words and {facts.characters:.0f} characters"
        return _characters(facts), why
    if facts.pairs < 2_000:
        why = f"tokens: characters, since {facts.pairs:,} pairs are too few to learn subwords from"
        return _characters(facts), why
    steps = ((5_000, 2_000), (20_000, 4_000), (100_000, 6_000), (500_000, 12_000), (2_000_000, 16_000))
    size = next((size for pairs, size in steps if facts.pairs <= pairs), 32_000)
    size = max(size, facts.alphabet + _BYTES + 1_000)  # every character and byte, and room for pieces
    why = (
        f"tokens: {size:,} SentencePiece unigrams for both sides, by the {facts.pairs:,} pairs; none is unknown (bytes)"
    )
    return TokenizerConfig(kind="unigram", vocabulary_size=size), why


def _characters(facts: Facts) -> TokenizerConfig:
    return TokenizerConfig(kind="character", vocabulary_size=max(8, min(facts.alphabet + len(SPECIAL), 8000)))


def _model(facts: Facts) -> tuple[ModelConfig, str]:
    tiny, small = modern.tiny(), modern.small()
    if facts.pairs < 10_000:
        config, why = tiny.model_copy(update={"dropout": 0.3}), "few pairs: the tiny preset with much dropout"
    elif facts.pairs < 100_000 and not facts.gpu:
        config, why = tiny, "tens of thousands of pairs and no GPU: the tiny preset"
    elif facts.pairs < 100_000:
        config = small.model_copy(update={"dropout": 0.3})
        why = "tens of thousands of pairs: the small preset with much dropout"
    elif facts.pairs < 300_000 or not facts.gpu:
        config = small.model_copy(update={"dropout": 0.1})
        why = "many pairs" + ("" if facts.gpu else " and no GPU") + ": the small preset with little dropout"
    else:
        config, why = modern.base(), "many pairs and a GPU: the base preset"
    return config, (
        f"model: modern, {config.encoder_layers} + {config.decoder_layers} layers of {config.d_model}, "
        f"dropout {config.dropout} ({why})"
    )


def batch_size(facts: Facts, *, by_character: bool) -> tuple[int, int]:
    """Tokens of a batch, and about how many batches an epoch has then."""
    length = (facts.characters if by_character else 1.4 * facts.words) + 1  # tokens, by a rule of thumb
    tokens_in_all = facts.pairs * length
    many = facts.pairs >= 100_000
    batch = (16_384 if facts.gpu else 4_096) if many else 2_048
    while batch > 1_024 and tokens_in_all / batch < 60:  # an epoch of too few steps learns little
        batch //= 2
    return batch, max(1, round(1.1 * tokens_in_all / batch))  # a tenth for padding


def _train(facts: Facts, tokenizer: TokenizerConfig) -> tuple[TrainConfig, list[str]]:
    batch, steps_an_epoch = batch_size(facts, by_character=tokenizer.kind == "character")
    epochs = next(
        (n for pairs, n in ((10_000, 40), (50_000, 25), (300_000, 15), (2_000_000, 8)) if facts.pairs <= pairs), 4
    )
    steps = max(1_500, epochs * steps_an_epoch)
    every = max(50, min(2_000, steps // 40))
    config = TrainConfig(
        max_steps=steps,
        tokens_per_batch=batch,
        optimizer="muon",
        learning_rate=0.005,
        schedule="inverse_sqrt",
        warmup_steps=min(200, steps // 10),
        average_decay=0.99,
        checkpoint_every=every,
        patience=10,
        metric="chrf",
    )
    return config, [
        f"batch: {batch:,} tokens, about {steps_an_epoch:,} steps an epoch",
        f"schedule: {steps:,} steps ({steps / steps_an_epoch:.0f} epochs), Muon at 0.005 with a warm-up of "
        f"{config.warmup_steps} steps, then as 1 / sqrt(step); a running mean of the weights is kept",
        f"patience: a checkpoint every {every:,} steps, an end after {config.patience} without a better chrF on dev",
    ]
