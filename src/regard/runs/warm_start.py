"""Fine-tuning: start from the weights and the vocabulary of another run, kept as it is or extended.

The vocabulary is never learned again, because each row of an embedding belongs to one token. Everything that training
needs of the other run is copied into the `data` folder of the new one, so it can be resumed without the other run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, vocabulary_sizes
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.migrations import current_key
from regard.config.recipe import to_table
from regard.config.schema import RunConfig, StartConfig, TokenizerConfig
from regard.console import Say
from regard.corpus.corpus import Corpus
from regard.data.store import PairStore
from regard.errors import ConfigError, DataError
from regard.models import ARCHITECTURES, build_model
from regard.nn.rows import copy_with_new_rows
from regard.special_tokens import UNK
from regard.terms.tagging import MARKERS, has_markers
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.extend import ExtendedTokenizer, extend_tokenizers
from regard.tokenizers.subword import SPACE
from regard.tokenizers.tagged import TaggedTokenizer

STARTED = "start"  # folder in a run's data: a checkpoint with the initial weights
CHANGEABLE_KEYS = ("model.dropout",)  # keys of [model] and [tokenizer] that may differ from the other run
MAX_PIECES_RATIO = 1.3  # with this many times the pieces per word of its training text, a vocabulary fits poorly
MAX_UNKNOWN_SHARE = 0.01  # with a larger share of unknown tokens, a vocabulary fits poorly
FIT_PAIRS = 100_000  # the fit of a vocabulary is measured on this many first pairs
SHOWN_PIECES = 8  # new tokens that a message shows

SUBWORDS = ("unigram", "bpe", "marian")
LANGUAGES = ("source_language", "target_language")

Ids = NDArray[np.integer[Any]]
SideIds = tuple[Ids, Ids]  # all source tokens, all target tokens; (tokens,) each


def fill_from_start(table: dict[str, Any]) -> None:
    """Fill keys of [model], [tokenizer] and the languages that a recipe leaves out with those of its [start].

    A [model] that names a preset is not filled. Keys that it has by an old name are not left out (see
    regard.config.migrations). Raise CheckpointError if the checkpoint of [start] cannot be read.
    """
    start = table.get("start")
    sections = [table.get(name, {}) for name in ("model", "tokenizer", "data")]
    if not isinstance(start, dict) or not isinstance(start.get("checkpoint"), str):
        return  # parse_config reports the error
    if not all(isinstance(section, dict) for section in sections) or _is_complete(*sections):
        return
    model, tokenizer, data = sections
    old = to_table(load_checkpoint(resolve_checkpoint(Path(start["checkpoint"]))).config)
    architecture = old["model"]["architecture"]
    if model.get("architecture", architecture) == architecture and "preset" not in model:
        present = {current_key("model", key, architecture) for key in model}
        table["model"] = {key: value for key, value in old["model"].items() if key not in present} | model
    table["tokenizer"] = {**old["tokenizer"], **tokenizer}
    table["data"] = {**{name: old["data"][name] for name in LANGUAGES}, **data}


def _is_complete(model: Mapping[str, Any], tokenizer: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Return whether no key is left out, as in the recipe that a run has written."""
    architecture = ARCHITECTURES.get(str(model.get("architecture")))
    missing = TokenizerConfig.model_fields.keys() - tokenizer.keys() | set(LANGUAGES) - data.keys()
    return architecture is not None and not (missing or architecture.config.model_fields.keys() - model.keys())


def resolve_start(config: RunConfig) -> RunConfig:
    """Return the recipe with the exact checkpoint that [start] means. Raise CheckpointError if there is none."""
    if config.start is None:
        return config
    checkpoint = str(resolve_checkpoint(Path(config.start.checkpoint)).resolve())
    return config.model_copy(update={"start": config.start.model_copy(update={"checkpoint": checkpoint})})


