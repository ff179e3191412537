"""A trained model put to work: text in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.checkpoint import load_checkpoint
from regard.config import SearchConfig
from regard.contract import Seq2Seq
from regard.data.batch import batch_of, pad
from regard.decoding.beam import beam_search
from regard.decoding.greedy import greedy
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.penalties import gnmt
from regard.decoding.scoring import forced_scores
from regard.devices import choose_device
from regard.errors import ConfigError, DataError, DecodingError
from regard.nn.fixed import fixed
from regard.runfolder import resolve
from regard.symbols import EOS
from regard.text.tokenizer import Tokenizers
from regard.text.words import word_of_each

Precision = Literal["float32", "int8"]

WINDOW = 2000  # lines sorted by length at a time
BATCH_TOKENS = 8192  # of padded source in one batch at most, however many sentences were asked for


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text.

    score: what it is ranked by: log_probability (in nats, EOS included) over the length penalty.
    tokens, source_tokens: the written forms of the tokens; the source's end with its EOS.
    attention: (T, S) what each of T tokens (and the EOS behind them, where finished) looked at over S
        source tokens; None where it was not asked for or the model does not attend.
    alignment: pairs (source word, target word), counted from 0; empty without attention.
    finished: False where the length limit cut it.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...] = ()
    source_tokens: tuple[str, ...] = ()
    attention: NDArray[np.floating[Any]] | None = None
    alignment: tuple[tuple[int, int], ...] = ()
    finished: bool = True


@dataclass(frozen=True)
class _Options:
    beam_size: int
    top_beams: int
    alpha: float
    with_attention: bool


class Translator:
    """A model with its tokenizers."""

    def __init__(
        self, model: Seq2Seq, tokenizers: Tokenizers, search: SearchConfig, *, target_language: str = ""
    ) -> None:
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.search = search
        self.target_language = target_language
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", precision: Precision = "float32") -> Translator:
        """From a run (its best checkpoint) or a checkpoint; int8 is for a CPU. Raises CheckpointError, ConfigError."""
        checkpoint = load_checkpoint(resolve(Path(folder)))
        chosen = choose_device(device)
        if precision == "int8" and chosen.type != "cpu":
            raise ConfigError(f"int8 is for the CPU, and the device is {chosen.type}", fix="give --device cpu as well")
        model = fixed(checkpoint.model.to(chosen), int8=precision == "int8")
        language = checkpoint.config.data.target_language
        return cls(model, checkpoint.tokenizers, checkpoint.config.search, target_language=language)

    def translate(self, lines: Iterable[str], **options: Any) -> list[list[Translation]]:
        """All of `stream` at once: for each line its translations, best first."""
        return list(self.stream(lines, **options))

    def stream(
        self,
        lines: Iterable[str],
        *,
        beam_size: int | None = None,
        top_beams: int = 1,
        length_penalty: float | None = None,
        batch_size: int = 64,
        with_attention: bool = False,
    ) -> Iterator[list[Translation]]:
        """For each line at most `top_beams` translations, best first, in the order of the lines.

        Lines are read WINDOW at a time and sorted by length inside, so memory stays bounded. White space
        at their ends counts for nothing; a line without text has one translation without text.
        beam_size and length_penalty (GNMT's alpha) default to the recipe's; a beam of 1 is greedy
        search. Raises DecodingError, at once for options that do not go together.
        """
        beam_size = self.search.beam_size if beam_size is None else beam_size
        alpha = self.search.length_penalty if length_penalty is None else length_penalty
        if beam_size < 1 or batch_size < 1:
            raise DecodingError("a beam and a batch hold at least one", fix="give a positive number")
        if not 1 <= top_beams <= beam_size:
            raise DecodingError(
                f"top_beams is {top_beams} and beam_size {beam_size}", fix="let 1 <= top_beams <= beam_size"
            )
        return self._stream(lines, batch_size, _Options(beam_size, top_beams, alpha, with_attention))

    def _stream(self, lines: Iterable[str], batch_size: int, options: _Options) -> Iterator[list[Translation]]:
        remaining = iter(lines)
        while window := [line.strip() for line in islice(remaining, WINDOW)]:
            found: list[list[Translation]] = [[Translation("", 0.0, 0.0)] for _ in window]
            encoded = {place: self.tokenizers.source.encode(line) for place, line in enumerate(window) if line}
            for places in _batches(encoded, batch_size):
                results = self._search([encoded[place] for place in places], options)
                for place, hypotheses in zip(places, results, strict=True):
                    found[place] = [self._as_text(encoded[place], hypothesis) for hypothesis in hypotheses]
            yield from found

    def _search(self, sources: Sequence[list[int]], options: _Options) -> list[list[Hypothesis]]:
        decoder, penalty = self.model.decoder, gnmt(options.alpha)
        limits = [length_limit(len(source)) for source in sources]
        with torch.inference_mode():
            memory = self.model.encode(pad(sources, last=EOS).to(self.device))
        if options.beam_size == 1:
            hypotheses = greedy(decoder, memory, limits, penalty=penalty, with_attention=options.with_attention)
            return [[hypothesis] for hypothesis in hypotheses]
        return beam_search(
            decoder,
            memory,
            limits,
            beam_size=options.beam_size,
            top_beams=options.top_beams,
            penalty=penalty,
            with_attention=options.with_attention,
        )

    def _as_text(self, source: list[int], hypothesis: Hypothesis) -> Translation:
        attention = None if hypothesis.attention is None else hypothesis.attention.float().cpu().numpy()
        return Translation(
            text=self.tokenizers.target.decode(hypothesis.tokens),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=tuple(self.tokenizers.target.pieces(hypothesis.tokens)),
            source_tokens=tuple(self.tokenizers.source.pieces([*source, EOS])),
            attention=attention,
            alignment=() if attention is None else self._align(source, hypothesis.tokens, attention),
            finished=hypothesis.finished,
        )

    def _align(
        self, source: Sequence[int], target: Sequence[int], attention: NDArray[np.floating[Any]]
    ) -> tuple[tuple[int, int], ...]:
        """Each target word with the source word that its tokens together looked at most, EOS left out."""
        if not source or not target:
            return ()
        source_words = np.array(word_of_each(self.tokenizers.source, source))
        target_words = np.array(word_of_each(self.tokenizers.target, target))
        weights = np.zeros((target_words.max() + 1, source_words.max() + 1))
        np.add.at(
            weights, (target_words[:, None], source_words[None, :]), attention[: len(target_words), : len(source_words)]
        )
        said = sorted(set(target_words.tolist()))
        return tuple((int(weights[word].argmax()), word) for word in said)

    def score(self, pairs: Iterable[tuple[str, str]], *, batch_size: int = 64) -> Iterator[float]:
        """For each (source, target) the log-probability of the target, EOS included, in nats; in order.

        Raises DataError where a source has no text.
        """
        remaining = iter(pairs)
        first = 1
        while window := list(islice(remaining, WINDOW)):
            encoded: dict[int, tuple[list[int], list[int]]] = {}
            for place, (source, target) in enumerate(window):
                source, target = source.strip(), target.strip()
                if not source:
                    raise DataError(
                        "there is no source to score a target by", where=f"pair {first + place}", fix="leave it out"
                    )
                encoded[place] = (self.tokenizers.source.encode(source), self.tokenizers.target.encode(target))
            scores = [0.0] * len(window)
            longer = {place: max(sides, key=len) for place, sides in encoded.items()}
            for places in _batches(longer, batch_size):
                for place, value in zip(places, self._score([encoded[place] for place in places]), strict=True):
                    scores[place] = value
            yield from scores
            first += len(window)

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        batch = batch_of(pairs).to(self.device)
        scores: Tensor = forced_scores(self.model, batch.source, batch.target_in, batch.target_out)
        return [float(value) for value in scores]


def length_limit(source_length: int) -> int:
    """How many tokens a translation may have: twice the source's and fifty more."""
    return 2 * source_length + 50


def _batches(encoded: dict[int, list[int]], batch_size: int) -> Iterator[list[int]]:
    """Places of like lengths together, at most batch_size of them and BATCH_TOKENS padded tokens, longest first.

    Their order is by what stands there, so that the same lines in another order make the same batches.
    """
    batch: list[int] = []
    for place in sorted(encoded, key=lambda place: (-len(encoded[place]), encoded[place])):
        longest = len(encoded[batch[0]]) + 1 if batch else 0
        if len(batch) == batch_size or (len(batch) + 1) * longest > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
