"""A plugin with something of every kind, for the tests of plugins. It is loaded as a file, and never imported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor, nn

from regard.config.names import NameOf
from regard.config.schema import ModelConfig
from regard.contract import Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.sides import Sides
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.strategies import STRATEGIES, Batch, Strategy
from regard.models import Architecture
from regard.nn.attention import SCORES, Annotations
from regard.nn.output_layer import OutputLayerDecoder
from regard.plugins import Plugin
from regard.special_tokens import EOS, SPECIAL, UNK


class NegativeDistance(nn.Module):
    """An attention score: the negative squared distance of a projected query to a key."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, key_size)

    def project(self, keys: Tensor) -> Tensor:
        return keys

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        differences: Tensor = self.query(queries).unsqueeze(2) - projected.unsqueeze(1)  # (N, T, S, D)
        return -differences.square().mean(-1)  # (N, T, S)


class Config(ModelConfig):
    architecture: Literal["bag_of_words"] = "bag_of_words"
    hidden_size: int = 16
    score: Annotated[str, NameOf("scores")] = "distance"


class BagOfWords(Encoder):
    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, config.hidden_size)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        words = self.embedding(tokens)  # (B, S, D)
        return Memory(words, words, mask)


@dataclass(frozen=True)
class LastWord(State):
    source: Annotations


class LastWordDecoder(OutputLayerDecoder[LastWord]):
    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size, size = vocabulary_size, config.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, size)
        self.score = SCORES[config.score](size, size)
        self.output = nn.Linear(2 * size, vocabulary_size)

    def init_state(self, memory: Memory) -> LastWord:
        return LastWord(Annotations.of(memory, self.score))

    def advance(self, tokens: Tensor, state: LastWord, *, with_attention: bool = False) -> StepFeatures[LastWord]:
        word = self.embedding(tokens)  # (N, D)
        context, weights = state.source.attend(word, self.score)
        return StepFeatures(torch.cat((word, context), -1), state, weights if with_attention else None)


def build(config: Config, sizes: VocabularySizes) -> Seq2Seq:
    return Seq2Seq(BagOfWords(config, sizes.source), LastWordDecoder(config, sizes.target))


class Digits:
    """A tokenizer of digits and spaces."""

    kind = "digits"
    alphabet = "0123456789 "
    size = len(SPECIAL) + len(alphabet)

    @classmethod
    def train(cls, sentences: Sequence[str], size: int) -> Self:
        return cls()

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        assert json.loads((folder / f"{name}.digits.json").read_text()) == cls.alphabet
        return cls()

    def save(self, folder: Path, name: str) -> None:
        (folder / f"{name}.digits.json").write_text(json.dumps(self.alphabet))

    def encode(self, text: str) -> list[int]:
        return [len(SPECIAL) + self.alphabet.index(letter) if letter in self.alphabet else UNK for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.alphabet[id - len(SPECIAL)] for id in ids if id > EOS)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [[*SPECIAL, *self.alphabet][id] for id in ids]


def widest_beam(batch: Batch) -> list[list[Hypothesis]]:
    """Beam search with twice the beam."""
    config = batch.config.model_copy(update={"beam_size": 2 * batch.config.beam_size})
    return STRATEGIES["beam"].search(replace(batch, config=config))


def read_arrows(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Read lines such as `12 -> 21`."""
    for number, line in enumerate(read_lines(path), start=1):
        source, arrow, target = line.partition(" -> ")
        yield Pair(source, target, number) if arrow else Skipped("there is no arrow", number)


def same_length(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the percentage of hypotheses that are as long as their references."""
    pairs: Any = zip(hypotheses, references, strict=True)
    return 100 * sum(len(hypothesis) == len(reference) for hypothesis, reference in pairs) / len(references)


plugin = Plugin(
    architectures={"bag_of_words": Architecture(Config, build, {"small": Config}, "tests")},
    scores={"distance": NegativeDistance},
    tokenizers={"digits": Digits},
    searches={"wide": Strategy(widest_beam, has_processors=True)},
    formats={".arrows": read_arrows},
    metrics={"same_length": same_length},
)
