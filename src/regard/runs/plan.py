"""The plan that `regard train` prints for your own files: each value of the recipe, and the reason for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from regard.config.overrides import override_origins, parse_overrides
from regard.config.recipe import to_table
from regard.config.schema import ModelConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.models import build_on_meta
from regard.special_tokens import SPECIAL
from regard.tokenizers.simple import ByteTokenizer

SUBWORDS = ("unigram", "bpe")

KINDS = {
    "unigram": "SentencePiece unigrams",
    "bpe": "BPE pieces",
    "character": "characters",
    "word": "words",
    "byte": "bytes",
    "pattern": "tokens of a pattern",
    "list": "items of a list",
    "marian": "pieces",
}
METRICS = {"chrf": "chrF", "bleu": "BLEU", "exact": "share of exact matches", "loss": "loss"}
OPTIMIZERS = {"adam": "Adam", "adadelta": "Adadelta", "muon": "Muon", "sgd": "SGD"}
DECAYS = {
    "inverse_sqrt": "then a decay with 1/sqrt(step)",
    "cosine": "then a cosine decay to 0",
    "constant": "then a constant rate",
    "halving": "then halved at regular intervals",
    "plateau": "then lowered when the dev loss no longer improves",
}


class Plan:
    """Describes a recipe line by line, and marks the values that overrides set.

    Each method returns one line. Its argument `reason` explains a value that was chosen automatically; it is left out
    if an override set the value.
    """

    def __init__(self, config: RunConfig, overrides: Sequence[str]) -> None:
        """`overrides`: `section.key=value`; keys may have their old names."""
        self.config = config
        self._preset = parse_overrides(overrides).get("model.preset")
        self._origins = override_origins(overrides, config.model.architecture)
        self._shown: set[str] = set()

    def mark(self, key: str, text: object) -> str:
        """Return the text for a key, with the origin of the override that set it, if there is one."""
        self._shown.add(key)
        return f"{text} (from {self._origins[key]})" if key in self._origins else str(text)

    def is_overridden(self, key: str) -> bool:
        """Return whether an override set a key."""
        return key in self._origins

    def tokens(self, reason: str) -> str:
        """Describe [tokenizer]."""
        tokenizer = self.config.tokenizer
        kind = self.mark("tokenizer.kind", _kind(tokenizer.kind))
        if tokenizer.source_columns:
            return f"tokens: {self._columns()}; {reason}"
        if tokenizer.target_kind not in (None, tokenizer.kind):
            kind += f" and {self.mark('tokenizer.target_kind', _kind(str(tokenizer.target_kind)))}"
        size = "" if tokenizer.kind == "byte" else self.mark("tokenizer.vocabulary_size", _size(tokenizer)) + " "
        sides = self.mark("tokenizer.joint", "for both sides" if tokenizer.joint else "for each side")
        because = "" if self.is_overridden("tokenizer.vocabulary_size") else f"; {reason}"
        return f"tokens: {size}{kind} {sides}{because}"

    def _columns(self) -> str:
        tokenizer = self.config.tokenizer
        columns = [
            f"items between {column.delimiter!r}" if column.delimiter else _kind(column.kind)
            for column in tokenizer.source_columns
        ]
        source = self.mark("tokenizer.source_columns", f"source columns as {', '.join(columns)}")
        kind = self.mark("tokenizer.kind", _kind(tokenizer.kind))
        size = "" if tokenizer.kind == "byte" else self.mark("tokenizer.vocabulary_size", _size(tokenizer)) + " "
        shared = self.mark("tokenizer.joint", ", shared with the columns of this kind" if tokenizer.joint else "")
        return f"{source}; target as {size}{kind}{shared}"

    def model(self, reason: str) -> str:
        """Describe [model], with its number of parameters."""
        sizes = self.config.model.model_dump()
        name = self.mark("model.architecture", sizes.pop("architecture"))
        shown = ", ".join(self.mark(f"model.{key}", f"{key}={_short(value)}") for key, value in sizes.items())
        if self._preset is not None:
            reason = self.mark("model.preset", f"the {self._preset} preset")
        return f"model: {name}, {_parameters(self.config)} parameters: {shown}; {reason}"

    def copying(self, reason: str) -> list[str]:
        """Describe copying of source tokens in a line; no line if there is none, or if an override decides it."""
        if not self.config.model.copies_source or self.is_overridden("model.copy_attention"):
            return []
        return [f"copying: {reason}, so that tokens are also copied; --set model.copy_attention=false to turn it off"]

    def augmentation(self) -> list[str]:
        """Describe [augmentation] in a line; no line if nothing is changed."""
        config = self.config.augmentation
        if not config.rates:
            return []
        shares = ", ".join(self.mark(f"augmentation.{key}", f"{key}={rate:g}") for key, rate in config.rates.items())
        level = self.mark("augmentation.level", config.level)
        return [f"augmentation: {level}, so that text with typos is translated well: {shares}; --augment off for none"]

    def batch(self, steps_per_epoch: int) -> str:
        """Describe the batches of a step."""
        train = self.config.train
        size = self.mark("train.tokens_per_batch", f"{train.tokens_per_batch:,} tokens")
        if train.pairs_per_batch is not None:
            size = self.mark("train.pairs_per_batch", f"{train.pairs_per_batch:,} pairs")
        if train.accumulate > 1:
            size += f", {self.mark('train.accumulate', f'{train.accumulate} batches per step')}"
        return f"batch: {size}, about {steps_per_epoch:,} steps per epoch"

    def schedule(self, steps_per_epoch: int, reason: str) -> str:
        """Describe how long training lasts, its learning rates, and the averaging of weights."""
        train = self.config.train
        epochs = train.max_steps / steps_per_epoch
        steps = self.mark("train.max_steps", f"at most {train.max_steps:,} steps ({_epochs(epochs)})")
        rate = f"{self.mark('train.optimizer', OPTIMIZERS[train.optimizer])} at "
        rate += self.mark("train.learning_rate", f"a learning rate of {train.learning_rate:g}")
        warmup_steps = "1 step" if train.warmup_steps == 1 else f"{train.warmup_steps:,} steps"
        warmup = self.mark("train.warmup_steps", f"{warmup_steps} of warm-up")
        decay = self.mark("train.schedule", DECAYS[train.schedule])
        average = f"; {self._average()}" if train.average_decay or train.average_checkpoints > 1 else ""
        because = "" if self.is_overridden("train.max_steps") else f"; {reason}"
        return f"schedule: {steps}, {rate}, {warmup}, {decay}{average}{because}"

    def _average(self) -> str:
        train = self.config.train
        if train.average_decay:
            return self.mark("train.average_decay", f"weights are averaged over steps (decay {train.average_decay:g})")
        count = train.average_checkpoints
        return self.mark("train.average_checkpoints", f"weights are averaged over {count} checkpoints")

    def patience(self) -> str:
        """Describe validation and early stopping."""
        train = self.config.train
        every = self.mark("train.checkpoint_every", f"every {train.checkpoint_every:,} steps")
        metric = self.mark("train.metric", f"{METRICS.get(train.metric, train.metric)} on dev")
        if train.patience:
            end = self.mark("train.patience", f"training stops after {train.patience} without a better {metric}")
        else:
            end = self.mark("train.patience", f"no early stopping; the checkpoint with the best {metric} is kept")
        return f"patience: validation {every}; {end}"

    def length_limit(self) -> list[str]:
        """Describe how long a translation may be in a line; no line for the default."""
        search = self.config.search
        if search.max_length_addend == SearchConfig().max_length_addend:
            return []
        addend = self.mark("search.max_length_addend", f"{search.max_length_addend:,} tokens")
        because = "" if self.is_overridden("search.max_length_addend") else "; targets of the corpus are as long"
        factor = self.mark("search.max_length_factor", f"{search.max_length_factor:g}")
        return [f"length: a translation has at most {factor} times the tokens of its source and {addend}{because}"]

    def other_overrides(self) -> list[str]:
        """Return a line for each origin of overrides that no other line has shown."""
        table = to_table(self.config)
        values: dict[str, list[str]] = {}
        for key in sorted(self._origins.keys() - self._shown):
            values.setdefault(self._origins[key], []).append(f"{key}={_short(_value(table, key))}")
        return [f"also from {origin}: {', '.join(texts)}" for origin, texts in values.items()]


def _kind(name: str) -> str:
    return KINDS.get(name, f"{name} tokens")


def _value(table: Mapping[str, Mapping[str, object]], key: str) -> object:
    section, _, name = key.partition(".")
    return table.get(section, {}).get(name)


def _epochs(epochs: float) -> str:
    return "1 epoch" if round(epochs) == 1 else f"{epochs:.0f} epochs" if epochs >= 1 else f"{epochs:.2g} of an epoch"


def _short(value: object) -> str:
    """Return a string as it is, a list of equal items as `4 x [160, 3]`, and any other value as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and len(value) > 1 and all(item == value[0] for item in value):
        return f"{len(value)} x {json.dumps(value[0])}"
    return json.dumps(value, ensure_ascii=False)


