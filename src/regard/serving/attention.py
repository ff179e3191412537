"""POST /attention: a translation with its alternatives and attention weights."""

from __future__ import annotations

from regard.attention.explorer import to_json
from regard.attention.maps import compute_attention_maps
from regard.inference.translation import Translation, join
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import Models, ServedModel
from regard.serving.schema import AttentionAnswer, AttentionRequest, Hypothesis, Model, Segment
from regard.serving.translate import Task, find_sentences, is_plain, make_sentence, search_key, translate
from regard.serving.workers import call_with


def translate_with_attention(
    batcher: Batcher, limits: Limits, models: Models, request: AttentionRequest, ticket: Ticket
) -> bytes:
    """Translate a text of any length and compute the attention weights of its first segment; block until it is done.

    Returns:
        An `AttentionAnswer` as JSON.

    Raises:
        RequestRejected: The request is invalid, or it is not answered in time.
        RegardError: The translation failed.
    """
    served = models.pick(request.source, request.target, request.model)
    translator = served.translator
    spans = translator.segments(request.q, request.split_sentences)
    if not spans:
        raise invalid("missing q parameter")
    key = search_key(served, limits, request.alternatives + 1, with_attention=False)
    if is_plain(request.q, translator):
        texts = [request.q[start:end] for start, end in spans]
        results = batcher.search(key, [make_sentence(served, text) for text in texts], ticket)
        best, hypotheses = [n_best[0] for n_best in results], results[0]
    else:
        task = Task(served, [request.q], split_sentences=request.split_sentences)
        (translation,) = translate(batcher, limits, task, ticket).texts
        sentences, filled = find_sentences(batcher, limits, task, request.q, translation, ticket)
        spans = [source for source, _ in sentences]
        texts = [request.q[start:end] for start, end in spans]
        best = [Translation(text, 0.0, 0.0) for text in filled]
        hypotheses = []
        if translator.fits(texts[0]):
            (first_results,) = batcher.search(key, [make_sentence(served, texts[0])], ticket)
            match = next((result for result in first_results if result.text == filled[0]), None)
            best[0] = match or _score(batcher, served, texts[0], filled[0], ticket)
            hypotheses = [best[0], *(result for result in first_results if result is not match)]
    if request.target_text is not None:
        best[0] = _score(batcher, served, texts[0], " ".join(request.target_text.split()), ticket)
    (joined,) = join(request.q, spans, [[segment] for segment in best], 1)
    first = best[0]
    target = next((result.ids for result in hypotheses if result.text == first.text), None)
    target = target or tuple(translator.tokenizers.target.encode(first.text))
    tokens = max(len(translator.tokenizers.source.encode(texts[0])), len(target))
    maps = None
    if tokens <= limits.attention_tokens:
        maps = to_json(batcher.call(lambda: call_with(translator, compute_attention_maps, texts[0], target), ticket))
    response = AttentionAnswer(
        translatedText=joined.text,
        sentences=[
            Segment(start=part.source[0], end=part.source[1], target_start=part.target[0], target_end=part.target[1])
            for part in joined.parts
        ],
        score=first.score,
        alternatives=[
            Hypothesis(text=result.text, score=result.score, tokens=list(result.tokens), finished=result.finished)
            for result in hypotheses
        ],
        model=Model.model_validate(served.to_json()),
        looks=maps,
        note=""
        if maps
        else f"attention is shown for up to {limits.attention_tokens} tokens, and this sentence has {tokens}",
    )
    return response.model_dump_json().encode()


def _score(batcher: Batcher, served: ServedModel, source: str, target: str, ticket: Ticket) -> Translation:
    """Return a forced translation, with its log-probability as its score."""
    translator = served.translator
    (score,) = batcher.call(lambda: list(translator.score([(source, target)])), ticket)
    ids = tuple(translator.tokenizers.target.encode(target))
    tokens = tuple(translator.tokenizers.target.pieces(ids))
    return Translation(target, score, score, tokens=tokens, ids=ids)
