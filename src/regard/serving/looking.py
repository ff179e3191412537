"""POST /attention: a translation, what else the beam found, and all that the model looked at."""

from __future__ import annotations

from regard.analysis.explorer import table
from regard.analysis.looking import look
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import Models
from regard.serving.schema import AttentionAnswer, AttentionRequest, Hypothesis, Model
from regard.serving.work import order, sentence


def attend(batcher: Batcher, limits: Limits, models: Models, asked: AttentionRequest, ticket: Ticket) -> bytes:
    """The answer as JSON; blocks until it is there. Raises Refused, RegardError."""
    served = models.pick(asked.source, asked.target, asked.model)
    translator = served.translator
    source = " ".join(asked.q.split())
    _bounded(len(translator.tokenizers.source.encode(source)), limits)
    if not source:
        raise invalid("missing q parameter")
    chosen = order(served, limits, asked.alternatives + 1, with_attention=False)
    (found,) = batcher.search(chosen, [sentence(served, limits, source)], ticket)
    text, score = found[0].text, found[0].score
    if asked.target_text is not None:
        text = " ".join(asked.target_text.split())
        (score,) = batcher.call(lambda: list(translator.score([(source, text)])), ticket)
    target = next((one.ids for one in found if one.text == text), None) or translator.tokenizers.target.encode(text)
    _bounded(len(target), limits)
    looks = batcher.call(lambda: look(translator, source, target), ticket)
    answer = AttentionAnswer(
        translatedText=text,
        score=score,
        alternatives=[
            Hypothesis(text=one.text, score=one.score, tokens=list(one.tokens), finished=one.finished) for one in found
        ],
        model=Model.model_validate(served.told()),
        looks=table(looks),
    )
    return answer.model_dump_json().encode()


def _bounded(tokens: int, limits: Limits) -> None:
    if tokens > limits.looks:
        raise invalid(f"{tokens:,} tokens, where {limits.looks} on either side are the most that can be looked at")
