"""The option --glossary: read the file before the model is loaded, and report entries that are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regard.console import say

if TYPE_CHECKING:
    from regard.cli.translator_options import TranslatorOptions
    from regard.terms.glossary import Glossary

SHOWN_PROBLEMS = 5


def load_glossary(name: str, model: TranslatorOptions) -> Glossary | str | None:
    """Return the value of the option `glossary` of `Translator.translate`, and print what is wrong with the file.

    Raises:
        CheckpointError: The run cannot be read.
        DataError: The file cannot be read, or has no entry.
    """
    if not name:
        return None
    from regard.checkpoints.checkpoint import load_config
    from regard.checkpoints.run_folder import resolve_checkpoint
    from regard.terms.glossary_files import NO_GLOSSARY, read_glossary

    if name == NO_GLOSSARY:
        return name
    data = load_config(resolve_checkpoint(model.run)).data
    glossary = read_glossary(Path(name), data.source_language, data.target_language)
    for problem in glossary.problems[:SHOWN_PROBLEMS]:
        say(problem)
    if len(glossary.problems) > SHOWN_PROBLEMS:
        say(f"{name}: {len(glossary.problems) - SHOWN_PROBLEMS:,} more entries skipped")
    return glossary
