"""Confidence: the probability that a translation is right, and the same for each of its words.

Both come from the probabilities that the model gives the tokens of the finished translation, so they are the same
for all searches, and a search is not affected. What turns them into probabilities of being right is fitted on
translations of held-out pairs, and is stored in the checkpoint as confidence.json.

A word is right if the shortest edit from the translation to the reference keeps it, without the punctuation at its
ends. A translation is right if its chrF against the reference is at least RIGHT_CHRF or, for a run that is measured by
exact matches, if it equals the reference.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regard.checkpoints.added_files import read_json
from regard.console import say
from regard.contract import Seq2Seq
from regard.data.batch import length_batches, make_batch
from regard.decoding.scoring import score_tokens
from regard.documents.results import SegmentConfidence, TranslatedText
from regard.errors import CheckpointError, DataError, DecodingError
from regard.evaluation.edit_alignment import find_matches
from regard.evaluation.estimator import Estimator, Floats, fit_estimator
from regard.inference.translation import Translation, Word
from regard.text.segments import Span
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.words import token_ends, word_spans

FILE = "confidence.json"
FORMAT = 1
RIGHT_CHRF = 50.0
MIN_PAIRS = 100  # fewer held-out pairs give no probabilities that deserve the name
BATCH_TOKENS = 4096  # of a batch, with padding
LOWEST = -10.0  # log-probability of a token; lower ones, and that of an EOS that a translation lacks, count as this

_EDGE = re.compile(r"^\W+|\W+$")


@dataclass(frozen=True)
class ConfidenceModel:
    """What turns the probabilities of tokens into confidences.

    Attributes:
        sentence: Estimates the probability that a translation is right from `_sentence_features`.
        word: Estimates it for a word from `_word_features`.
        exact: Whether a right translation equals its reference; otherwise its chrF is at least `chrf`.
        chrf: The least chrF of a right translation.
    """

    sentence: Estimator
    word: Estimator
    exact: bool = False
    chrf: float = RIGHT_CHRF

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Self:
        """Return the model that was stored as JSON. Raises KeyError, TypeError or ValueError if it is not valid."""
        if table["format"] != FORMAT:
            raise ValueError(f"it has format {table['format']!r}, not {FORMAT}")
        return cls(
            Estimator.from_json(table["sentence"], len(SENTENCE_FEATURES)),
            Estimator.from_json(table["word"], len(WORD_FEATURES)),
            bool(table["exact"]),
            float(table["chrf"]),
        )

    def annotate(self, scored: ScoredTranslation) -> Translation:
        """Return a translation with its confidence and that of its words."""
        confidence = float(self.sentence.predict(_sentence_features(scored)[None])[0])
        translation = scored.translation
        spans = follow_spans(scored.decoded, translation.text, scored.spans, translation.restored)
        probabilities = self.word.predict(_word_features(scored)) if spans else ()
        words = (Word(*span, float(value)) for span, value in zip(spans, probabilities, strict=True))
        return replace(translation, confidence=confidence, words=tuple(words))


def load_confidence(checkpoint: Path) -> ConfidenceModel | None:
    """Return the confidence model of a checkpoint; None if it has none. Raises CheckpointError if it is damaged."""
    table = read_json(checkpoint, FILE)
    if table is None:
        return None
    try:
        return ConfidenceModel.from_json(table)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"a value is missing or invalid: {error!r}",
            where=checkpoint / FILE,
            fix=f"make it again: regard calibrate {shlex.quote(str(checkpoint))}",
        ) from None


def try_load_confidence(checkpoint: Path) -> tuple[ConfidenceModel | None, DecodingError | None]:
    """Return the confidence model of a checkpoint, if it has one, or the error that translating with it must raise.

    If it is damaged, print a warning: most commands do not need it.
    """
    try:
        return load_confidence(checkpoint), None
    except CheckpointError as error:
        say(f"warning: confidence is not available: {error.where}: {error.message}; {error.fix}")
        return None, DecodingError(error.message, where=error.where, fix=error.fix)


def not_calibrated() -> DecodingError:
    """Return the error for confidence of a model that has not learned it."""
    return DecodingError(
        "the model has not learned how sure it is: `regard calibrate RUN` has not been run",
        where="confidence",
        fix="run it once, with the folder of the run",
    )


@dataclass(frozen=True)
class ScoredTranslation:
    """A translation of one segment, and what the model thinks of its T tokens and N words.

    Attributes:
        translation: The translation.
        decoded: Its text without restored emoji.
        spans: (N) the spans of the words of `decoded`.
        tokens: (T + 1,) the log-probability of each token, EOS last.
        words: (N,) the log-probability of each word: the sum over its tokens.
    """

    translation: Translation
    decoded: str
    spans: Sequence[Span]
    tokens: Floats
    words: Floats


def score_translations(
    model: Seq2Seq, target: Tokenizer, pairs: Sequence[tuple[Sequence[int], Translation]]
) -> Iterator[tuple[int, ScoredTranslation]]:
    """Yield the index and the scores of each pair of source ids and translation, in any order.

    The model computes only the probabilities that the search has not returned.
    """
    unscored = []
    for index, (_, translation) in enumerate(pairs):
        if translation.token_log_probabilities or not translation.finished:
            yield index, _score_words(target, translation, np.array(translation.token_log_probabilities))
        else:
            unscored.append(index)
    device = next(model.parameters()).device
    lengths = {index: max(len(pairs[index][0]), len(pairs[index][1].ids)) + 1 for index in unscored}
    unscored.sort(key=lambda index: -lengths[index])
    for indices in length_batches(unscored, lengths.__getitem__, max_tokens=BATCH_TOKENS):
        batch = make_batch([(pairs[index][0], pairs[index][1].ids) for index in indices]).to(device)
        scores = score_tokens(model, batch.source, batch.target_in, batch.target_out).double().cpu().numpy()
        start = 0
        for index in indices:
            end = start + len(pairs[index][1].ids) + 1
            yield index, _score_words(target, pairs[index][1], scores[start:end])
            start = end


def add_confidence(
    results: list[list[Translation]],
    sources: Mapping[int, list[int]],
    confidence: ConfidenceModel,
    model: Seq2Seq,
    target: Tokenizer,
) -> None:
    """Add the confidence to the translations of each line: 1 if the line has no words.

    Args:
        results: The translations of each line, which are replaced.
        sources: The source ids of each line with words, by its place in `results`.
        confidence: What the model has learned.
        model: The model.
        target: The tokenizer of the translations.
    """
    results[:] = [[replace(translation, confidence=1.0) for translation in n_best] for n_best in results]
    places = [(place, rank) for place in sources for rank in range(len(results[place]))]
    pairs = [(sources[place], results[place][rank]) for place, rank in places]
    for index, scored in score_translations(model, target, pairs):
        place, rank = places[index]
        results[place][rank] = confidence.annotate(scored)


def _score_words(target: Tokenizer, translation: Translation, tokens: Floats) -> ScoredTranslation:
    """Return the scores of a translation, given the log-probabilities of its tokens: T, or T + 1 if it is finished."""
    ids = translation.ids
    tokens = np.maximum(np.append(tokens, [LOWEST] * (len(ids) + 1 - len(tokens))), LOWEST)
    decoded = target.decode(ids)
    spans = word_spans(decoded) if ids else []
    if not spans:
        return ScoredTranslation(translation, decoded, (), tokens, np.zeros(0))
    ends = token_ends(target, ids, decoded)
    starts_of_words, ends_of_words = np.array(spans).T
    last = len(ids) - 1
    first_tokens = np.minimum(np.searchsorted(ends, starts_of_words, side="right"), last)
    covering = np.searchsorted(ends, ends_of_words, side="left")  # the token in which a word ends
    within = np.searchsorted(ends, ends_of_words, side="right") - 1  # the last token that ends with the word
    last_tokens = np.minimum(np.maximum(np.maximum(covering, within), first_tokens), last)
    sums = np.concatenate(([0.0], np.cumsum(tokens)))
    return ScoredTranslation(translation, decoded, spans, tokens, sums[last_tokens + 1] - sums[first_tokens])


def withheld_reason(translation: Translation, min_confidence: float | None) -> str:
    """Return why a translation must not be used: its confidence is too low. Empty if it may be used."""
    confidence = translation.confidence
    if min_confidence is None or confidence is None or confidence >= min_confidence:
        return ""
    return f"its confidence, {confidence:.2f}, is below {min_confidence:g}"


def withhold(source: str, n_best: list[Translation], min_confidence: float | None) -> list[Translation]:
    """Return the source instead of translations of a segment whose best one has too little confidence."""
    best = n_best[0]
    if not withheld_reason(best, min_confidence):
        return n_best
    return [replace(best, text=source, alignment=(), words=(), restored=(), is_withheld=True)]


def to_document_text(best: Translation, min_confidence: float | None = None) -> TranslatedText:
    """Return a translation for a document, withheld if its confidence is too low."""
    confidence = None
    if best.confidence is not None:
        words = tuple((best.text[word.start : word.end], word.confidence) for word in best.words)
        confidence = SegmentConfidence(best.confidence, words)
    withheld = withheld_reason(best, min_confidence)
    return TranslatedText(best.text, best.alignment, best.marks, confidence, withheld)


SENTENCE_FEATURES = (
    "mean log-probability of a token",
    "lowest log-probability of a token",
    "mean probability of a token",
    "log of the number of tokens",
)


def _sentence_features(scored: ScoredTranslation) -> Floats:
    tokens = scored.tokens
    return np.array([tokens.mean(), tokens.min(), np.exp(tokens).mean(), np.log(len(tokens))])


WORD_FEATURES = (
    "log-probability of the word",
    "probability of the word",
    "mean probability of a token of the translation",
    "probability of the word before",
    "probability of the word after",
)


def _word_features(scored: ScoredTranslation) -> Floats:
    """Return the features (N, F) of the N words of a translation."""
    probabilities = np.exp(scored.words)
    before = np.append(1.0, probabilities)[:-1]
    after = np.append(probabilities, np.exp(scored.tokens[-1]))[1:]
    mean = np.full(len(probabilities), np.exp(scored.tokens).mean())
    return np.column_stack([scored.words, probabilities, mean, before, after])


def follow_spans(decoded: str, text: str, spans: Sequence[Span], restored: Sequence[Span] = ()) -> list[Span]:
    """Return where the spans of `decoded` are in `text`. A word in which something is restored ends before it.

    Args:
        decoded: The text that the model wrote.
        text: The same in either case, with restored emoji, numbers and addresses.
        spans: Spans of `decoded`.
        restored: The spans of `text` that are restored.
    """
    if decoded == text:
        return list(spans)
    lowered = text.lower() if len(text.lower()) == len(text) else text
    for start, end in restored:  # `decoded` has no NUL, so that nothing is found there
        lowered = lowered[:start] + "\0" * (end - start) + lowered[end:]
    places: list[Span] = []  # of each character in the text
    at = 0
    for character in decoded:
        place = -1 if character.isspace() else lowered.find(character.lower(), at)
        if place >= 0:
            places.append((place, place + 1))
            at = place + 1
        else:
            places.append((at, at))
    followed = [(places[start][0], places[end - 1][1]) for start, end in spans]
    return [(start, _end_of_word(text, start, end, restored)) for start, end in followed]


def _end_of_word(text: str, start: int, end: int, restored: Sequence[Span]) -> int:
    """Return where a word ends: before the restored text in it, as in `Hund https://x.org.`."""
    first = min((place for place, _ in restored if start < place < end), default=end)
    return start + len(text[start:first].rstrip())


# Fitting


def fit_confidence(
    scored: Sequence[ScoredTranslation], references: Sequence[str], *, exact: bool = False, chrf: float = RIGHT_CHRF
) -> ConfidenceModel:
    """Fit a confidence model on the translations of held-out sources.

    Args:
        scored: The translations.
        references: The reference of each.
        exact: Whether a right translation equals its reference.
        chrf: The least chrF of a right translation.

    Raises:
        DataError: There are fewer than MIN_PAIRS pairs, or the translations have no words.
    """
    check_size(len(scored))
    if not any(len(item.spans) for item in scored):
        raise DataError("the translations have no words", fix="train the model for longer")
    is_right = [
        right_translation(item.translation.text, reference, exact=exact, chrf=chrf)
        for item, reference in zip(scored, references, strict=True)
    ]
    words = [_word_features(item) for item in scored]
    right_words = np.concatenate([match(item, reference) for item, reference in zip(scored, references, strict=True)])
    return ConfidenceModel(
        fit_estimator(np.array([_sentence_features(item) for item in scored]), np.array(is_right), is_free=(3,)),
        fit_estimator(np.concatenate(words), right_words),
        exact,
        chrf,
    )


def check_size(pairs: int) -> None:
    """Raise DataError if there are fewer than MIN_PAIRS pairs to fit a confidence model on."""
    if pairs < MIN_PAIRS:
        raise DataError(
            f"confidence needs at least {MIN_PAIRS} held-out pairs, but there are {pairs:,}", fix="give more pairs"
        )


def right_translation(translation: str, reference: str, *, exact: bool, chrf: float) -> bool:
    """Return whether a translation is right: it equals the reference, or its chrF is at least `chrf`."""
    if exact:
        return translation == reference
    from sacrebleu.metrics.chrf import CHRF  # translating does not need it

    return float(CHRF().sentence_score(translation, [reference]).score) >= chrf


def match(scored: ScoredTranslation, reference: str) -> NDArray[np.bool_]:
    """Return for each word of a translation whether it is right."""
    return match_words([scored.decoded[slice(*span)] for span in scored.spans], reference)


def match_words(words: Sequence[str], reference: str) -> NDArray[np.bool_]:
    """Return for each word whether the shortest edit from the words to the reference keeps it."""
    ids: dict[str, int] = {}
    numbers = [
        [ids.setdefault(_EDGE.sub("", word) or word, len(ids)) for word in side]
        for side in (words, [reference[slice(*span)] for span in word_spans(reference)])
    ]
    return np.array(find_matches(*numbers), dtype=bool)
