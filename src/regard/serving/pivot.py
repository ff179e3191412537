"""Translate texts through a third language where no model has both languages of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from regard.serving import translate as translation
from regard.serving.batcher import Batcher, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import ServedModel


def translate_through(
    batcher: Batcher, limits: Limits, route: Sequence[ServedModel], task: translation.Task, ticket: Ticket
) -> translation.TranslationResult:
    """Translate all texts of a task by each model of a route in turn. See regard.serving.translate.

    Alternatives are those of the last model, and each text is one sentence. What one model leaves untranslated is the
    source of the next. There are no confidences.

    Raises:
        RequestRejected: The task has a minimum confidence or a glossary.
    """
    if len(route) == 1:
        return translation.translate(batcher, limits, replace(task, served=route[0]), ticket)
    if task.min_confidence is not None:
        raise invalid(f"min_confidence is not available through a third language ({route[0].target})")
    if task.glossary is not None:
        raise invalid(f"a glossary is not available through a third language ({route[0].target})")
    texts: Sequence[str] = task.texts
    skipped = []
    plain = replace(task, alternatives=0, prefix="", with_sentences=False, with_confidence=False)
    for served in route[:-1]:
        result = translation.translate(batcher, limits, replace(plain, served=served, texts=texts), ticket)
        skipped += result.skipped
        texts = result.texts
    last = replace(plain, served=route[-1], texts=texts, alternatives=task.alternatives, prefix=task.prefix)
    result = translation.translate(batcher, limits, last, ticket)
    result.skipped = [*skipped, *result.skipped]
    pairs = zip(task.texts, result.texts, strict=True)
    result.sentences = [
        [(translation.stripped_span(text), translation.stripped_span(translated))] for text, translated in pairs
    ]
    return result


def pivot_of(route: Sequence[ServedModel]) -> str | None:
    """Return the language through which a route translates; None without one."""
    return route[0].target if len(route) > 1 else None