def _size(tokenizer: TokenizerConfig) -> str:
    return ("" if tokenizer.kind in SUBWORDS else "at most ") + f"{tokenizer.vocabulary_size:,}"


def expected_vocabulary_sizes(tokenizer: TokenizerConfig) -> VocabularySizes:
    """Return the vocabulary sizes of a recipe: exact for subwords and bytes, otherwise the maximum."""
    kinds = tokenizer.kind, tokenizer.target
    source, target = (_expected_size(kind, tokenizer.vocabulary_size) for kind in kinds)
    if tokenizer.source_columns:
        own = [column for column in tokenizer.source_columns if not tokenizer.is_shared(column)]
        sizes = (_expected_size(column.kind, column.vocabulary_size or tokenizer.vocabulary_size) for column in own)
        first = target if tokenizer.joint else len(SPECIAL)
        source = first + 1 + sum(size - len(SPECIAL) for size in sizes)
        target = source if tokenizer.joint else target
    return VocabularySizes(source, target, tokenizer.joint)


def _expected_size(kind: str, size: int) -> int:
    return ByteTokenizer().size if kind == "byte" else size


def _parameters(config: RunConfig) -> str:
    kinds = {*config.tokenizer.source_kinds, config.tokenizer.target}
    count = count_parameters(config.model, expected_vocabulary_sizes(config.tokenizer))
    return ("" if kinds <= {*SUBWORDS, "byte"} else "at most ") + f"{count:,}"


def count_parameters(model: ModelConfig, sizes: VocabularySizes) -> int:
    """Return the number of parameters of a model, without allocating it."""
    return build_on_meta(model, sizes).num_parameters
