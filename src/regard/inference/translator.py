"""Translate text with a trained model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
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
from regard.decoding.interruptible import interruptible
from regard.decoding.scoring import score_targets
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import override_search, rows_per_sentence
from regard.errors import ConfigError, DataError, DecodingError
from regard.inference.batch_search import search_batch
from regard.inference.column_sources import check_columns, column_segments
from regard.inference.confidence import ConfidenceModel, add_confidence, not_calibrated, try_load_confidence, withhold
from regard.inference.hypotheses import read_hypotheses, search_input, tag_source
from regard.inference.lines import Line, batch_lines, number_lines
from regard.inference.mbr import select_translation
from regard.inference.options import ResolvedOptions, refuse_unknown, resolve_options
from regard.inference.options import SearchOptions as SearchOptions
from regard.inference.options import TranslateOptions as TranslateOptions
from regard.inference.second_search import search_with_fallback
from regard.inference.shortlist import load_shortlist
from regard.inference.term_rivals import forbid_rivals
from regard.inference.terms import RunTerms, search_with_terms
from regard.inference.translation import Constraints as Constraints
from regard.inference.translation import Translation as Translation
from regard.inference.translation import join
from regard.nn.inference import freeze_for_inference
from regard.runtime import choose_device, keep_freed_memory
from regard.text.model_input import ModelInput, prepare_input
from regard.text.segments import Division, Span, is_language, split_segments
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.columns import count_columns

Precision = Literal["float32", "int8"]

WINDOW = 2000  # lines sorted by length at a time
BATCH_ROWS = 8192  # the most hypotheses that the searches of a batch keep
LONGEST = 512  # tokens in a segment, unless the run was trained on longer ones
SEVERAL = 0.2  # share of training sources with more than one sentence above which lines are not split


class Translator:
    """A trained model with its tokenizers, ready to translate."""

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
        """Create a translator from its parts; usually you call `Translator.load` instead.

        Args:
            model: The model, on the device where it will run.
            tokenizers: Its tokenizers.
            search: The default search options.
            several_sentences: The share of training sources with more than one sentence; None: unknown.
            longest: The most source tokens in a segment; longer ones are divided.
        """
        self.model = model.eval()
        self.tokenizers = tokenizers
        self.search = search
        self.source_language = source_language
        self.target_language = target_language
        self.shortlist = shortlist
        self.several_sentences = several_sentences
        self.longest = longest
        self.num_parameters = model.num_parameters
        self.terms = RunTerms(tokenizers)
        self.confidence: ConfidenceModel | None = None  # set by `load`
        self.confidence_error: DecodingError | None = None  # why `confidence` is None, if it is damaged
        self.device = next(model.parameters()).device

    @classmethod
    def load(
        cls, folder: str | Path, device: str = "auto", precision: Precision = "float32", *, with_confidence: bool = True
    ) -> Translator:
        """Load the best checkpoint of a run, or a checkpoint; `with_confidence` says whether to load its confidence.

        A damaged confidence.json is a warning. Translating with confidence then raises DecodingError.
        Raises CheckpointError if it cannot be loaded, and ConfigError for int8 on another device than the CPU.
        """
        path = resolve_checkpoint(Path(folder))
        checkpoint = load_checkpoint(path)
        chosen = choose_device(device)
        if precision == "int8" and chosen.type != "cpu":
            raise ConfigError(f"int8 needs the CPU, but the device is {chosen.type}", fix="set device to cpu")
        if chosen.type == "cpu":
            keep_freed_memory()
        num_parameters = checkpoint.model.num_parameters
        model = freeze_for_inference(checkpoint.model.to(chosen), int8=precision == "int8")
        data = checkpoint.config.data
        translator = cls(
            model,
            checkpoint.tokenizers,
            checkpoint.config.search,
            source_language=data.source_language,
            target_language=data.target_language,
            shortlist=load_shortlist(Path(folder), checkpoint),
            several_sentences=checkpoint.several_sentences,
            longest=max(LONGEST, data.max_length),
        )
        languages = data.source_language, data.target_language
        translator.terms = RunTerms.load(Path(folder), path, checkpoint.tokenizers, checkpoint.data, languages)
        if with_confidence:
            translator.confidence, translator.confidence_error = try_load_confidence(path)
        translator.num_parameters = num_parameters  # a model that is frozen for inference has fewer
        return translator

    @classmethod
    def load_ensemble(
        cls, folders: Sequence[str | Path], device: str = "auto", precision: Precision = "float32"
    ) -> Translator:
        """Load several models and average their probabilities.

        The [search], the shortlist and the confidence are those of the first.

        Raises CheckpointError if one cannot be loaded, and DecodingError if their tokenizers differ.
        """
        members = [cls.load(folder, device, precision) for folder in folders]
        first = members[0]
        for folder, member in zip(folders, members, strict=True):
            if _vocabularies(member.tokenizers) != _vocabularies(first.tokenizers):
                raise DecodingError(
                    f"its tokenizers differ from those of {folders[0]}",
                    where=folder,
                    fix="choose models that were trained with the same tokenizers",
                )
        combined = cls(
            ensemble([member.model for member in members]),
            first.tokenizers,
            first.search,
            source_language=first.source_language,
            target_language=first.target_language,
            shortlist=first.shortlist,
            several_sentences=first.several_sentences,
            longest=min(member.longest for member in members),
        )
        combined.terms = first.terms
        combined.confidence, combined.confidence_error = first.confidence, first.confidence_error
        combined.num_parameters = sum(member.num_parameters for member in members)
        return combined

    def __repr__(self) -> str:
        languages = f"{self.source_language or '?'} to {self.target_language or '?'}"
        return f"<Translator: {languages}, {self.num_parameters:,} parameters, on {self.device}>"

    def with_tags(self, tags: Sequence[str]) -> Translator:
        """Return a translator that puts these tags, such as a language, before each source.

        Raises ConfigError if the model does not know a tag.
        """
        translator = copy.copy(self)
        translator.tokenizers = self.tokenizers.prepend_tags(tags)
        return translator

    def with_search(self, **changes: Unpack[SearchOptions]) -> Translator:
        """Return a translator with other default search options. Raises ConfigError and DecodingError."""
        translator = copy.copy(self)
        translator.search = self._settings(changes, 1)
        return translator

    def interruptible(self, check: Callable[[], None]) -> Translator:
        """Return a translator that calls `check` before each step of a search. An exception from it ends the search."""
        translator = copy.copy(self)
        translator.model = interruptible(self.model, check)
        return translator

    def prepare(self, text: str) -> ModelInput:
        """Return what the model reads for a sentence: without emoji and capitals that its vocabulary lacks."""
        return prepare_input(text.strip(), self.tokenizers, languages=(self.source_language, self.target_language))

    def division(self, split_sentences: bool | None = None) -> Division:
        """Return how a text is divided into segments; None: as suits the training data.

        Lines are then split into sentences unless the source language is unknown or the run is `trained_on_several`.
        A line with several columns is always one segment.
        """
        if self.num_columns > 1:
            return "lines"
        if split_sentences is not None:
            return "sentences" if split_sentences else "whole"
        return "sentences" if is_language(self.source_language) and not self.trained_on_several else "lines"

    @property
    def trained_on_several(self) -> bool:
        """Return whether many training sources had several sentences."""
        return self.several_sentences is not None and self.several_sentences > SEVERAL

    @property
    def num_columns(self) -> int:
        """Return the number of columns of a source, with a tab between them; 1 for plain text."""
        return count_columns(self.tokenizers.source)

    def segments(self, text: str, split_sentences: bool | None = None) -> list[Span]:
        """Return the spans of the segments of a text, each of at most `longest` tokens. See column_segments."""
        return self._segments(text, self.division(split_sentences), "")

    def _segments(self, text: str, division: Division, place: str) -> list[Span]:
        if self.num_columns > 1:
            return column_segments(text, self.num_columns, self.fits, place)
        return split_segments(text, self.source_language, division, self.fits)

    def fits(self, text: str, tokenizer: Tokenizer | None = None) -> bool:
        """Return whether a text has at most `longest` tokens, of the source or of another tokenizer."""
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

    def stream(self, lines: Iterable[str], **options: Unpack[TranslateOptions]) -> Iterator[Translation]:
        """Yield the translation of each line, in the order of the lines; its `alternatives` are the next best.

        Lines are read WINDOW at a time and sorted by length inside, so memory stays bounded. White space at the ends
        of a line is ignored; an empty line has one empty translation. A beam of size 1 is greedy search. Raises
        DecodingError at the call for options that contradict each other.
        """
        refuse_unknown(options)
        constraints, first_line = options.pop("constraints", None), options.pop("first_line", 0)
        terms = partial(self.terms.resolve, languages=(self.source_language, self.target_language))
        resolved = resolve_options(options, self._settings, self.division, terms)
        if resolved.with_confidence and self.confidence is None:
            raise self.confidence_error or not_calibrated()
        return self._stream(number_lines(lines, constraints, first_line), resolved)

    def _settings(self, changes: SearchOptions, top_beams: int) -> SearchConfig:
        config = override_search(self.search, changes, top_beams)
        if config.shortlist and self.shortlist is None:
            raise DecodingError(
                "the model has no shortlist",
                fix="make one with `regard shortlist RUN`, and load the run's folder instead of a checkpoint's",
            )
        return config

    def _stream(self, lines: Iterator[Line], options: ResolvedOptions) -> Iterator[Translation]:
        drawn = options.search.strategy == "sample"
        while window := list(islice(lines, WINDOW)):
            divided = [self._divide(line, options) for line in window]
            parts = [part for _, line_parts in divided for part in line_parts]
            chunks = (parts[first : first + WINDOW] for first in range(0, len(parts), WINDOW))
            searched = (n_best for chunk in chunks for n_best in self._search_with_fallback(chunk, options))
            results = (
                withhold(part.text, n_best, options.min_confidence)
                for part, n_best in zip(parts, searched, strict=True)
            )
            for line, (spans, line_parts) in zip(window, divided, strict=True):
                segments = list(islice(results, len(line_parts)))
                n_best = segments[0]
                if len(segments) > 1:
                    n_best = join(line.text, spans, segments, options.top_beams, drawn=drawn)
                best, *alternatives = n_best
                yield replace(best, alternatives=tuple(alternatives)) if alternatives else best

    def _divide(self, line: Line, options: ResolvedOptions) -> tuple[list[Span], list[Line]]:
        spans = self._segments(line.text, options.division, line.place)
        parts = line.parts(spans)
        if len(parts) == 1 and not self.fits(line.text):
            raise DecodingError(
                f"the line has more than {self.longest:,} tokens and cannot be divided because of its constraints",
                where=line.place,
                fix="divide the line, or leave its constraints out",
            )
        return spans, parts

    def _search_with_fallback(self, lines: Sequence[Line], options: ResolvedOptions) -> list[list[Translation]]:
        languages = self.source_language, self.target_language
        lines = [self.terms.add(line, options.terms) for line in lines]
        return search_with_fallback(
            lambda part, settings: self._search_with_terms(part, settings, options), lines, options, languages
        )

    def _search_with_terms(
        self, lines: Sequence[Line], search: SearchConfig, options: ResolvedOptions
    ) -> list[list[Translation]]:
        languages = self.source_language, self.target_language
        search_lines = partial(self._search_lines, options=options)
        forbid = partial(forbid_rivals, self.model, self.tokenizers, self.terms, languages)
        return search_with_terms(search_lines, forbid, lines, search, options.terms, options.top_beams)

    def _search_lines(
        self, window: Sequence[Line], search: SearchConfig, options: ResolvedOptions
    ) -> list[list[Translation]]:
        """Return the n-best list of each line, in batches of lines of similar length."""
        languages = self.source_language, self.target_language
        results = [[Translation(line.text, 0.0, 0.0)] for line in window]  # of lines without words
        prepared = [line.prepare(self.tokenizers, languages) for line in window]
        lines, texts = [line for line, _ in prepared], [text for _, text in prepared]
        model = self.tokenizers, self.terms
        sources = {place: tag_source(line, *model) for place, line in enumerate(lines) if line.text}
        inputs = {place: search_input(lines[place], source, *model, search.seed) for place, source in sources.items()}
        encoded = {place: list(sentence.source) for place, sentence in inputs.items()}
        size = min(options.batch_size, max(1, BATCH_ROWS // rows_per_sentence(search, options.top_beams)))
        for places in batch_lines(encoded, size):
            batch = search_batch(
                self.model,
                [inputs[place] for place in places],
                [lines[place].place for place in places],
                search,
                top_beams=options.top_beams,
                with_attention=options.with_attention or any(lines[place].removed for place in places),
                shortlist=self.shortlist if search.shortlist else None,
            )
            for place, hypotheses in zip(places, batch, strict=True):
                n_best = read_hypotheses(hypotheses, sources[place], texts[place], self.tokenizers)
                results[place] = [select_translation(n_best, search)] if search.strategy == "mbr" else n_best
        if options.with_confidence and self.confidence is not None:
            add_confidence(results, encoded, self.confidence, self.model, self.tokenizers.target)
        return results

    def score(self, pairs: Iterable[tuple[str, str]], *, batch_size: int = 64) -> Iterator[float]:
        """Yield the log-probability of the target of each (source, target) pair, EOS included, in nats.

        Raises DataError if a source is empty, and DecodingError if it has another number of columns than expected.
        """
        remaining = iter(pairs)
        first = 1
        while window := list(islice(remaining, WINDOW)):
            encoded: dict[int, tuple[list[int], list[int]]] = {}
            for place, (source, target) in enumerate(window):
                source, target = source.strip(), target.strip()
                if not source:
                    raise DataError("the source is empty", where=f"pair {first + place}", fix="leave the pair out")
                check_columns(source, self.num_columns, f"pair {first + place}")
                encoded[place] = (self.tokenizers.source.encode(source), self.tokenizers.target.encode(target))
            scores = [0.0] * len(window)
            longer = {place: max(sides, key=len) for place, sides in encoded.items()}
            for places in batch_lines(longer, batch_size):
                for place, value in zip(places, self._score([encoded[place] for place in places]), strict=True):
                    scores[place] = value
            yield from scores
            first += len(window)

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        batch = make_batch(pairs).to(self.device)
        scores: Tensor = score_targets(self.model, batch.source, batch.target_in, batch.target_out)
        return [float(value) for value in scores]


load = Translator.load


def _vocabularies(tokenizers: Tokenizers) -> list[tuple[str, list[str]]]:
    return [(side.kind, side.pieces(range(side.size))) for side in (tokenizers.source, tokenizers.target)]
