"""GET /examples: sentences of the dev sets of the served runs, for an empty page."""

from __future__ import annotations

import json
from pathlib import Path

from regard.checkpoints.run_folder import PREPARED, RunFolder
from regard.corpus.tagged import split_tags
from regard.files import read_regular_file
from regard.serving.models import Models
from regard.serving.schema import Examples

COUNT = 4  # sentences of each pair of languages
SHORTEST, LONGEST = 20, 120  # characters; longer ones are never shown, shorter ones if there are no others


def read_examples(models: Models) -> list[Examples]:
    """Return examples for each model; a run without a dev set has none.

    Only sources are read, never their translations.
    """
    examples = []
    for name, folder in models.folders.items():
        sources = [split_tags(source) for source in _read_sources(folder)]
        for model in models.served:
            tags = model.tag.split() if model.tag else []
            texts = [text for source_tags, text in sources if source_tags == tags]
            if model.name == name and (chosen := _choose(texts)):
                examples.append(Examples(model=name, source=model.source, target=model.target, texts=chosen))
    return examples


def _read_sources(folder: Path) -> list[str]:
    """Return the sources of a run's dev set; none if it is missing or damaged, which does not affect translation."""
    try:
        table = json.loads(read_regular_file(RunFolder(folder).data / PREPARED))
        return [source for source, _ in table["dev"] if isinstance(source, str)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _choose(texts: list[str]) -> list[str]:
    short = [text.strip() for text in dict.fromkeys(texts) if 0 < len(text.strip()) <= LONGEST and text.isprintable()]
    candidates = [text for text in short if len(text) >= SHORTEST] or short
    step = max(1, len(candidates) // COUNT)
    return candidates[::step][:COUNT]
