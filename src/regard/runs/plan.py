"""The plan that `regard train` prints for your own files: each value of the recipe, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import torch

from regard.config.recipe import to_table
from regard.config.schema import ModelConfig, RunConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.models import build_model
from regard.tokenizers.simple import ByteTokenizer

FROM_SET = "(from --set)"
SUBWORDS = ("unigram", "bpe")

KINDS = {
    "unigram": "SentencePiece unigrams",
    "bpe": "BPE pieces",
    "character": "characters",
    "word": "words",
    "byte": "bytes",
    "marian": "pieces",
}
METRICS = {"chrf": "chrF", "bleu": "BLEU", "exact": "share of exact matches", "loss": "loss"}
OPTIMIZERS = {"adam": "Adam", "adadelta": "Adadelta", "muon": "Muon"}
DECAYS = {
    "inverse_sqrt": "then a decay with 1/sqrt(step)",
    "cosine": "then a cosine decay to 0",
    "constant": "then a constant rate",
}


class Plan:
    """A recipe and the keys that were set by hand, as sentences.

    given: each override, `section.key` to its value. Each method returns one line; `why` is the reason for what was
    chosen automatically, and is left out if nothing was.
    """

    def __init__(self, config: RunConfig, given: Mapping[str, object]) -> None:
        self.config = config
        self._given = given
        self._shown: set[str] = set()

    def value(self, key: str, text: object) -> str:
        """Return the text of a key's value, marked if the value was set by hand."""
        self._shown.add(key)
        return f"{text} {FROM_SET}" if key in self._given else str(text)

    def is_given(self, key: str) -> bool:
        """Return whether a key was set by hand."""
        return key in self._given

    def tokens(self, why: str) -> str:
        """Describe [tokenizer]."""
        tokenizer = self.config.tokenizer
        kind = self.value("tokenizer.kind", KINDS[tokenizer.kind])
        if tokenizer.target_kind not in (None, tokenizer.kind):
            kind += f" and {self.value('tokenizer.target_kind', KINDS[str(tokenizer.target_kind)])}"
        size = "" if tokenizer.kind == "byte" else self.value("tokenizer.vocabulary_size", _size(tokenizer)) + " "
        sides = self.value("tokenizer.joint", "for both sides" if tokenizer.joint else "for each side")
        return f"tokens: {size}{kind} {sides}" + ("" if self.is_given("tokenizer.vocabulary_size") else f"; {why}")

    def model(self, why: str) -> str:
        """Describe [model], with the number of parameters that it is built with."""
        model = self.config.model
        sizes = model.model_dump()
        name = self.value("model.architecture", sizes.pop("architecture"))
        shown = ", ".join(self.value(f"model.{key}", f"{key}={_short(value)}") for key, value in sizes.items())
        if "model.preset" in self._given:
            why = self.value("model.preset", f"the {self._given['model.preset']} preset")
        return f"model: {name}, {_parameters(self.config)} parameters: {shown}; {why}"

    def batch(self, steps_an_epoch: int) -> str:
        """Describe the size of a step."""
        train = self.config.train
        size = self.value("train.tokens_per_batch", f"{train.tokens_per_batch:,} tokens")
        if train.accumulate > 1:
            size += f", {self.value('train.accumulate', f'{train.accumulate} batches a step')}"
        return f"batch: {size}, about {steps_an_epoch:,} steps an epoch"

    def schedule(self, steps_an_epoch: int, why: str) -> str:
        """Describe how long training lasts, and its learning rates."""
        train = self.config.train
        epochs = train.max_steps / steps_an_epoch
        steps = self.value("train.max_steps", f"at most {train.max_steps:,} steps ({_epochs(epochs)})")
        rate = f"{self.value('train.optimizer', OPTIMIZERS[train.optimizer])} at "
        rate += self.value("train.learning_rate", f"a learning rate of {train.learning_rate:g}")
        warmup = self.value("train.warmup_steps", f"{train.warmup_steps:,} steps of warm-up")
        decay = self.value("train.schedule", DECAYS[train.schedule])
        kept = f"; {self._average()}" if train.average_decay or train.average_checkpoints > 1 else ""
        reason = "" if self.is_given("train.max_steps") else f"; {why}"
        return f"schedule: {steps}, {rate}, {warmup}, {decay}{kept}{reason}"

    def _average(self) -> str:
        train = self.config.train
        if train.average_decay:
            return self.value("train.average_decay", f"weights are averaged over steps (decay {train.average_decay:g})")
        count = train.average_checkpoints
        return self.value("train.average_checkpoints", f"weights are averaged over {count} checkpoints")

    def patience(self) -> str:
        """Describe validation and early stopping."""
        train = self.config.train
        every = self.value("train.checkpoint_every", f"every {train.checkpoint_every:,} steps")
        metric = self.value("train.metric", f"{METRICS[train.metric]} on dev")
        if train.patience:
            end = self.value("train.patience", f"training stops after {train.patience} without a better {metric}")
        else:
            end = self.value("train.patience", f"no early stop; the best {metric} is kept")
        return f"patience: a validation {every}; {end}"

    def others(self) -> list[str]:
        """Return a line with all that was set by hand and that no other line has shown, if there is any."""
        table = to_table(self.config)
        rest = sorted(self._given.keys() - self._shown)
        named = [f"{key}={_short(_value(table, key))}" for key in rest]
        return [f"also {FROM_SET[1:-1]}: {', '.join(named)}"] if named else []


def _value(table: Mapping[str, Mapping[str, object]], key: str) -> object:
    section, _, name = key.partition(".")
    return table.get(section, {}).get(name)


def _epochs(epochs: float) -> str:
    return "1 epoch" if round(epochs) == 1 else f"{epochs:.0f} epochs" if epochs >= 1 else f"{epochs:.2g} of an epoch"


def _short(value: object) -> str:
    """`4 x [160, 3]` for a list of the same, otherwise JSON; text is bare."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and len(value) > 1 and all(item == value[0] for item in value):
        return f"{len(value)} x {json.dumps(value[0])}"
    return json.dumps(value, ensure_ascii=False)


def _size(tokenizer: TokenizerConfig) -> str:
    return ("" if tokenizer.kind in SUBWORDS else "at most ") + f"{tokenizer.vocabulary_size:,}"


def vocabularies(tokenizer: TokenizerConfig) -> VocabularySizes:
    """Return the sizes that a recipe's tokenizers will have: exact for subwords and bytes, else the most."""
    both = tokenizer.kind, tokenizer.target_kind or tokenizer.kind
    source, target = (ByteTokenizer().size if kind == "byte" else tokenizer.vocabulary_size for kind in both)
    return VocabularySizes(source, target, tokenizer.joint)


def _parameters(config: RunConfig) -> str:
    exact = {config.tokenizer.kind, config.tokenizer.target_kind or config.tokenizer.kind} <= {*SUBWORDS, "byte"}
    return ("" if exact else "at most ") + f"{count_parameters(config.model, vocabularies(config.tokenizer)):,}"


def count_parameters(model: ModelConfig, sizes: VocabularySizes) -> int:
    """Return the number of parameters of a model, without allocating it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(model, sizes).parameters())
