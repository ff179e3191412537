"""What to train, as the command line or Python says it. This module needs no PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from regard.config.overrides import HUB, Override, parse_overrides
from regard.config.placeholders import Placeholders, check_placeholders
from regard.config.schema import MAX_VOCABULARY, RunConfig, StartConfig
from regard.errors import ConfigError

OPTIONS = {  # options that set a key of the recipe
    "architecture": "model.architecture",
    "preset": "model.preset",
    "minutes": "train.max_minutes",
    "device": "train.device",
    "augment": "augmentation.level",
    "terms": "train.terms",
}
FILES = {  # options that set a key of [data]
    "source": "source",
    "target": "target",
    "data": "file",
    "corpus": "corpus",
    "dev_source": "dev_source",
    "dev_target": "dev_target",
    "dev_data": "dev_file",
    "source_language": "source_language",
    "target_language": "target_language",
    "source_column": "source_column",
    "target_column": "target_column",
}
ORIGINS = ({"source", "target"}, {"data"}, {"corpus"})  # what a corpus may consist of


@dataclass(frozen=True)
class TrainingRequest:
    """What to train.

    Attributes:
        recipe: A recipe, or its file; None: choose one that suits the files.
        files: The options of FILES that are given. `data` and `dev_data` may be `mtdata:NAME`, `data` also `hf:NAME`.
        overrides: `section.key=value`.
        output: The folder of the run; None: a default name.
        start: The run whose weights training starts from.
        placeholders: The values of the recipe's placeholders.
        caller: The command or function, for messages.
        spell: Returns how the caller writes an option, for messages.
    """

    recipe: RunConfig | Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    output: Path | None = None
    start: StartConfig | None = None
    placeholders: Placeholders = field(default_factory=dict)
    caller: str = "regard.train"
    spell: Callable[[str], str] = str

    def check(self) -> None:
        """Raise ConfigError for a request that is unclear."""
        parse_overrides(self.overrides)
        files, spell = self.files.keys(), self.spell
        origin = files & {"source", "target", "data", "corpus"}
        if self.recipe is None and origin not in ORIGINS:
            raise ConfigError(
                "it is not clear what to train on" if origin else "there is nothing to train on",
                where=self.caller,
                fix=f"give a recipe, or both {spell('source')} and {spell('target')}, or {spell('data')}, "
                f"or {spell('corpus')}",
            )
        check_placeholders(self.placeholders, spell("placeholders"))
        if self.placeholders and not isinstance(self.recipe, Path):
            raise ConfigError(
                "only the file of a recipe has placeholders", where=spell("placeholders"), fix="give a recipe"
            )
        if self.recipe is not None:
            return
        if ("dev_source" in files) != ("dev_target" in files) or files >= {"dev_source", "dev_data"}:
            raise ConfigError(
                "a dev set has two sides",
                where=self.caller,
                fix=f"give both {spell('dev_source')} and {spell('dev_target')}, or {spell('dev_data')}",
            )
        if ("source_column" in files) != ("target_column" in files):
            raise ConfigError(
                "a pair has two columns",
                where=self.caller,
                fix=f"give both {spell('source_column')} and {spell('target_column')}",
            )


def option_overrides(options: Mapping[str, object], spell: Callable[[str], str] = str) -> list[str]:
    """Return an override for each of OPTIONS that is given."""
    return [
        Override(f"{key}={options[option]}", spell(option))
        for option, key in OPTIONS.items()
        if options.get(option) is not None
    ]


def start_config(
    run: str | Path | None, new_tokens: int | None, spell: Callable[[str], str] = str
) -> StartConfig | None:
    """Return the [start] that begins with another run, and adds at most `new_tokens` tokens. Raise ConfigError."""
    where = spell("extend_vocabulary")
    if run is None:
        if new_tokens is not None:
            raise ConfigError(
                "there is no vocabulary to extend",
                where=where,
                fix=f"name the run that has it by {spell('start')}",
            )
        return None
    values = {} if new_tokens is None else {"new_tokens": new_tokens}
    is_on_hub = str(run).startswith(HUB) and not Path(run).exists()
    try:
        return StartConfig(checkpoint=str(run) if is_on_hub else os.path.realpath(run), **values)
    except ValidationError:
        raise ConfigError(
            f"the vocabulary cannot be extended by {new_tokens!r} tokens",
            where=where,
            fix=f"give a whole number from 0 to {MAX_VOCABULARY:,}",
        ) from None
