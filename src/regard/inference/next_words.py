"""The words that can follow the beginning of a translation, with their probabilities.

A word is often several tokens. The most probable beginnings of words are extended token by token; a word ends where the
next token is white space, punctuation or the end of the sentence, and its probability includes that of this end.
Spellings of a word by different tokens are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.data.batch import pad
from regard.decoding.next_tokens import log_probabilities
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS, UNK
from regard.text.capitals import to_upper
from regard.text.model_input import prepare_input
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.words import TokenKind, encode_prefix, token_kinds

if TYPE_CHECKING:
    from regard.inference.translator import Translator

MAX_WORD_TOKENS = 48  # longer words are left out
MIN_ROWS = 16  # beginnings of words that are extended at a time, at least


@dataclass(frozen=True)
class NextWord:
    """A word that can follow.

    Attributes:
        text: The word; empty for the end of the sentence.
        probability: Among all that can follow.
        prefix: The beginning of the translation with the word.
    """

    text: str
    probability: float
    prefix: str

    def in_capitals(self, language: str) -> NextWord:
        """Return the word for a translation in capitals."""
        return replace(self, text=to_upper(self.text, language), prefix=to_upper(self.prefix, language))


@dataclass
class _Word:
    log_probability: float
    ids: tuple[int, ...]

    def add(self, log_probability: float, ids: tuple[int, ...]) -> None:
        """Add another spelling."""
        if log_probability > self.log_probability:
            self.ids = ids
        highest, lowest = sorted((self.log_probability, log_probability), reverse=True)
        self.log_probability = highest + math.log1p(math.exp(lowest - highest))


@torch.inference_mode()
def next_words(translator: Translator, source: str, prefix: str, count: int) -> list[NextWord]:
    """Return the `count` most probable words after the beginning of a translation, most probable first.

    Args:
        translator: The model and its tokenizers.
        source: The sentence that is translated.
        prefix: The beginning of the translation. With white space at its end a new word follows; without, its last
            word may be continued.
        count: The number of words; fewer are returned if the model gives all others a probability of zero.

    Raises:
        DecodingError: The source has no tokens, the vocabulary lacks a part of the prefix, or the model's scores are
            not finite.
    """
    source, languages = source.strip(), (translator.source_language, translator.target_language)
    prepared = prepare_input(source, translator.tokenizers, (prefix,), languages)
    tokens = prepared.encode()
    if not tokens:
        raise DecodingError("there is no source to translate", fix="give a sentence")
    target = translator.tokenizers.target
    ids, not_next = encode_prefix(target, prepared.phrase(prefix))
    decoder, device = translator.model.decoder, translator.device
    state = decoder.init_state(translator.model.encode(pad([tokens], last=EOS).to(device)))
    for token in (BOS, *ids):
        out = decoder.step(torch.tensor([token], device=device), state)
        state = out.state
    scores = log_probabilities(out.logits, len(ids) + 1)
    scores[:, [UNK, *not_next]] = -math.inf
    scores -= scores.logsumexp(1, keepdim=True)
    search = _WordSearch(target, ids, count, device)
    beginnings = search.start(scores)
    for step in range(MAX_WORD_TOKENS):
        if not beginnings or search.is_complete(beginnings):
            break
        rows = torch.tensor([row for row, _, _ in beginnings], device=device)
        last = torch.tensor([path[-1] for _, path, _ in beginnings], device=device)
        out = decoder.step(last, state.select(rows))
        state = out.state
        beginnings = search.extend(beginnings, log_probabilities(out.logits, len(ids) + step + 2))
    words = search.best()
    if not prepared.capitals:
        return words
    language = translator.target_language
    return [
        NextWord(to_upper(word.text, language), word.probability, to_upper(word.prefix, language)) for word in words
    ]


_Beginning = tuple[int, tuple[int, ...], float]  # row of the decoder's state, tokens, log-probability


class _WordSearch:
    """The words found, and the beginnings of further ones."""

    def __init__(self, tokenizer: Tokenizer, prefix: Sequence[int], count: int, device: Any) -> None:
        self._tokenizer = tokenizer
        self._prefix = tuple(prefix)
        self._before = tokenizer.decode(prefix)
        self._count = count
        self._rows = max(MIN_ROWS, 2 * count)
        kinds = torch.from_numpy(token_kinds(tokenizer)).to(device)
        self._is_inside, self._is_space = kinds.eq(TokenKind.INSIDE), kinds.eq(TokenKind.SPACE)
        self._words: dict[str, _Word] = {}

    def start(self, scores: Tensor) -> list[_Beginning]:
        """Return the most probable first tokens, given the log-probabilities (1, V) of all."""
        self._add((), float(scores[0, EOS]))
        scores[:, EOS] = -math.inf
        return self._best_of(scores, [((), 0.0)])

    def extend(self, beginnings: Sequence[_Beginning], scores: Tensor) -> list[_Beginning]:
        """Add the words that are complete, and return the best longer beginnings.

        Args:
            beginnings: N beginnings.
            scores: (N, V) the log-probabilities of their next tokens.
        """
        scores[:, UNK] = -math.inf
        ends = scores.masked_fill(self._is_inside, -math.inf).logsumexp(1).tolist()
        for row, (_, path, log_probability) in enumerate(beginnings):
            if self._text(path):
                self._add(path, log_probability + ends[row])
                scores[row, ~self._is_inside] = -math.inf
            else:  # white space only
                scores[row, self._is_space] = -math.inf
        return self._best_of(scores, [(path, total) for _, path, total in beginnings])

    def is_complete(self, beginnings: Sequence[_Beginning]) -> bool:
        """Return whether no beginning can become one of the best words."""
        scores = sorted((word.log_probability for word in self._words.values()), reverse=True)
        return len(scores) >= self._count and scores[self._count - 1] > max(total for _, _, total in beginnings)

    def best(self) -> list[NextWord]:
        """Return the best words."""
        ranked = sorted(self._words.items(), key=lambda item: -item[1].log_probability)[: self._count]
        return [
            NextWord(text, math.exp(word.log_probability), self._tokenizer.decode([*self._prefix, *word.ids]))
            for text, word in ranked
        ]

    def _add(self, path: tuple[int, ...], log_probability: float) -> None:
        if not math.isfinite(log_probability):
            return
        text = self._text(path)
        if text in self._words:
            self._words[text].add(log_probability, path)
        else:
            self._words[text] = _Word(log_probability, path)

    def _text(self, path: tuple[int, ...]) -> str:
        return self._tokenizer.decode([*self._prefix, *path])[len(self._before) :].strip()

    def _best_of(self, scores: Tensor, paths: Sequence[tuple[tuple[int, ...], float]]) -> list[_Beginning]:
        totals = scores + torch.tensor([[total] for _, total in paths], device=scores.device)
        values, places = totals.flatten().topk(min(self._rows, totals.numel()))
        width = scores.shape[1]
        return [
            (place // width, (*paths[place // width][0], place % width), value)
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
            if math.isfinite(value)
        ]