@dataclass(frozen=True)
class WarmStart:
    """What training takes from another run.

    Attributes:
        tokenizers: The other run's tokenizers, extended if the recipe asks for it.
        trained_on: Tokens that the checkpoint was trained on; None if its data is no longer next to it.
    """

    tokenizers: Tokenizers
    trained_on: SideIds | None

    def describe_fit(self, store: PairStore) -> str:
        """Return a sentence on how well the vocabulary fits new pairs, compared with those it was trained on."""
        new = self._measure_fit(_tokens(store))
        old: list[VocabularyFit | None] = [None, None]
        if self.trained_on is not None:
            old = [*self._measure_fit(self.trained_on)]
        sides = "; ".join(
            f"{side} {fit.describe(old_fit)}" for side, fit, old_fit in zip(("source", "target"), new, old, strict=True)
        )
        if not any(fit.is_poor(old_fit) for fit, old_fit in zip(new, old, strict=True)):
            return f"vocabulary: {sides}"
        can_extend = self.tokenizers.source.kind in ("unigram", "bpe", "character", "word", "pattern")
        advice = "; add tokens for frequent words with start.new_tokens" if can_extend else ""
        return f"vocabulary: it fits this text poorly: {sides}{advice}"

    def _measure_fit(self, sides: SideIds) -> list[VocabularyFit]:
        tokenizers = self.tokenizers.source, self.tokenizers.target
        return [VocabularyFit.measure(tokenizer, ids) for tokenizer, ids in zip(tokenizers, sides, strict=True)]


@dataclass(frozen=True)
class VocabularyFit:
    """How a tokenizer splits some text.

    Attributes:
        pieces_per_word: Tokens per word; NaN if words have no pieces.
        unknown_share: Share of tokens for text that the vocabulary lacks: UNK, or the bytes of a character.
    """

    pieces_per_word: float
    unknown_share: float

    @classmethod
    def measure(cls, tokenizer: Tokenizer, ids: Ids) -> VocabularyFit:
        """Measure the fit on tokens of a text, (tokens,)."""
        pieces = tokenizer.pieces(range(tokenizer.size))
        is_subword = tokenizer.kind in SUBWORDS
        words = int(np.array([is_subword and piece.startswith(SPACE) for piece in pieces])[ids].sum())
        is_unknown = np.array([is_subword and re.fullmatch("<0x..>", piece) is not None for piece in pieces])  # (V,)
        is_unknown[UNK] = True
        return cls(len(ids) / words if words else math.nan, float(is_unknown[ids].mean()) if len(ids) else 0.0)

    def describe(self, old: VocabularyFit | None) -> str:
        """Return for example `1.52 pieces per word (1.31 in its training text), 0.02% of the tokens unknown`."""
        unknown = f"{self.unknown_share:.2%} of the tokens unknown"
        if math.isnan(self.pieces_per_word):
            return unknown
        comparison = "" if old is None else f" ({old.pieces_per_word:.2f} in its training text)"
        return f"{self.pieces_per_word:.2f} pieces per word{comparison}, {unknown}"

    def is_poor(self, old: VocabularyFit | None) -> bool:
        """Return whether there are many more pieces per word than in the training text, or many unknown tokens."""
        has_more_pieces = old is not None and self.pieces_per_word > MAX_PIECES_RATIO * old.pieces_per_word
        return has_more_pieces or self.unknown_share > MAX_UNKNOWN_SHARE


def load_warm_start(config: RunConfig, start: StartConfig, corpus: Corpus, folder: Path, say: Say) -> WarmStart:
    """Load the checkpoint of a [start], extend its vocabulary if the recipe asks for it, and save it to `folder`.

    Args:
        config: The recipe of the new run.
        start: Its [start] section.
        corpus: The new training corpus, from which new tokens are taken.
        folder: Where the initial checkpoint of the new run is written.
        say: Prints a line.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        ConfigError: The recipe has another model or tokenizer than the checkpoint.
    """
    path = resolve_checkpoint(Path(start.checkpoint))
    old = load_checkpoint(path)
    _check_compatible(config, old.config, path)
    new, change = old, "its vocabulary is kept"
    if start.new_tokens:
        new, change = _extend_vocabulary(old, corpus, start.new_tokens)
    if config.train.terms and not has_markers(new.tokenizers):
        new = _add_markers(new)
    say(f"start: {path}, step {old.step:,}; {change}")
    save_checkpoint(folder, replace(new, config=config, step=0, metrics={}))
    return WarmStart(new.tokenizers, _load_training_tokens(path, old))


