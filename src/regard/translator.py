"""A trained model put to work: text in, text out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from regard.allocator import keep_freed_memory
from regard.checkpoint import load_checkpoint
from regard.config import SearchConfig
from regard.contract import Seq2Seq
from regard.data.batch import batch_of
from regard.decoding.ensemble import ensemble
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.interruptible import interruptible
from regard.decoding.scoring import forced_scores
from regard.decoding.shortlist import Shortlist
from regard.devices import choose_device
from regard.errors import ConfigError, DataError, DecodingError
from regard.evaluation.consensus import least_risk
from regard.evaluation.marks import marks
from regard.nn.fixed import fixed
from regard.runfolder import resolve
from regard.search import Sentence, Wish
from regard.search import search as search_for
from regard.shortlist import load_shortlist
from regard.symbols import EOS
from regard.text.tokenizer import Tokenizers
from regard.text.words import Link, Words

Precision = Literal["float32", "int8"]

WINDOW = 2000  # lines sorted by length at a time
BATCH_TOKENS = 8192  # of padded source in one batch at most, however many sentences were asked for


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text.

    score: what it is ranked by: log_probability (in nats, EOS included) over the length penalty.
    tokens, source_tokens: the written forms of the tokens; the source's end with its EOS. ids: those of `tokens`.
    attention: (T, S) what each of T tokens (and the EOS behind them, where finished) looked at over S
        source tokens; None where it was not asked for or the model does not attend.
    alignment: pairs (source word, target word), counted from 0; empty without attention.
    finished: False where the length limit cut it.
    marks: what tells that it has gone wrong (see regard.evaluation.marks); mostly none.
    proved: of exact search, whether the model scores no other translation higher; False where exact_steps were too
        few to tell. None of any other search.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...] = ()
    source_tokens: tuple[str, ...] = ()
    attention: NDArray[np.floating[Any]] | None = None
    alignment: tuple[tuple[int, int], ...] = ()
    finished: bool = True
    marks: tuple[str, ...] = ()
    proved: bool | None = None
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Constraints:
    """What one line's translation must and must not have in it, and how it begins, as text."""

    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    prefix: str = ""


class SearchOptions(TypedDict, total=False):
    """Keys of a recipe's [search], to be other than they are there."""

    strategy: str
    beam_size: int
    length_penalty: float
    length_norm: str
    max_length_factor: float
    max_length_addend: int
    allow_empty: bool
    coverage_penalty: float
    no_repeat: int
    groups: int
    diversity: float
    lookahead_depth: int
    lookahead_width: int
    exact_steps: int
    candidates: str
    samples: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    shortlist: bool


@dataclass(frozen=True)
class _Options:
    search: SearchConfig
    fallback: SearchConfig | None
    top_beams: int
    batch_size: int
    with_attention: bool


@dataclass(frozen=True)
class _Line:
    number: int  # from 0
    text: str
    constraints: Constraints


