"""A recipe for one's own files, chosen from the corpus and the machine, each choice with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from regard.config import DataConfig, ModelConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.models import transformer2017
from regard.prepare import held_out_size, open_corpora

LOOKED_AT = 200_000  # pairs at most whose text is looked at; all are counted
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,4})?")


@dataclass(frozen=True)
class Facts:
    """What a recipe is chosen by."""

    pairs: int  # for training
    words: float  # mean white-space separated words of the longer side
    characters: float  # mean characters of the longer side
    alphabet: int  # distinct characters
    gpu: bool


def language_of(path: str) -> str:
    """The language that a file's name ends in: `train.en`, `train.de.gz`, `news.pt-BR.txt`; else nothing."""
    parts = Path(path).name.split(".")[1:]
    named = [part for part in parts if part not in ("gz", "txt") and _LANGUAGE.fullmatch(part)]
    return named[-1] if named else ""


def look(data: DataConfig, *, gpu: bool) -> Facts:
    """Go over a corpus once. Raises DataError."""
    corpus, dev = open_corpora(data, seed=1)
    pairs = iter(corpus)
    words = characters = seen = 0
    alphabet: set[str] = set()
    for pair in islice(pairs, LOOKED_AT):
        seen += 1
        words += max(len(pair.source.split()), len(pair.target.split()))
        characters += max(len(pair.source), len(pair.target))
        alphabet.update(pair.source, pair.target)
    count = seen + sum(1 for _ in pairs)
    held_out = 0 if dev is not None else data.held_out or held_out_size(count)
    return Facts(max(1, count - held_out), words / seen, characters / seen, len(alphabet), gpu)


def choose(data: DataConfig, facts: Facts) -> tuple[RunConfig, list[str]]:
    """A whole recipe, and a sentence for each choice."""
    tokenizer, why_tokens = _tokenizer(facts)
    model, why_model = _model(facts)
    train, why_train = _train(facts, tokenizer)
    config = RunConfig(data=data, tokenizer=tokenizer, model=model, train=train, search=SearchConfig())
    return config, [why_tokens, why_model, *why_train]


def _tokenizer(facts: Facts) -> tuple[TokenizerConfig, str]:
    if facts.words < 1.5 and facts.characters < 60:
        why = f"tokens: characters, since a line has {facts.words:.1f} words and {facts.characters:.0f} characters"
        return TokenizerConfig(kind="character", vocabulary_size=max(8, min(facts.alphabet + 4, 8000))), why
    if facts.pairs < 2_000:
        why = f"tokens: characters, since {facts.pairs:,} pairs are too few to learn subwords from"
        return TokenizerConfig(kind="character", vocabulary_size=max(8, min(facts.alphabet + 4, 8000))), why
    steps = ((5_000, 2_000), (20_000, 4_000), (100_000, 6_000), (500_000, 12_000), (2_000_000, 16_000))
    size = next((size for pairs, size in steps if facts.pairs <= pairs), 32_000)
    size = max(size, facts.alphabet + 256 + 1_000)  # every character and byte, and room for pieces
    why = (
        f"tokens: {size:,} SentencePiece unigrams for both sides, by the {facts.pairs:,} pairs; none is unknown (bytes)"
    )
    return TokenizerConfig(kind="unigram", vocabulary_size=size), why


def _model(facts: Facts) -> tuple[ModelConfig, str]:
    base = transformer2017.small()
    if facts.pairs < 10_000:
        config = base.model_copy(update={"d_model": 128, "ff": 512, "dropout": 0.3})
        why = "few pairs: a narrow model with much dropout"
    elif facts.pairs < 100_000:
        config = base.model_copy(update={"dropout": 0.3})
        why = "tens of thousands of pairs: the small preset with much dropout"
    elif facts.gpu and facts.pairs >= 300_000:
        config = transformer2017.base()
        why = "many pairs and a GPU: the paper's base model"
    else:
        config = base.model_copy(update={"dropout": 0.1})
        why = "many pairs" + ("" if facts.gpu else " and no GPU") + ": the small preset with little dropout"
    return config, (
        f"model: transformer2017, {config.encoder_layers} + {config.decoder_layers} layers of {config.d_model}, "
        f"dropout {config.dropout} ({why})"
    )


def _train(facts: Facts, tokenizer: TokenizerConfig) -> tuple[TrainConfig, list[str]]:
    by_character = tokenizer.kind == "character"
    length = (facts.characters if by_character else 1.4 * facts.words) + 1  # tokens, by a rule of thumb
    tokens_in_all = facts.pairs * length
    batch = 16_384 if facts.gpu and facts.pairs >= 100_000 else 4_096
    while batch > 1_024 and tokens_in_all / batch < 60:  # an epoch of too few steps learns little
        batch //= 2
    steps_an_epoch = max(1, round(1.1 * tokens_in_all / batch))  # a tenth for padding
    epochs = next(
        (n for pairs, n in ((10_000, 40), (50_000, 25), (300_000, 15), (2_000_000, 8)) if facts.pairs <= pairs), 4
    )
    steps = max(1_500, epochs * steps_an_epoch)
    every = max(50, min(2_000, steps // 20))
    config = TrainConfig(
        max_steps=steps,
        tokens_per_batch=batch,
        optimizer="muon",
        learning_rate=0.005,
        schedule="cosine",
        warmup_steps=min(400, steps // 10),
        checkpoint_every=every,
        patience=6,
        metric="chrf",
    )
    return config, [
        f"batch: {batch:,} tokens, about {steps_an_epoch:,} steps an epoch",
        f"schedule: {steps:,} steps ({steps / steps_an_epoch:.0f} epochs), Muon at 0.005 with a warm-up of "
        f"{config.warmup_steps} steps and a cosine to 0",
        f"patience: a checkpoint every {every:,} steps, an end after {config.patience} without a better chrF on dev",
    ]
