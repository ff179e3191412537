"""The option --glossary: check the file before the model is loaded, and report entries that are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regard.console import say

if TYPE_CHECKING:
    from regard.cli.translator_options import TranslatorOptions

SHOWN_PROBLEMS = 5


def check_glossary(name: str, model: TranslatorOptions) -> str | None:
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
    path = Path(name)
    data = load_config(resolve_checkpoint(model.run)).data
    glossary = read_glossary(path, data.source_language, data.target_language)
    for problem in glossary.problems[:SHOWN_PROBLEMS]:
        say(problem)
    if len(glossary.problems) > SHOWN_PROBLEMS:
        say(f"{path}: {len(glossary.problems) - SHOWN_PROBLEMS:,} more entries skipped")
    return str(path.absolute())
