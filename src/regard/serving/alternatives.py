"""POST /alternatives: the words that can follow the beginning of a translation."""

from __future__ import annotations

from regard.inference.next_words import next_words
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import invalid
from regard.serving.models import Models
from regard.serving.schema import AlternativesAnswer, AlternativesRequest, NextWord
from regard.serving.translate import check_prefix
from regard.serving.workers import call_with


def find_alternatives(
    batcher: Batcher, models: Models, request: AlternativesRequest, ticket: Ticket
) -> AlternativesAnswer:
    """Return the most probable words after a prefix; block until they are computed.

    Raises:
        RequestRejected: The request is invalid, or it is not answered in time.
        RegardError: The search failed.
    """
    served = models.pick(request.source, request.target, request.model)
    translator = served.translator
    if not translator.fits(request.q):
        raise invalid(f"q must be one sentence of at most {translator.longest} tokens")
    check_prefix(translator, request.q, request.prefix)
    words = batcher.call(
        lambda: call_with(translator, next_words, request.q, request.prefix, request.alternatives), ticket
    )
    return AlternativesAnswer(
        alternatives=[NextWord(text=word.text, probability=word.probability, prefix=word.prefix) for word in words]
    )