def _extend_vocabulary(old: Checkpoint, corpus: Corpus, max_tokens: int) -> tuple[Checkpoint, str]:
    """Return the checkpoint with more tokens, and a phrase that says which."""
    source, target = extend_tokenizers(old.tokenizers, corpus, max_tokens)
    tokenizers = Tokenizers(source.tokenizer, target.tokenizer, old.tokenizers.joint)
    with torch.random.fork_rng(devices=[]):  # all weights are overwritten: leave the random numbers of training alone
        model = build_model(old.config.model, vocabulary_sizes(tokenizers))
    copy_with_new_rows(old.model, model, {"encoder": source.parts, "decoder": target.parts})
    tokens = _describe_new_tokens(source)
    if not tokenizers.joint:
        tokens = f"{tokens} of the source, {_describe_new_tokens(target)} of the target"
    return replace(old, tokenizers=tokenizers, model=model), f"its vocabulary is extended by {tokens}"


def _add_markers(old: Checkpoint) -> Checkpoint:
    """Return the checkpoint with tokens for the tags of terms."""
    tags = old.tokenizers.source.tags if isinstance(old.tokenizers.source, TaggedTokenizer) else ()
    tokenizers = old.tokenizers.without_tags().with_tags([*tags, *MARKERS])
    with torch.random.fork_rng(devices=[]):
        model = build_model(old.config.model, vocabulary_sizes(tokenizers))
    copy_with_new_rows(old.model, model, {side: [[] for _ in MARKERS] for side in ("encoder", "decoder")})
    return replace(old, tokenizers=tokenizers, model=model)


def _check_compatible(config: RunConfig, old: RunConfig, path: Path) -> None:
    new_values, old_values = _flatten(config), _flatten(old)
    differences = [
        f"{key} is {new_values.get(key)!r} in the recipe and {old_values.get(key)!r} in the checkpoint"
        for key in sorted(new_values.keys() | old_values.keys())
        if new_values.get(key) != old_values.get(key) and key not in CHANGEABLE_KEYS
    ]
    if differences:
        raise ConfigError(
            f"the recipe does not match the checkpoint that it starts from: {'; '.join(differences[:4])}",
            where=path,
            fix="leave these keys out of the recipe, or train from scratch, without [start]",
        )


def _flatten(config: RunConfig) -> dict[str, Any]:
    """Return `section.key` to value of [model] and [tokenizer]."""
    table = to_table(config)
    return {f"{section}.{key}": value for section in ("model", "tokenizer") for key, value in table[section].items()}


def _describe_new_tokens(extended: ExtendedTokenizer) -> str:
    """Return for example `500 tokens (▁Mann ▁Frau ...)`."""
    size, new = extended.tokenizer.size, len(extended.parts)
    pieces = extended.tokenizer.pieces(range(size - new, min(size, size - new + SHOWN_PIECES)))
    shown = f" ({' '.join(pieces)}{' ...' if new > SHOWN_PIECES else ''})" if new else ""
    return f"{new:,} {'token' if new == 1 else 'tokens'}{shown}"


def _load_training_tokens(checkpoint: Path, contents: Checkpoint) -> SideIds | None:
    """Return tokens that a checkpoint was trained on, from the data of its run; None if they are missing or damaged."""
    try:
        store = PairStore.open(checkpoint.parent.parent / "data", "train")
    except DataError:
        return None
    if store.fingerprint != contents.data:
        return None
    sizes = contents.tokenizers.source.size, contents.tokenizers.target.size
    sides = _tokens(store)
    is_valid = all(ids.max(initial=0) < size for ids, size in zip(sides, sizes, strict=True))
    return sides if is_valid else None


def _tokens(store: PairStore) -> SideIds:
    """Return the tokens of the first FIT_PAIRS pairs."""
    indices = range(min(FIT_PAIRS, len(store)))
    sources, targets = ([side(index) for index in indices] for side in (store.source, store.target))
    return np.concatenate(sources), np.concatenate(targets)
