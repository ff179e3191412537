"""What training begins from where a recipe has a [start]: another run's weights and its vocabulary, kept or extended.

A vocabulary is never learned anew here: the rows of the embeddings would belong to other tokens. All that training
needs of the other run is copied into the new one's data, which can then be resumed without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.recipe import to_table
from regard.config.schema import RunConfig, StartConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.corpus.corpus import Corpus
from regard.data.store import PairStore
from regard.errors import ConfigError, DataError
from regard.models import ARCHITECTURES, build_model
from regard.nn.rows import copy_with_new_rows
from regard.special_tokens import UNK
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.extend import ExtendedTokenizer, extend_tokenizers
from regard.tokenizers.subword import SPACE

STARTED = "start"  # in a run's data: a checkpoint of what it begins with
FREE = ("model.dropout",)  # what training may have otherwise than the run it begins from
MANY_MORE = 1.3  # times the pieces a word of the text that the vocabulary was learned from
MANY_UNKNOWN = 0.01  # of all tokens

SUBWORDS = ("unigram", "bpe", "marian")
EXTENDED_BY = "give its frequent words tokens of their own by --extend-vocabulary (start.new_tokens)"

Ids = NDArray[np.integer[Any]]
Sides = tuple[Ids, Ids]  # of tokens: all sources end to end, and all targets

LANGUAGES = ("source_language", "target_language")


def complete(table: dict[str, Any]) -> None:
    """Give a recipe's table what it leaves out of [model], [tokenizer] and the languages: that of its [start].

    A [model] that names a preset is left as it is. Raises CheckpointError where the start cannot be read.
    """
    start = table.get("start")
    sections = [table.get(name, {}) for name in ("model", "tokenizer", "data")]
    if not isinstance(start, dict) or not isinstance(start.get("checkpoint"), str):
        return  # parse_config says what is wrong with it
    if not all(isinstance(section, dict) for section in sections) or _whole(*sections):
        return
    model, tokenizer, data = sections
    theirs = to_table(load_checkpoint(resolve_checkpoint(Path(start["checkpoint"]))).config)
    alike = model.get("architecture", theirs["model"]["architecture"]) == theirs["model"]["architecture"]
    if alike and "preset" not in model:
        table["model"] = {**theirs["model"], **model}
    table["tokenizer"] = {**theirs["tokenizer"], **tokenizer}
    table["data"] = {**{name: theirs["data"][name] for name in LANGUAGES}, **data}


def _whole(model: Mapping[str, Any], tokenizer: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether there is nothing to be added, as in the recipe of a run."""
    known = ARCHITECTURES.get(str(model.get("architecture")))
    keys = TokenizerConfig.model_fields.keys() - tokenizer.keys() | set(LANGUAGES) - data.keys()
    return known is not None and not (keys or known.config.model_fields.keys() - model.keys())


def settled(config: RunConfig) -> RunConfig:
    """The same recipe with the very checkpoint that its [start] means. Raises CheckpointError where it means none."""
    if config.start is None:
        return config
    checkpoint = str(resolve_checkpoint(Path(config.start.checkpoint)).resolve())
    return config.model_copy(update={"start": config.start.model_copy(update={"checkpoint": checkpoint})})


@dataclass(frozen=True)
class TakenUp:
    """Tokenizers to go on with; learned_from: what the checkpoint was trained on, where that still lies beside it."""

    tokenizers: Tokenizers
    learned_from: Sides | None

    def fit(self, store: PairStore) -> str:
        """How well the vocabulary suits new pairs, in a sentence."""
        both = self.tokenizers.source, self.tokenizers.target
        found = [_Fit.of(tokenizer, ids) for tokenizer, ids in zip(both, _tokens(store), strict=True)]
        before: list[_Fit | None] = [None, None]
        if self.learned_from is not None:
            before = [_Fit.of(tokenizer, ids) for tokenizer, ids in zip(both, self.learned_from, strict=True)]
        told = [f"{side} {one.tell(was)}" for side, one, was in zip(("source", "target"), found, before, strict=True)]
        if not any(one.bad(was) for one, was in zip(found, before, strict=True)):
            return f"vocabulary: {'; '.join(told)}"
        can = self.tokenizers.source.kind not in ("byte", "marian")
        return f"vocabulary: it knows this text badly: {'; '.join(told)}" + (f"; {EXTENDED_BY}" if can else "")


