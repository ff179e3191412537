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

    Alternatives are those of the last model. What one model leaves untranslated is the source of the next.

    Raises:
        RequestRejected: The task asks for confidences, which a translation of a translation does not have.
    """
    if len(route) == 1:
        return translation.translate(batcher, limits, replace(task, served=route[0]), ticket)
    if task.with_confidence or task.min_confidence is not None:
        raise invalid(f"confidence is not available through a third language ({route[0].target})")
    skipped = []
    for served in route[:-1]:
        result = translation.translate(batcher, limits, replace(task, served=served, alternatives=0), ticket)
        skipped += result.skipped
        task = replace(task, texts=result.texts)
    result = translation.translate(batcher, limits, replace(task, served=route[-1]), ticket)
    result.skipped = [*skipped, *result.skipped]
    return result


def pivot_of(route: Sequence[ServedModel]) -> str | None:
    """Return the language through which a route translates; None without one."""
    return route[0].target if len(route) > 1 else None
