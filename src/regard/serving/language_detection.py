"""Detect which of the served languages a text is in, with py3langid."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from regard.serving.limits import RequestRejected
from regard.serving.models import Models
from regard.serving.schema import Detected

MAX_CHARACTERS = 2000  # of a text that are read


class LanguageDetector:
    """Detects the language of a text among the source languages of the models."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._lock = threading.Lock()

    def detect(self, text: str) -> list[Detected]:
        """Return the languages, most likely first, with their confidence in percent.

        Raises:
            RequestRejected: None of the served languages can be detected.
        """
        with self._lock:
            codes = self._codes()
            identifier, known = _identifier(tuple(sorted(codes)))
            if not known:
                raise RequestRejected(400, "auto is not supported: the served languages cannot be detected")
            ranked = [
                (code, probability) for code, probability in identifier.rank(text[:MAX_CHARACTERS]) if code in known
            ]
        return [
            Detected(confidence=round(100 * float(probability), 1), language=codes[code])
            for code, probability in ranked
        ]

    def load(self) -> None:
        """Load the detector's model ahead of the first request; this takes a second or two."""
        with self._lock:
            _identifier(tuple(sorted(self._codes())))

    def _codes(self) -> dict[str, str]:
        """Return the served code of each language by its py3langid code."""
        return {source.split("-")[0]: source for source in reversed(self._models.sources)}


@lru_cache(maxsize=4)
def _identifier(codes: Sequence[str]) -> tuple[Any, frozenset[str]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = frozenset(codes) & frozenset(identifier.nb_classes)
    if len(known) > 1:
        identifier.set_languages(sorted(known))
    return identifier, known