class Translator:
    """A model with its tokenizers."""

    def __init__(
        self,
        model: Seq2Seq,
        tokenizers: Tokenizers,
        search: SearchConfig,
        *,
        source_language: str = "",
        target_language: str = "",
        shortlist: Shortlist | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.search = search
        self.source_language = source_language
        self.target_language = target_language
        self.shortlist = shortlist
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", precision: Precision = "float32") -> Translator:
        """From a run (its best checkpoint) or a checkpoint; int8 is for a CPU. Raises CheckpointError, ConfigError."""
        checkpoint = load_checkpoint(resolve(Path(folder)))
        chosen = choose_device(device)
        if precision == "int8" and chosen.type != "cpu":
            raise ConfigError(f"int8 is for the CPU, and the device is {chosen.type}", fix="give --device cpu as well")
        if chosen.type == "cpu":
            keep_freed_memory()
        model = fixed(checkpoint.model.to(chosen), int8=precision == "int8")
        data = checkpoint.config.data
        return cls(
            model,
            checkpoint.tokenizers,
            checkpoint.config.search,
            source_language=data.source_language,
            target_language=data.target_language,
            shortlist=load_shortlist(Path(folder), checkpoint),
        )

    @classmethod
    def load_ensemble(
        cls, folders: Sequence[str | Path], device: str = "auto", precision: Precision = "float32"
    ) -> Translator:
        """Several as one, by the mean of their probabilities; the first one's [search] and shortlist count.

        Raises CheckpointError, and DecodingError where their tokenizers differ.
        """
        members = [cls.load(folder, device, precision) for folder in folders]
        first = members[0]
        for folder, member in zip(folders, members, strict=True):
            if _vocabularies(member.tokenizers) != _vocabularies(first.tokenizers):
                raise DecodingError(
                    f"its tokenizers are others than those of {folders[0]}",
                    where=folder,
                    fix="choose models that were trained with the same ones",
                )
        together = ensemble([member.model for member in members])
        return cls(
            together,
            first.tokenizers,
            first.search,
            source_language=first.source_language,
            target_language=first.target_language,
            shortlist=first.shortlist,
        )

    def with_tags(self, tags: Sequence[str]) -> Translator:
        """The same model with these tags, say of a language, before each source. Raises ConfigError for others."""
        other = copy.copy(self)
        other.tokenizers = self.tokenizers.before(tags)
        return other

    def with_search(self, **changes: Unpack[SearchOptions]) -> Translator:
        """The same model with these keys of its [search] changed. Raises DecodingError."""
        other = copy.copy(self)
        other.search = self._settings(changes, 1)
        return other

    def interruptible(self, check: Callable[[], None]) -> Translator:
        """The same model; `check` is called before each step of a search, and what it raises ends it."""
        other = copy.copy(self)
        other.model = interruptible(self.model, check)
        return other

    def translate(self, lines: Iterable[str], **options: Any) -> list[list[Translation]]:
        """All of `stream` at once: for each line its translations, best first."""
        return list(self.stream(lines, **options))

    def stream(
        self,
        lines: Iterable[str],
        *,
        top_beams: int = 1,
        batch_size: int = 64,
        with_attention: bool = False,
        constraints: Iterable[Constraints] | None = None,
        fallback: SearchOptions | None = None,
        first_line: int = 0,
        **search: Unpack[SearchOptions],
    ) -> Iterator[list[Translation]]:
        """For each line at most `top_beams` translations, best first, in the order of the lines.

        Lines are read WINDOW at a time and sorted by length inside, so memory stays bounded. White space
        at their ends counts for nothing; a line without text has one translation without text.
        search: what is to be other than in the recipe's [search], as `beam_size` and `length_penalty`; a beam
        of 1 is greedy search. constraints: one for each line. fallback: how a line is searched again whose best
        translation has marks; what has fewer is kept. first_line: the number of the first, for draws.
        Raises DecodingError, at once for options that do not go together.
        """
        config = self._settings(search, top_beams)
        if batch_size < 1:
            raise DecodingError("a batch holds at least one", fix="give a positive number")
        other = None if fallback is None else self._settings({**search, **fallback}, top_beams)
        options = _Options(config, other, top_beams, batch_size, with_attention)
        return self._stream(_numbered(lines, constraints, first_line), options)

    def _settings(self, changes: SearchOptions, top_beams: int) -> SearchConfig:
        given = {key: value for key, value in changes.items() if value is not None}
        try:
            config = SearchConfig.model_validate({**self.search.model_dump(), **given})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = ".".join(str(part) for part in first["loc"]) or "search"
            raise DecodingError(f"{what}: {first['msg']}", fix="give a value that it can have") from None
        if config.shortlist and self.shortlist is None:
            raise DecodingError(
                "there is no shortlist in the folder that was loaded",
                fix="make one by `regard shortlist RUN`, and give the run's folder, not a checkpoint's",
            )
        most = {"lookahead": 1, "exact": 1, "mbr": 1, "sample": top_beams}.get(config.strategy, config.beam_size)
        if not 1 <= top_beams <= most:
            raise DecodingError(
                f"top_beams is {top_beams}, where {config.strategy} search finds {most}",
                fix=f"let 1 <= top_beams <= {most}" + (", or make beam_size larger" if most > 1 else ""),
            )
        return config

    def _stream(self, numbered: Iterator[_Line], options: _Options) -> Iterator[list[Translation]]:
        while window := list(islice(numbered, WINDOW)):
            found = self._translate(window, options.search, options)
            if options.fallback is not None:
                again = [place for place, translations in enumerate(found) if translations[0].marks]
                others = self._translate([window[place] for place in again], options.fallback, options)
                for place, other in zip(again, others, strict=True):
                    if len(other[0].marks) < len(found[place][0].marks):
                        found[place] = other
            yield from found

    def _translate(self, window: Sequence[_Line], search: SearchConfig, options: _Options) -> list[list[Translation]]:
        found: list[list[Translation]] = [[Translation("", 0.0, 0.0)] for _ in window]
        sentences = {place: self._sentence(line, search.seed) for place, line in enumerate(window) if line.text}
        encoded = {place: list(sentence.source) for place, sentence in sentences.items()}
        for places in _batches(encoded, options.batch_size):
            results = search_for(
                self.model,
                [sentences[place] for place in places],
                search,
                top_beams=options.top_beams,
                with_attention=options.with_attention,
                shortlist=self.shortlist if search.shortlist else None,
            )
            for place, hypotheses in zip(places, results, strict=True):
                texts = [self._as_text(window[place].text, encoded[place], one) for one in hypotheses]
                found[place] = [_agreed(texts, search)] if search.strategy == "mbr" else texts
        return found

    def _sentence(self, line: _Line, seed: int) -> Sentence:
        target, wished = self.tokenizers.target, line.constraints
        require, forbid = (
            tuple(tuple(target.encode(phrase)) for phrase in phrases if phrase.strip())
            for phrases in (wished.require, wished.forbid)
        )
        wish = Wish(require, forbid, tuple(target.encode(wished.prefix)) if wished.prefix.strip() else ())
        return Sentence(self.tokenizers.source.encode(line.text), wish, (seed * 1_000_003 + line.number) % 2**63)

    def _as_text(self, line: str, source: list[int], hypothesis: Hypothesis) -> Translation:
        attention = None if hypothesis.attention is None else hypothesis.attention.float().cpu().numpy()
        text = self.tokenizers.target.decode(hypothesis.tokens)
        tokens = tuple(self.tokenizers.target.pieces(hypothesis.tokens))
        return Translation(
            text=text,
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=tokens,
            source_tokens=tuple(self.tokenizers.source.pieces([*source, EOS])),
            attention=attention,
            alignment=() if attention is None else self._links(source, hypothesis.tokens, attention),
            finished=hypothesis.finished,
            marks=marks(line, text, tokens, finished=hypothesis.finished),
            proved=hypothesis.proved,
            ids=tuple(hypothesis.tokens),
        )

    def _links(
        self, source: Sequence[int], target: Sequence[int], attention: NDArray[np.floating[Any]]
    ) -> tuple[Link, ...]:
        return Words.of(self.tokenizers, source, target).links(attention)

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


def _agreed(candidates: Sequence[Translation], search: SearchConfig) -> Translation:
    """The candidate of least risk: draws count alike, what a beam found by its probability.

    What the length limit cut is no candidate of a beam, unless there is no other.
    """
    if search.candidates == "samples":
        return candidates[least_risk([one.text for one in candidates])]
    listed = [one for one in candidates if one.finished] or candidates
    if len(listed) == 1:  # it may have no probability at all
        return listed[0]
    most = max(one.log_probability for one in listed)
    weights = [math.exp(one.log_probability - most) for one in listed]
    return listed[least_risk([one.text for one in listed], weights)]


def _vocabularies(tokenizers: Tokenizers) -> list[tuple[str, list[str]]]:
    return [(side.kind, side.pieces(range(side.size))) for side in (tokenizers.source, tokenizers.target)]


def _numbered(lines: Iterable[str], constraints: Iterable[Constraints] | None, first: int) -> Iterator[_Line]:
    wishes = repeat(Constraints()) if constraints is None else iter(constraints)
    for number, text in enumerate(lines, start=first):
        wished = next(wishes, None)
        if wished is None:
            raise DecodingError(
                f"there are constraints for {number:,} lines and more lines than that", fix="give them for every line"
            )
        yield _Line(number, text.strip(), wished)


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
