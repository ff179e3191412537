"""POST /attention: a translation, what else the beam found, and all that the model looked at."""

from __future__ import annotations

from dataclasses import replace

from regard.attention.explorer import to_json
from regard.attention.maps import compute_attention_maps
from regard.inference.translation import Translation, join
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import Models, Served
from regard.serving.schema import AttentionAnswer, AttentionRequest, Hypothesis, Model, Segment
from regard.serving.translate import Task, is_plain, order, sentence, translate
from regard.text.segments import Span


def attend(batcher: Batcher, limits: Limits, models: Models, asked: AttentionRequest, ticket: Ticket) -> bytes:
    """Translate a text of any length, and look at its first segment; block until the answer is there, as JSON.

    Raises Refused, RegardError.
    """
    served = models.pick(asked.source, asked.target, asked.model)
    translator = served.translator
    spans = translator.segments(asked.q, asked.split_sentences)
    if not spans:
        raise invalid("missing q parameter")
    chosen = order(served, limits, asked.alternatives + 1, with_attention=False)
    if is_plain(asked.q):
        texts = [asked.q[start:end] for start, end in spans]
        found = batcher.search(chosen, [sentence(served, text) for text in texts], ticket)
        best, listed = [some[0] for some in found], found[0]
    else:
        spans, filled = _filled(batcher, limits, Task(served, [asked.q], split_sentences=asked.split_sentences), ticket)
        texts = [asked.q[start:end] for start, end in spans]
        best = [Translation(text, 0.0, 0.0) for text in filled]
        listed = []
        if translator.fits(texts[0]):
            (found_first,) = batcher.search(chosen, [sentence(served, texts[0])], ticket)
            same = next((one for one in found_first if one.text == filled[0]), None)
            best[0] = same or _scored(batcher, served, texts[0], filled[0], ticket)
            listed = [best[0], *(one for one in found_first if one is not same)]
    if asked.target_text is not None:
        best[0] = _scored(batcher, served, texts[0], " ".join(asked.target_text.split()), ticket)
    (whole,) = join(asked.q, spans, [[one] for one in best], 1)
    first = best[0]
    target = next((one.ids for one in listed if one.text == first.text), None)
    target = target or tuple(translator.tokenizers.target.encode(first.text))
    tokens = max(len(translator.tokenizers.source.encode(texts[0])), len(target))
    looks = None
    if tokens <= limits.looks:
        looks = to_json(batcher.call(lambda: compute_attention_maps(translator, texts[0], target), ticket))
    answer = AttentionAnswer(
        translatedText=whole.text,
        sentences=[
            Segment(start=one.source[0], end=one.source[1], target_start=one.target[0], target_end=one.target[1])
            for one in whole.parts
        ],
        score=first.score,
        alternatives=[
            Hypothesis(text=one.text, score=one.score, tokens=list(one.tokens), finished=one.finished) for one in listed
        ],
        model=Model.model_validate(served.told()),
        looks=looks,
        note="" if looks else f"attention is shown for up to {limits.looks} tokens, and this sentence has {tokens}",
    )
    return answer.model_dump_json().encode()


def _filled(batcher: Batcher, limits: Limits, task: Task, ticket: Ticket) -> tuple[list[Span], list[str]]:
    """Translate a text with placeholders as /translate does; return the spans of its segments and their translations.

    Where the translations of the segments do not make up that of the text, its only segment is the text.
    """
    (text,) = task.texts
    spans = task.served.translator.segments(text, task.split_sentences)
    parts = [text[start:end] for start, end in spans]
    whole, *filled = translate(batcher, limits, replace(task, texts=[text, *parts]), ticket).texts
    (joined,) = join(text, spans, [[Translation(part, 0.0, 0.0)] for part in filled], 1)
    if joined.text == whole:
        return spans, filled
    start = len(text) - len(text.lstrip())
    return [(start, len(text.rstrip()))], [whole.strip()]


def _scored(batcher: Batcher, served: Served, source: str, target: str, ticket: Ticket) -> Translation:
    """Return a translation that no search found, with its log-probability as its score."""
    translator = served.translator
    (score,) = batcher.call(lambda: list(translator.score([(source, target)])), ticket)
    ids = tuple(translator.tokenizers.target.encode(target))
    tokens = tuple(translator.tokenizers.target.pieces(ids))
    return Translation(target, score, score, tokens=tokens, ids=ids)
