"""Which of the served languages a text is in, by py3langid."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from regard.serving.limits import Refused
from regard.serving.models import Models
from regard.serving.schema import Detected

READ = 2000  # characters of a text


class Detector:
    """Knows the languages that can be translated from: among several of them it chooses, a single one it judges."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._lock = threading.Lock()

    def detect(self, text: str) -> list[Detected]:
        """Likeliest first; confidences are in per cent. Raises Refused where there is no telling."""
        with self._lock:
            codes = self._codes()
            identifier, known = _identifier(tuple(sorted(codes)))
            if not known:
                raise Refused(400, "auto is not supported: the languages that are served cannot be detected")
            ranked = [(code, probability) for code, probability in identifier.rank(text[:READ]) if code in known]
        return [
            Detected(confidence=round(100 * float(probability), 1), language=codes[code])
            for code, probability in ranked
        ]

    def ready(self) -> None:
        """Load what it needs, which takes a second or two, before anyone asks."""
        with self._lock:
            _identifier(tuple(sorted(self._codes())))

    def _codes(self) -> dict[str, str]:
        """The language as py3langid has it, and as a client does."""
        return {source.split("-")[0]: source for source in reversed(self._models.sources)}


@lru_cache(maxsize=4)
def _identifier(codes: Sequence[str]) -> tuple[Any, frozenset[str]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = frozenset(codes) & frozenset(identifier.nb_classes)
    if len(known) > 1:
        identifier.set_languages(sorted(known))
    return identifier, known
