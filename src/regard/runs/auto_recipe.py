"""A recipe for your own files, chosen from the corpus and the machine, each choice with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from regard.config.recipe import override_config, parse_overrides
from regard.config.schema import DataConfig, ModelConfig, RunConfig, TokenizerConfig, TrainConfig
from regard.corpus.paths import open_corpora
from regard.errors import ConfigError
from regard.models import ARCHITECTURES
from regard.runs.plan import SUBWORDS, Plan, vocabularies
from regard.runs.prepare import Say, held_out_size, split
from regard.runs.time_budget import Budget, Timing, fit, measure
from regard.special_tokens import SPECIAL
from regard.tokenizers.base import train_tokenizers

LOOKED_AT = 200_000  # pairs at most whose text is looked at; all are counted
BY_CHARACTER = 1000  # data.max_length, where tokens are characters
PLENTY = 4  # distinct words for each token of a vocabulary: with so many, SentencePiece never lacks pieces

LOW_DROPOUT = 0.1  # at most, if steps are scarce
FAST = 0.01  # Muon's learning rate, if steps are scarce
DEFAULT = "modern"  # architecture

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
    dev: int = 0  # pairs


def recipe(
    data: DataConfig, overrides: Sequence[str] = (), *, gpu: bool, say: Say = lambda text: None
) -> tuple[RunConfig, list[str]]:
    """Choose a whole recipe for a corpus, and describe it in a few lines.

    overrides: `section.key=value`. Everything else is chosen to suit them: sizes for the architecture that they name,
    a vocabulary that the corpus allows, a schedule for the time that they give. say: prints what takes a while.
    Raises DataError and ConfigError.
    """
    given = parse_overrides(overrides)
    say("reading the corpus")
    facts = look(data, gpu=gpu)
    config, reasons = choose(data, facts, overrides)
    tokens = None
    size = config.tokenizer.vocabulary_size
    if (
        config.tokenizer.kind in SUBWORDS
        and "tokenizer.vocabulary_size" not in given
        and facts.distinct < PLENTY * size
    ):
        say(f"learning {size:,} tokens, to see whether the text has enough words for them")
        tokens = _fit_vocabulary(config, facts, fixed="tokenizer.kind" in given)
        config, reasons = choose(data, facts, overrides, tokens)
    if config.train.max_minutes is not None:
        timing = measure(config, vocabularies(config.tokenizer), mean_length(facts, config.tokenizer), say)
        config, reasons = choose(data, facts, overrides, tokens, timing)
    return config, reasons


Tokens = tuple[TokenizerConfig, str]  # with the reason


def _fit_vocabulary(config: RunConfig, facts: Facts, *, fixed: bool) -> Tokens | None:
    """Return the largest vocabulary, in steps of a quarter, that can be learned, or characters; None to keep it.

    fixed: never characters instead.
    """
    corpus, _ = split(config)
    wanted = size = config.tokenizer.vocabulary_size
    least = facts.alphabet + _BYTES
    while size > least:
        tokenizer = config.tokenizer.model_copy(update={"vocabulary_size": size})
        try:
            train_tokenizers(tokenizer, ((pair.source, pair.target) for pair in corpus))
        except ConfigError:
            size = size * 3 // 4
        else:
            return None if size == wanted else (tokenizer, f"the text does not give {wanted:,} subwords")
    return None if fixed else (_characters(facts), f"the text does not give {wanted:,} subwords")


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
    judged = held_out if dev is None else sum(1 for _ in dev)
    return Facts(max(1, count - held_out), words / seen, characters / seen, len(alphabet), len(distinct), gpu, judged)


def choose(
    data: DataConfig,
    facts: Facts,
    overrides: Sequence[str] = (),
    tokens: Tokens | None = None,
    timing: Timing | None = None,
) -> tuple[RunConfig, list[str]]:
    """Choose a whole recipe and describe it, as `recipe` does, from what is known of the corpus and the machine.

    tokens: a tokenizer known to suit the corpus. timing: of a training step. Raises ConfigError.
    """
    given = parse_overrides(overrides)
    tokenizer, why_tokens = tokens or _tokenizer(facts, given)
    if tokenizer.kind == "character" and "max_length" not in data.model_fields_set:
        data = data.model_copy(update={"max_length": BY_CHARACTER})
    model, why_model = _model(facts, given)
    asked = override_config(RunConfig(data=data, tokenizer=tokenizer, model=model), overrides, ARCHITECTURES)
    train, needed, an_epoch = _train(facts, asked, given)
    budget = Budget.of(override_config(_with(asked, train), overrides, ARCHITECTURES).train, needed, timing)
    if budget.is_scarce:
        model, why_model = _model(facts, given, scarce=True)
        if train.optimizer == "muon":
            train = train.model_copy(update={"learning_rate": FAST})
    dev_tokens = facts.dev * mean_length(facts, asked.tokenizer)
    chosen = asked.model_copy(update={"model": model, "train": fit(train, budget, dev_tokens)})
    config = override_config(chosen, overrides, ARCHITECTURES)
    plan = Plan(config, given)
    return config, [
        plan.tokens(why_tokens),
        plan.model(why_model),
        plan.batch(an_epoch),
        plan.schedule(an_epoch, f"{_epochs(facts)} epochs suit {facts.pairs:,} pairs"),
        plan.patience(),
        *budget.lines(plan, facts.pairs),
        *plan.others(),
    ]


def _with(config: RunConfig, train: TrainConfig) -> RunConfig:
    return config.model_copy(update={"train": train})


def _tokenizer(facts: Facts, given: Mapping[str, object]) -> Tokens:
    """Choose the tokenizer; a kind that was set by hand decides what its size is chosen for."""
    kind = given.get("tokenizer.kind")
    if kind is None and facts.words < 1.5 and facts.characters < 60:
        return _characters(facts), f"a line has {facts.words:.1f} words and {facts.characters:.0f} characters"
    if kind is None and facts.pairs < 2_000:
        return _characters(facts), f"{facts.pairs:,} pairs are too few to learn subwords from"
    if kind == "character":
        return _characters(facts), "the alphabet of the text"
    steps = ((5_000, 2_000), (20_000, 4_000), (100_000, 6_000), (500_000, 12_000), (2_000_000, 16_000))
    size = next((size for pairs, size in steps if facts.pairs <= pairs), 32_000)
    size = max(size, facts.alphabet + _BYTES + 1_000)  # every character and byte, and room for pieces
    why = f"chosen for {facts.pairs:,} pairs; unknown characters become bytes"
    return TokenizerConfig(kind="unigram", vocabulary_size=size), why


def _characters(facts: Facts) -> TokenizerConfig:
    return TokenizerConfig(kind="character", vocabulary_size=max(8, min(facts.alphabet + len(SPECIAL), 8000)))


def _model(facts: Facts, given: Mapping[str, object], *, scarce: bool = False) -> tuple[ModelConfig, str]:
    """Choose a preset: a step costs about the same with the presets of one name, whatever the architecture.

    scarce: steps are too few to overfit, so that dropout stays low.
    """
    if facts.pairs < 10_000:
        preset, dropout, why = "tiny", 0.3, "for fewer than 10,000 pairs"
    elif facts.pairs < 100_000 and not facts.gpu:
        preset, dropout, why = "tiny", None, "for tens of thousands of pairs and no GPU"
    elif facts.pairs < 100_000:
        preset, dropout, why = "small", 0.3, "for tens of thousands of pairs"
    elif facts.pairs < 300_000 or not facts.gpu:
        preset, dropout, why = "small", 0.1, "for many pairs" + ("" if facts.gpu else " and no GPU")
    else:
        preset, dropout, why = "base", None, "for many pairs and a GPU"
    architecture = given.get("model.architecture")
    chosen = ARCHITECTURES.get(str(architecture), ARCHITECTURES[DEFAULT])  # one that is unknown is refused later
    preset = preset if preset in chosen.presets else "small"
    config = chosen.presets[preset]()
    if scarce and dropout is not None:
        dropout, why = min(dropout, LOW_DROPOUT), f"{why} and little time"
    if dropout is None or "model.dropout" in given:
        return config, f"the {preset} preset {why}"
    changed = config.model_copy(update={"dropout": dropout})
    return changed, f"the {preset} preset with a dropout of {dropout} {why}"


def mean_length(facts: Facts, tokenizer: TokenizerConfig) -> float:
    """Estimate the mean number of tokens of the longer side, end marker included."""
    return (facts.characters if tokenizer.kind in ("character", "byte") else 1.4 * facts.words) + 1


def batch_size(facts: Facts, tokenizer: TokenizerConfig) -> int:
    """Choose the tokens of a batch."""
    tokens_in_all = facts.pairs * mean_length(facts, tokenizer)
    many = facts.pairs >= 100_000
    batch = (16_384 if facts.gpu else 4_096) if many else 2_048
    while batch > 1_024 and tokens_in_all / batch < 60:  # an epoch of too few steps learns little
        batch //= 2
    return batch


def steps_an_epoch(facts: Facts, tokenizer: TokenizerConfig, tokens_per_step: int) -> int:
    """Estimate the steps of an epoch, with a tenth of padding."""
    return max(1, round(1.1 * facts.pairs * mean_length(facts, tokenizer) / tokens_per_step))


def _epochs(facts: Facts) -> int:
    steps = ((10_000, 40), (50_000, 25), (300_000, 15), (2_000_000, 8))
    return next((epochs for pairs, epochs in steps if facts.pairs <= pairs), 4)


def _train(facts: Facts, asked: RunConfig, given: Mapping[str, object]) -> tuple[TrainConfig, int, int]:
    """Choose [train] to go with what was set by hand; also the steps that the corpus needs, and those of an epoch."""
    batch = batch_size(facts, asked.tokenizer)
    if "train.tokens_per_batch" in given:
        batch = asked.train.tokens_per_batch
    an_epoch = steps_an_epoch(facts, asked.tokenizer, batch * asked.train.accumulate)
    needed = max(1_500, _epochs(facts) * an_epoch)
    optimizer = asked.train.optimizer if "train.optimizer" in given else "muon"
    config = TrainConfig(
        max_steps=needed,
        tokens_per_batch=batch,
        optimizer=optimizer,
        learning_rate=0.005 if optimizer == "muon" else asked.train.learning_rate,
        schedule="inverse_sqrt",
        warmup_steps=min(200, needed // 10),
        average_decay=0.0 if "train.average_checkpoints" in given else 0.99,
        checkpoint_every=max(50, min(2_000, needed // 40)),
        patience=10,
        metric="chrf",
    )
    return config, needed, an_epoch