@dataclass(frozen=True)
class _Fit:
    """How a tokenizer cuts some text.

    pieces: tokens a word; not a number where a word has no pieces. unknown: the share of tokens that stand for what
    the vocabulary lacks: UNK, or the bytes of a character.
    """

    pieces: float
    unknown: float

    @classmethod
    def of(cls, tokenizer: Tokenizer, ids: Ids) -> _Fit:
        written = tokenizer.pieces(range(tokenizer.size))
        subwords = tokenizer.kind in SUBWORDS
        words = int(np.array([subwords and piece.startswith(SPACE) for piece in written])[ids].sum())
        lacking = np.array([subwords and re.fullmatch("<0x..>", piece) is not None for piece in written])
        lacking[UNK] = True
        return cls(len(ids) / words if words else math.nan, float(lacking[ids].mean()) if len(ids) else 0.0)

    def tell(self, before: _Fit | None) -> str:
        unknown = f"{self.unknown:.2%} of the tokens unknown"
        if math.isnan(self.pieces):
            return unknown
        then = "" if before is None else f" ({before.pieces:.2f} in what it was trained on)"
        return f"{self.pieces:.2f} pieces a word{then}, {unknown}"

    def bad(self, before: _Fit | None) -> bool:
        cut = before is not None and self.pieces > MANY_MORE * before.pieces
        return cut or self.unknown > MANY_UNKNOWN


def take_up(config: RunConfig, start: StartConfig, corpus: Corpus, folder: Path, say: Callable[[str], None]) -> TakenUp:
    """Read the checkpoint of a [start], extend its vocabulary by the corpus if asked to, and write it to `folder`.

    Raises ConfigError where the recipe wants another model or tokenizer than the checkpoint has.
    """
    place = resolve_checkpoint(Path(start.checkpoint))
    old = load_checkpoint(place)
    _refuse_other(config, old.config, place)
    new, told = old, "its vocabulary is kept as it is"
    if start.new_tokens:
        new, told = _extended(old, corpus, start.new_tokens)
    say(f"start: {place}, step {old.step:,}; {told}")
    save_checkpoint(folder, replace(new, config=config, step=0, metrics={}))
    return TakenUp(new.tokenizers, _learned_from(place, old))


def _extended(old: Checkpoint, corpus: Corpus, most: int) -> tuple[Checkpoint, str]:
    """The same with more tokens, and what they are."""
    source, target = extend_tokenizers(old.tokenizers, corpus, most)
    tokenizers = Tokenizers(source.tokenizer, target.tokenizer, old.tokenizers.joint)
    with torch.random.fork_rng(devices=[]):  # the fresh weights are thrown away: draw nothing for them
        model = build_model(
            old.config.model, VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)
        )
    copy_with_new_rows(old.model, model, {"encoder": source.parts, "decoder": target.parts})
    told = _some(source) if tokenizers.joint else f"{_some(source)} of the source, {_some(target)} of the target"
    return replace(old, tokenizers=tokenizers, model=model), f"its vocabulary is extended by {told}"


def _refuse_other(config: RunConfig, theirs: RunConfig, place: Path) -> None:
    wanted, there = _flat(config), _flat(theirs)
    other = [
        f"{key} is {wanted.get(key)!r} in the recipe and {there.get(key)!r} there"
        for key in sorted(wanted.keys() | there.keys())
        if wanted.get(key) != there.get(key) and key not in FREE
    ]
    if other:
        raise ConfigError(
            f"the recipe wants another system than it is to start from: {'; '.join(other[:4])}",
            where=place,
            fix="leave these keys out of the recipe, or train from the beginning: without --from, without [start]",
        )


def _flat(config: RunConfig) -> dict[str, Any]:
    table = to_table(config)
    return {f"{section}.{key}": value for section in ("model", "tokenizer") for key, value in table[section].items()}


def _some(extended: ExtendedTokenizer, most: int = 8) -> str:
    """`500 tokens (▁Mann, ...)`."""
    size, new = extended.tokenizer.size, len(extended.parts)
    pieces = extended.tokenizer.pieces(range(size - new, min(size, size - new + most)))
    shown = f" ({' '.join(pieces)}{' ...' if new > most else ''})" if new else ""
    return f"{new:,} {'token' if new == 1 else 'tokens'}{shown}"


def _learned_from(place: Path, old: Checkpoint) -> Sides | None:
    try:
        store = PairStore.open(place.parent.parent / "data", "train")
    except DataError:
        return None
    if store.fingerprint != old.data:
        return None
    sizes = old.tokenizers.source.size, old.tokenizers.target.size
    sides = _tokens(store)
    whole = all(ids.max(initial=0) < size for ids, size in zip(sides, sizes, strict=True))
    return sides if whole else None  # one that is damaged


def _tokens(store: PairStore, most: int = 100_000) -> Sides:
    """Of the first pairs, if there are so many."""
    chosen = range(min(most, len(store)))
    sources, targets = ([side(index) for index in chosen] for side in (store.source, store.target))
    return np.concatenate(sources), np.concatenate(targets)
