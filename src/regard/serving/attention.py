"""POST /attention: a translation, what else the beam found, and all that the model looked at."""

from __future__ import annotations

from dataclasses import replace

from regard.attention.explorer import to_json
from regard.attention.maps import compute_attention_maps
from regard.inference.translation import join
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import Models
from regard.serving.schema import AttentionAnswer, AttentionRequest, Hypothesis, Model, Segment
from regard.serving.translate import order, sentence


def attend(batcher: Batcher, limits: Limits, models: Models, asked: AttentionRequest, ticket: Ticket) -> bytes:
    """Translate a text of any length, and look at its first segment; block until the answer is there, as JSON.

    Raises Refused, RegardError.
    """
    served = models.pick(asked.source, asked.target, asked.model)
    translator = served.translator
    spans = translator.segments(asked.q, asked.split_sentences)
    if not spans:
        raise invalid("missing q parameter")
    texts = [asked.q[start:end] for start, end in spans]
    chosen = order(served, limits, asked.alternatives + 1, with_attention=False)
    found = batcher.search(chosen, [sentence(served, text) for text in texts], ticket)
    best = [some[0] for some in found]
    if asked.target_text is not None:
        text = " ".join(asked.target_text.split())
        (score,) = batcher.call(lambda: list(translator.score([(texts[0], text)])), ticket)
        best[0] = replace(best[0], text=text, score=score)
    (whole,) = join(asked.q, spans, [[one] for one in best], 1)
    first = best[0]
    target = next((one.ids for one in found[0] if one.text == first.text), None)
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
            Hypothesis(text=one.text, score=one.score, tokens=list(one.tokens), finished=one.finished)
            for one in found[0]
        ],
        model=Model.model_validate(served.told()),
        looks=looks,
        note="" if looks else f"attention is shown for up to {limits.looks} tokens, and this sentence has {tokens}",
    )
    return answer.model_dump_json().encode()
