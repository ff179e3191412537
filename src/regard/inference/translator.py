"""A trained model put to work: text in, text out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, Unpack, overload

from torch import Tensor

from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.schema import SearchConfig
from regard.contract import Seq2Seq
from regard.data.batch import make_batch
from regard.decoding.ensemble import ensemble
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.interruptible import interruptible
from regard.decoding.scoring import score_targets
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import SearchInput, TokenConstraints, override_search, rows_per_sentence
from regard.decoding.strategies import search as search_for
from regard.errors import ConfigError, DataError, DecodingError
from regard.evaluation.degenerate_output import find_degeneration
from regard.inference.lines import Line, batches, numbered
from regard.inference.options import SearchOptions as SearchOptions
from regard.inference.options import TranslateOptions as TranslateOptions
from regard.inference.shortlist import load_shortlist
from regard.inference.translation import Constraints as Constraints
from regard.inference.translation import Translation as Translation
from regard.inference.translation import agreed, join
from regard.nn.inference import freeze_for_inference
from regard.runtime import choose_device, keep_freed_memory
from regard.special_tokens import EOS
from regard.text.emoji import EmojiFreeText, remove_unknown_emoji
from regard.text.segments import Division, Span, is_language, split_segments
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.words import WordMap
from regard.training.microbatches import is_out_of_memory

Precision = Literal["float32", "int8"]

WINDOW = 2000  # lines sorted by length at a time
BATCH_ROWS = 8192  # hypotheses that a batch's searches keep, at most
LONGEST = 512  # tokens in a segment, unless the run was trained on longer ones
SEVERAL = 0.2  # share of training sources with more than one sentence above which lines are not split


@dataclass(frozen=True)
class _Options:
    search: SearchConfig
    fallback: SearchConfig | None
    top_beams: int
    batch_size: int
    with_attention: bool
    division: Division


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
        several_sentences: float | None = None,
        longest: int = LONGEST,
    ) -> None:
        """several_sentences: the share of training sources that hold more than one; None: unknown.

        longest: how many source tokens a segment may have; longer ones are divided.
        """
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.search = search
        self.source_language = source_language
        self.target_language = target_language
        self.shortlist = shortlist
        self.several_sentences = several_sentences
        self.longest = longest
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", precision: Precision = "float32") -> Translator:
        """From a run (its best checkpoint) or a checkpoint; int8 is for a CPU. Raises CheckpointError, ConfigError."""
        checkpoint = load_checkpoint(resolve_checkpoint(Path(folder)))
        chosen = choose_device(device)
        if precision == "int8" and chosen.type != "cpu":
            raise ConfigError(f"int8 is for the CPU, and the device is {chosen.type}", fix="choose the device cpu")
        if chosen.type == "cpu":
            keep_freed_memory()
        model = freeze_for_inference(checkpoint.model.to(chosen), int8=precision == "int8")
        data = checkpoint.config.data
        return cls(
            model,
            checkpoint.tokenizers,
            checkpoint.config.search,
            source_language=data.source_language,
            target_language=data.target_language,
            shortlist=load_shortlist(Path(folder), checkpoint),
            several_sentences=checkpoint.several_sentences,
            longest=max(LONGEST, data.max_length),
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
            several_sentences=first.several_sentences,
            longest=min(member.longest for member in members),
        )

    def with_tags(self, tags: Sequence[str]) -> Translator:
        """The same model with these tags, say of a language, before each source. Raises ConfigError for others."""
        other = copy.copy(self)
        other.tokenizers = self.tokenizers.prepend_tags(tags)
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

    def division(self, split_sentences: bool | None = None) -> Division:
        """Return how a text is divided into segments: as asked, or as the run was trained.

        Lines are split into sentences unless the source language is unknown, or the run is `trained_on_several`.
        """
        if split_sentences is not None:
            return "sentences" if split_sentences else "whole"
        return "sentences" if is_language(self.source_language) and not self.trained_on_several else "lines"

    @property
    def trained_on_several(self) -> bool:
        """Return whether the run is known to have learned from segments of several sentences."""
        return self.several_sentences is not None and self.several_sentences > SEVERAL

    def segments(self, text: str, split_sentences: bool | None = None) -> list[Span]:
        """Return the spans of a text that are translated one at a time, each of at most `longest` tokens."""
        return split_segments(text, self.source_language, self.division(split_sentences), self.fits)

    def fits(self, text: str, tokenizer: Tokenizer | None = None) -> bool:
        """Return whether a text has at most `longest` tokens, of the source unless another tokenizer is given."""
        if len(text) > 100 * self.longest:
            return False
        tokens = (tokenizer or self.tokenizers.source).encode
        return len(text.encode()) < self.longest or len(tokens(text)) <= self.longest

    @overload
    def translate(self, text: str, **options: Unpack[TranslateOptions]) -> Translation: ...  # type: ignore[overload-overlap]
    @overload
    def translate(self, text: Iterable[str], **options: Unpack[TranslateOptions]) -> list[Translation]: ...
    def translate(
        self, text: str | Iterable[str], **options: Unpack[TranslateOptions]
    ) -> Translation | list[Translation]:
        """Translate one text, or each text of an iterable.

        Example:
            >>> translator = Translator.load("runs/de-en")
            >>> translator.translate("Ein Hund rennt.").text
            'A dog runs.'
            >>> best = translator.translate("Ein Hund rennt.", top_beams=3)
            >>> [(other.text, other.score) for other in best.alternatives]
            [('A dog is running.', -0.61), ('The dog runs.', -0.94)]

        Args:
            text: A string gives one `Translation`; an iterable of strings gives a list, in the same order.
            options: See `TranslateOptions` and `SearchOptions`.

        Returns:
            The best translation of each text. With `top_beams` above 1, its `alternatives` are the next best.

        Raises:
            DecodingError: If the options contradict each other, or if the search fails.
        """
        if isinstance(text, str):
            (translation,) = self.stream([text], **options)
            return translation
        return list(self.stream(text, **options))

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
        split_sentences: bool | None = None,
        **search: Unpack[SearchOptions],
    ) -> Iterator[Translation]:
        """Yield the translation of each line, in the order of the lines; its `alternatives` are the next best.

        Lines are read WINDOW at a time and sorted by length inside, so memory stays bounded. White space at the ends
        of a line is ignored; an empty line has one empty translation. The options are those of `TranslateOptions`;
        a beam of size 1 is greedy search. Raises DecodingError at the call for options that contradict each other.
        """
        config = self._settings(search, top_beams)
        if batch_size < 1:
            raise DecodingError("a batch holds at least one", fix="give a positive number")
        other = None if fallback is None else self._settings({**search, **fallback}, top_beams)
        division = self.division(split_sentences)
        options = _Options(config, other, top_beams, batch_size, with_attention, division)
        return self._stream(numbered(lines, constraints, first_line), options)

    def _settings(self, changes: SearchOptions, top_beams: int) -> SearchConfig:
        config = override_search(self.search, changes, top_beams)
        if config.shortlist and self.shortlist is None:
            raise DecodingError(
                "there is no shortlist in the folder that was loaded",
                fix="make one by `regard shortlist RUN`, and give the run's folder, not a checkpoint's",
            )
        return config

    def _stream(self, numbered: Iterator[Line], options: _Options) -> Iterator[Translation]:
        while window := list(islice(numbered, WINDOW)):
            divided = [self._divided(line, options) for line in window]
            parts = [part for _, some in divided for part in some]
            chunks = (parts[first : first + WINDOW] for first in range(0, len(parts), WINDOW))
            found = (one for chunk in chunks for one in self._searched(chunk, options))
            drawn = options.search.strategy == "sample"
            for line, (spans, some) in zip(window, divided, strict=True):
                own = list(islice(found, len(some)))
                best, *others = own[0] if len(own) == 1 else join(line.text, spans, own, options.top_beams, drawn=drawn)
                yield replace(best, alternatives=tuple(others)) if others else best

    def _divided(self, line: Line, options: _Options) -> tuple[list[Span], list[Line]]:
        spans = split_segments(line.text, self.source_language, options.division, self.fits)
        parts = line.parts(spans)
        if len(parts) == 1 and not self.fits(line.text):
            raise DecodingError(
                f"the line has more than {self.longest:,} tokens and cannot be divided, for its constraints",
                where=line.place,
                fix="divide the line, or leave its constraints out",
            )
        return spans, parts

    def _searched(self, lines: Sequence[Line], options: _Options) -> list[list[Translation]]:
        found = self._translate(lines, options.search, options)
        if options.fallback is not None:
            again = [place for place, translations in enumerate(found) if translations[0].marks]
            others = self._translate([lines[place] for place in again], options.fallback, options)
            for place, other in zip(again, others, strict=True):
                if len(other[0].marks) < len(found[place][0].marks):
                    found[place] = other
        return found

    def _translate(self, window: Sequence[Line], search: SearchConfig, options: _Options) -> list[list[Translation]]:
        phrases = [(*one.require, *one.forbid, one.prefix) for one in (line.constraints for line in window)]
        bare = [
            remove_unknown_emoji(line.text, self.tokenizers, some) for line, some in zip(window, phrases, strict=True)
        ]
        found: list[list[Translation]] = [[Translation(line.text, 0.0, 0.0)] for line in window]  # emoji, or nothing
        lines = [replace(line, text=one.text) for line, one in zip(window, bare, strict=True)]
        sentences = {place: self._sentence(line, search.seed) for place, line in enumerate(lines) if line.text}
        encoded = {place: list(sentence.source) for place, sentence in sentences.items()}
        size = min(options.batch_size, max(1, BATCH_ROWS // rows_per_sentence(search, options.top_beams)))
        for places in batches(encoded, size):
            results = self._search(
                [sentences[place] for place in places], [lines[place] for place in places], search, options
            )
            for place, hypotheses in zip(places, results, strict=True):
                texts = [self._as_text(bare[place], encoded[place], one) for one in hypotheses]
                found[place] = [agreed(texts, search)] if search.strategy == "mbr" else texts
        return found

    def _search(
        self, sentences: Sequence[SearchInput], lines: Sequence[Line], search: SearchConfig, options: _Options
    ) -> list[list[Hypothesis]]:
        """Search a batch; one that does not fit in memory is searched in halves. Raises DecodingError."""
        try:
            return search_for(
                self.model,
                sentences,
                search,
                top_beams=options.top_beams,
                with_attention=options.with_attention,
                shortlist=self.shortlist if search.shortlist else None,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if len(sentences) == 1:
            raise DecodingError(
                f"out of memory during search: {len(sentences[0].source):,} source tokens, "
                f"{rows_per_sentence(search, options.top_beams):,} hypotheses at a time",
                where=lines[0].place,
                fix="take a smaller beam_size (or samples, lookahead_width), or divide the line",
            )
        half = len(sentences) // 2
        first = self._search(sentences[:half], lines[:half], search, options)
        return first + self._search(sentences[half:], lines[half:], search, options)

    def _sentence(self, line: Line, seed: int) -> SearchInput:
        target, wished = self.tokenizers.target, line.constraints
        require, forbid = (
            tuple(tuple(target.encode(phrase)) for phrase in phrases if phrase.strip())
            for phrases in (wished.require, wished.forbid)
        )
        constraints = TokenConstraints(
            require, forbid, tuple(target.encode(wished.prefix)) if wished.prefix.strip() else ()
        )
        drawn = seed * 1_000_003 + line.number + line.part * 2_147_483_647
        return SearchInput(self.tokenizers.source.encode(line.text), constraints, drawn % 2**63)

    def _as_text(self, line: EmojiFreeText, source: list[int], hypothesis: Hypothesis) -> Translation:
        attention = None if hypothesis.attention is None else hypothesis.attention.float().cpu().numpy()
        links = (
            ()
            if attention is None
            else WordMap.from_ids(self.tokenizers, source, hypothesis.tokens).link_words(attention)
        )
        said = self.tokenizers.target.decode(hypothesis.tokens)
        text, alignment = line.restore(said, links)
        tokens = tuple(self.tokenizers.target.pieces(hypothesis.tokens))
        languages = self.source_language, self.target_language
        return Translation(
            text=text,
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=tokens,
            source_tokens=tuple(self.tokenizers.source.pieces([*source, EOS])),
            attention=attention,
            alignment=alignment,
            finished=hypothesis.finished,
            marks=find_degeneration(line.text, said, tokens, finished=hypothesis.finished, languages=languages),
            proved=hypothesis.proved,
            ids=tuple(hypothesis.tokens),
        )

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
            for places in batches(longer, batch_size):
                for place, value in zip(places, self._score([encoded[place] for place in places]), strict=True):
                    scores[place] = value
            yield from scores
            first += len(window)

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        batch = make_batch(pairs).to(self.device)
        scores: Tensor = score_targets(self.model, batch.source, batch.target_in, batch.target_out)
        return [float(value) for value in scores]


def _vocabularies(tokenizers: Tokenizers) -> list[tuple[str, list[str]]]:
    return [(side.kind, side.pieces(range(side.size))) for side in (tokenizers.source, tokenizers.target)]
