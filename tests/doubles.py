"""Test doubles: a decoder with scripted logits and a tiny recurrent model.

In shapes, B is the number of sentences, N the number of rows, S the source length, T the target length and V the size
of the target vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard.contract import Decoder, Encoder, Memory, PerSource, Search, Seq2Seq, State, StepFeatures, expand_to_rows
from regard.nn.kernels import native
from regard.special_tokens import EOS
from regard.testing.searching import Prefix as Prefix
from regard.testing.searching import brute_force as brute_force
from regard.testing.sequences import as_batch as as_batch
from regard.testing.sequences import start_with_bos as start_with_bos

Script = Callable[[int, Prefix], Sequence[float]]
"""Maps the number of a sentence and its prefix, without BOS, to the logits of the next token (V)."""


@dataclass(frozen=True)
class ScriptedSource(PerSource):
    """The numbers of the sentences, and the mask of their source tokens."""

    number: Tensor  # (B,)
    mask: Tensor  # (B, S)


@dataclass(frozen=True)
class ScriptedState(State):
    """The sources, and the tokens fed so far."""

    source: ScriptedSource
    fed: Tensor  # (N, t), BOS first


class ScriptedDecoder(Decoder[ScriptedState]):
    """A decoder whose logits come from a script.

    After token i, all attention is on source position i.

    Attributes:
        script: The script.
        rows: The number of rows of each step.
    """

    def __init__(self, script: Script, vocabulary: int) -> None:
        super().__init__()
        self.script = script
        self.vocabulary_size = vocabulary
        self.rows: list[int] = []

    def init_state(self, memory: Memory) -> ScriptedState:
        source = ScriptedSource(memory.keys[:, 0, 0].long(), memory.mask)
        return ScriptedState(source, source.number.new_zeros(len(source.number), 0))

    def advance(
        self, tokens: Tensor, state: ScriptedState, *, with_attention: bool = False
    ) -> StepFeatures[ScriptedState]:
        fed = torch.cat((state.fed, tokens[:, None]), 1)
        self.rows.append(len(tokens))
        logits = [
            self.script(number, tuple(prefix[1:]))
            for number, prefix in zip(expand_to_rows(state.source.number, len(fed)).tolist(), fed.tolist(), strict=True)
        ]
        attention = None
        if with_attention:
            attention = nn.functional.one_hot(tokens, state.source.mask.shape[1]).double()
        return StepFeatures(torch.tensor(logits, dtype=torch.float64), ScriptedState(state.source, fed), attention)

    def readout(self, features: Tensor) -> Tensor:
        return features


def scripted_memory(lengths: Sequence[int]) -> Memory:
    """Return the memory of one sentence for each length; its keys and values hold the number of the sentence."""
    width = max(lengths)
    numbers = torch.arange(len(lengths)).double()[:, None, None].expand(-1, width, 1)
    return Memory(numbers, numbers, torch.arange(width) < torch.tensor(lengths)[:, None])


def table_script(table: Mapping[Prefix, Mapping[int, float]], vocabulary: int) -> Script:
    """Return a script that looks up the probabilities of the next tokens by prefix.

    Tokens that an entry lacks have probability 0. A prefix that the table lacks ends with EOS: it has probability 0,
    but unused rows of a beam may still ask for it.
    """

    def script(_: int, prefix: Prefix) -> list[float]:
        row = table.get(prefix, {EOS: 1.0})
        return [math.log(row[token]) if row.get(token) else -math.inf for token in range(vocabulary)]

    return script


def random_script(seed: int, vocabulary: int, scale: float = 2.0) -> Script:
    """Return a script of random logits, normal with standard deviation `scale`, for each sentence and prefix."""
    cache: dict[tuple[int, Prefix], list[float]] = {}

    def script(sentence: int, prefix: Prefix) -> list[float]:
        key = (sentence, prefix)
        if key not in cache:
            number = seed
            for part in (sentence, *prefix):
                number = (number * 1000003 + part + 17) % (2**31 - 1)
            generator = torch.Generator().manual_seed(number)
            logits: list[float] = (scale * torch.randn(vocabulary, generator=generator, dtype=torch.float64)).tolist()
            cache[key] = logits
        return cache[key]

    return script


class TinyEncoder(Encoder):
    """Embeds the source; its final state is the mean of the embeddings."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        embedded = self.embedding(tokens) * mask[:, :, None]
        return Memory(embedded, embedded, mask, (embedded.sum(1) / mask.sum(1, keepdim=True),))


@dataclass(frozen=True)
class TinyState(State):
    """The source, and the hidden state (N, width)."""

    memory: Memory
    hidden: Tensor


class TinyDecoder(Decoder[TinyState]):
    """A GRU that attends to the source by dot products."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.embedding = nn.Embedding(vocabulary, width)
        self.cell = nn.GRUCell(2 * width, width)
        self.output = nn.Linear(2 * width, vocabulary)

    def init_state(self, memory: Memory) -> TinyState:
        return TinyState(memory, memory.final[0])

    def advance(self, tokens: Tensor, state: TinyState, *, with_attention: bool = False) -> StepFeatures[TinyState]:
        keys, values, mask = (
            expand_to_rows(part, len(tokens)) for part in (state.memory.keys, state.memory.values, state.memory.mask)
        )
        scores = (keys @ state.hidden[:, :, None]).squeeze(2)
        weights = scores.masked_fill(~mask, -math.inf).softmax(1)
        context = (weights[:, None] @ values).squeeze(1)
        hidden = self.cell(torch.cat((self.embedding(tokens), context), 1), state.hidden)
        features = torch.cat((hidden, context), 1)
        return StepFeatures(features, TinyState(state.memory, hidden), weights if with_attention else None)

    def readout(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(features)
        return logits


def tiny_model(seed: int = 1, *, source: int = 9, target: int = 8, width: int = 6) -> Seq2Seq:
    """Return a recurrent model with attention in float64, whose large weights give peaked distributions."""
    model = Seq2Seq(TinyEncoder(source, width), TinyDecoder(target, width)).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


class WatchedSearch(Search):
    """A search that calls `before` before each step."""

    def __init__(self, search: Search, before: Callable[[], None]) -> None:
        self.search, self.before = search, before

    def step(self, tokens: Tensor) -> Tensor:
        self.before()
        return self.search.step(tokens)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        self.search.select(rows, sentences)


def watch_steps(decoder: Decoder[Any], before: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `before` before each step of a search with the decoder."""
    start, advance = decoder.start_search, decoder.advance

    def advance_watched(*arguments: Any, **options: Any) -> Any:
        before()
        return advance(*arguments, **options)

    if native.library() is None:  # the search calls `advance`
        monkeypatch.setattr(decoder, "advance", advance_watched)
    else:
        monkeypatch.setattr(decoder, "start_search", lambda memory: WatchedSearch(start(memory), before))
