"""Align the words of a store of pairs by IBM Model 1 in both directions: terms to train with, and evidence for forms.

Words are compared by their first letters, so that forms of a word share their evidence. A link is kept if both
directions agree on it. Words that occur once are linked to the same word on the other side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.corpus.ibm_model1 import NULL, Sentences, best_links, ibm_model_1
from regard.data.store import PairStore
from regard.terms.units import Numbers, Units
from regard.terms.word_forms import WordForms, learn_word_forms
from regard.terms.words import fold
from regard.tokenizers.base import Tokenizers

KEY_LETTERS = 6  # by which words are compared for alignment
STEM_LETTERS = 4  # by which the translations of words are compared
MAX_CELLS = 1 << 25  # pairs of a source and a target word to learn from
MIN_PROBABILITY = 0.1  # of a link, in both directions
MIN_COMPOUND_PROBABILITY = 0.2  # of a word that is linked to a word that has another link
FREQUENT = 0.002  # share of the words of a side; more frequent ones are not terms,
FREQUENT_RANK = 0.05  # if they are among this share of the distinct words
SHORTEST = 3  # letters of a term


@dataclass(frozen=True)
class AlignedSide:
    """One side of a corpus.

    Attributes:
        units: Its words.
        key: (units,) What each word is compared by: an id from 1, or 0 for a word that is not compared.
        link: (units,) The word of the other side that each word is linked to, counted from 0 within the sentence;
            -1 for none.
        probability: (units,) Of that link.
    """

    units: Units
    key: Numbers
    link: Numbers
    probability: NDArray[np.float64]

    @property
    def is_content(self) -> NDArray[np.bool_]:
        """(units,) Whether a word may be part of a term: it is neither short nor very frequent."""
        counts: Counter[str] = Counter()
        totals = np.bincount(self.units.word, minlength=len(self.units.texts))
        for text, total in zip(self.units.texts, totals.tolist(), strict=True):
            counts[text.casefold()] += total
        del counts[""]
        ranked = counts.most_common(int(FREQUENT_RANK * len(counts)))
        frequent = {text for text, count in ranked if count > FREQUENT * len(self.units.word)}
        usable = [
            bool(text)
            and (len(text) >= SHORTEST or not text.isascii())
            and not text.isdigit()
            and text.casefold() not in frequent
            for text in self.units.texts
        ]
        is_content: NDArray[np.bool_] = np.array(usable, bool)[self.units.word]
        return is_content


@dataclass(frozen=True)
class Alignment:
    """The aligned words of both sides of a store."""

    source: AlignedSide
    target: AlignedSide

    @property
    def is_mutual(self) -> NDArray[np.bool_]:
        """(source units,) Whether a word and the word that it is linked to are linked to each other."""
        sentence = self.source.units.sentence
        linked = np.flatnonzero(self.source.link >= 0)
        target = self.target.units.offsets[sentence[linked]] + self.source.link[linked]
        back = self.source.units.offsets[sentence[linked]] + self.target.link[target]
        is_mutual = np.zeros(len(self.source.link), bool)
        is_mutual[linked] = (self.target.link[target] >= 0) & (back == linked)
        return is_mutual


def align(store: PairStore, tokenizers: Tokenizers) -> Alignment:
    """Align the words of all pairs of a store."""
    pairs = range(len(store))
    source = Units.of(tokenizers.source, [store.source(index) for index in pairs])
    target = Units.of(tokenizers.target, [store.target(index) for index in pairs])
    source_key, target_key = _keys(source), _keys(target)
    to_source = _links(source, source_key, target, target_key)
    to_target = _links(target, target_key, source, source_key)
    links = [_with_copies(*to_target, source, target), _with_copies(*to_source, target, source)]
    return Alignment(AlignedSide(source, source_key, *links[0]), AlignedSide(target, target_key, *links[1]))


def _keys(units: Units) -> Numbers:
    """Return what each unit is compared by; 0 for those without letters and for words that occur once."""
    ids: dict[str, int] = {}
    of_text = np.array([ids.setdefault(text.casefold()[:KEY_LETTERS], len(ids) + 1) for text in units.texts], np.int64)
    if not len(of_text):
        return of_text
    of_text[[index for index, text in enumerate(units.texts) if not text]] = 0
    counts = np.bincount(of_text[units.word], minlength=len(ids) + 1)
    keys = of_text[units.word]
    return np.where(counts[keys] > 1, keys, 0)


def _links(
    source: Units, source_key: Numbers, target: Units, target_key: Numbers
) -> tuple[Numbers, NDArray[np.float64]]:
    """Return for each target unit its most probable source unit, counted within the sentence, and the probability."""
    link, probability = np.full(len(target_key), -1), np.zeros(len(target_key))
    sentences, source_place = _sentences(source, source_key, target, target_key)
    if not (target_key > 0).any() or not (source_key > 0).any():
        return link, probability
    size = int(target_key.max()) + 1
    lexicon = ibm_model_1(_sample(sentences), size)
    position, values = best_links(sentences, lexicon, size)
    used = np.flatnonzero(target_key > 0)
    sentence = target.sentence[used]
    is_linked = (position > 0) & (values >= MIN_PROBABILITY)
    place = source_place[sentences.source_offsets[sentence] + position]
    link[used] = np.where(is_linked, place - source.offsets[sentence], -1)
    probability[used] = np.where(is_linked, values, 0.0)
    return link, probability


def _sentences(source: Units, source_key: Numbers, target: Units, target_key: Numbers) -> tuple[Sentences, Numbers]:
    """Return the keys of both sides, and the unit of each source position; each source begins with NULL."""
    counts = _counts(source, source_key)
    offsets = np.append(0, (counts + 1).cumsum())
    keys, place = np.full(offsets[-1], NULL), np.zeros(offsets[-1], np.int64)
    is_word = np.ones(offsets[-1], bool)
    is_word[offsets[:-1]] = False
    used = np.flatnonzero(source_key > 0)
    keys[is_word], place[is_word] = source_key[used], used
    target_offsets = np.append(0, _counts(target, target_key).cumsum())
    return Sentences(keys, offsets, target_key[target_key > 0], target_offsets), place


def _counts(units: Units, key: Numbers) -> Numbers:
    """Return the number of words with a key in each sentence."""
    totals: Numbers = np.append(0, (key > 0).cumsum())
    return totals[units.offsets[1:]] - totals[units.offsets[:-1]]


def _sample(sentences: Sentences) -> Sentences:
    """Return every pair, or every second, third, ... if all of them have more than MAX_CELLS cells."""
    source, target = np.diff(sentences.source_offsets), np.diff(sentences.target_offsets)
    step = max(1, -(-int((source * target).sum()) // MAX_CELLS))
    if step == 1:
        return sentences
    chosen = np.arange(len(source)) % step == 0
    return Sentences(
        sentences.source[np.repeat(chosen, source)],
        np.append(0, source[chosen].cumsum()),
        sentences.target[np.repeat(chosen, target)],
        np.append(0, target[chosen].cumsum()),
    )


def _with_copies(
    link: Numbers, probability: NDArray[np.float64], units: Units, opposite: Units
) -> tuple[Numbers, NDArray[np.float64]]:
    """Link words without a link to the same word on the other side, if each side has it once."""
    ids = {text: index for index, text in enumerate(opposite.texts) if text}
    same = np.array([ids.get(text, -1) for text in units.texts], np.int64)
    sentence = units.sentence
    size = len(opposite.texts) + 1
    opposite_code = opposite.sentence * size + opposite.word
    order = np.argsort(opposite_code, kind="stable")
    code = sentence * size + same[units.word] if len(units.word) else sentence
    first = np.searchsorted(opposite_code[order], code)
    last = np.searchsorted(opposite_code[order], code, side="right")
    is_copy = (link < 0) & (same[units.word] >= 0) & (last - first == 1) if len(units.word) else link < 0
    place = order[first[is_copy]] if len(order) else first[is_copy]
    link, probability = link.copy(), probability.copy()
    link[is_copy], probability[is_copy] = place - opposite.offsets[sentence[is_copy]], 1.0
    return link, probability


def forms_of(alignment: Alignment) -> tuple[WordForms, WordForms]:
    """Learn the forms of the words of both sides."""
    source, target = alignment.source, alignment.target
    mutual = np.flatnonzero(alignment.is_mutual)
    linked = target.units.offsets[source.units.sentence[mutual]] + source.link[mutual]
    return _forms(source.units, mutual, _stems(target.units)[linked]), _forms(
        target.units, linked, _stems(source.units)[mutual]
    )


def _stems(units: Units) -> Numbers:
    """Return an id of the first letters of each unit, by which the translations of words are compared."""
    ids: dict[str, int] = {}
    of_text = [ids.setdefault(fold(text)[:STEM_LETTERS], len(ids)) for text in units.texts]
    return np.array(of_text, np.int64)[units.word] if of_text else units.word


def _forms(units: Units, linked: Numbers, stems: Numbers) -> WordForms:
    """Learn the forms of a side, given its linked units and the stems of the words that they are linked to."""
    totals = np.bincount(units.word, minlength=len(units.texts))
    size = int(stems.max(initial=0)) + 1
    codes, numbers = np.unique(units.word[linked] * size + stems, return_counts=True)
    translations: dict[str, Counter[int]] = {}
    for word, stem, count in zip((codes // size).tolist(), (codes % size).tolist(), numbers.tolist(), strict=True):
        translations.setdefault(units.texts[word].casefold(), Counter())[stem] += count
    counts: Counter[str] = Counter()
    for text, total in zip(units.texts, totals.tolist(), strict=True):
        counts[text] += total
    del counts[""]
    return learn_word_forms(counts, translations)
