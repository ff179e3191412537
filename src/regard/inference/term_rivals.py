"""Find what a translation says instead of a term, so that the search under the term does not say both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from regard.contract import Seq2Seq
from regard.data.batch import make_batch
from regard.decoding.hypothesis import Hypothesis
from regard.inference.hypotheses import tag_source
from regard.inference.lines import Line
from regard.inference.terms import RunTerms, TaggedSource
from regard.inference.translation import Translation
from regard.terms.glossary import Term
from regard.terms.offsets import find_terms, token_spans
from regard.text.capitals import is_upper
from regard.text.model_input import Languages
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.words import count_tags, word_indices

MAX_FORMS = 8  # of a rival that are forbidden
BATCH = 32  # sentences

Attention = NDArray[np.float32]


def forbid_rivals(
    model: Seq2Seq,
    tokenizers: Tokenizers,
    terms: RunTerms,
    languages: Languages,
    lines: Sequence[Line],
    translations: Sequence[Translation],
) -> list[Line]:
    """Return lines that forbid the word that attends most to a term, for each term that a translation lacks.

    Without attention in the model, the lines are returned as they are.
    """
    if not model.decoder.has_attention:
        return list(lines)
    prepared = [line.prepare(tokenizers, languages)[0] for line in lines]
    sources = [tag_source(line, tokenizers, terms) for line in prepared]
    result = list(lines)
    by_length = sorted(range(len(lines)), key=lambda place: (len(translations[place].ids), len(sources[place].tokens)))
    for first in range(0, len(by_length), BATCH):
        places = by_length[first : first + BATCH]
        attentions = _attend(model, [sources[place] for place in places], [translations[place] for place in places])
        for place, attention in zip(places, attentions, strict=True):
            line, translation = lines[place], translations[place]
            lacking = [term for term in line.constraints.terms if not term.is_in(translation.text)]
            rivals = _rivals(attention, sources[place], prepared[place].text, translation, lacking, tokenizers)
            result[place] = _with_forbidden(line, rivals, terms)
    return result


@torch.inference_mode()
def _attend(model: Seq2Seq, sources: Sequence[TaggedSource], translations: Sequence[Translation]) -> list[Attention]:
    """Return the attention (T, S) of each target token over the tokens of the source without tags."""
    pairs = [(source.tokens, translation.ids) for source, translation in zip(sources, translations, strict=True)]
    batch = make_batch(pairs).to(next(model.parameters()).device)
    output = model.decoder(batch.target_in, model.encode(batch.source), with_attention=True)
    attention = output.attention
    assert attention is not None  # the decoder has attention
    rows = []
    for row, (source, translation) in enumerate(zip(sources, translations, strict=True)):
        weights = attention[row, : len(translation.ids), : len(source.tokens) + 1]
        hypothesis = source.without_tags(Hypothesis((), 0.0, 0.0, finished=True, attention=weights))
        assert hypothesis.attention is not None
        rows.append(hypothesis.attention.float().cpu().numpy())
    return rows


def _rivals(
    attention: Attention,
    source: TaggedSource,
    text: str,
    translation: Translation,
    lacking: Sequence[Term],
    tokenizers: Tokenizers,
) -> list[str]:
    """Return for each lacking term the word of the translation that attends most to it."""
    tokens = list(source.original)
    spans = token_spans(tokenizers.source, tokens, text)
    words = np.array(word_indices(tokenizers.target, translation.ids))
    texts = tokenizers.target.decode(translation.ids).split()
    if spans is None or not texts:
        return []
    first = count_tags(tokenizers.source, tokens)
    rivals: list[str] = []
    for _, place in find_terms(lacking, spans, text):
        mass = attention[:, first + place.start : first + place.stop].sum(1)
        by_word = np.bincount(words, mass, minlength=len(texts))
        rivals.append("".join(filter(str.isalnum, texts[int(by_word.argmax())])))
    return rivals


def _with_forbidden(line: Line, rivals: Sequence[str], terms: RunTerms) -> Line:
    """Return a line that forbids the forms of rivals, except those that are part of a form of a term."""
    constraints = line.constraints
    valid = " ".join(form.casefold() for term in constraints.terms for form in term.forms)
    forms = (form for rival in rivals if rival for form in terms.forms.target.forms(rival)[:MAX_FORMS])
    forbidden = [form for form in dict.fromkeys(forms) if form.casefold() not in valid]
    if is_upper(line.text):
        forbidden = [form.upper() for form in forbidden]
    return replace(line, constraints=replace(constraints, forbid=(*constraints.forbid, *forbidden)))
