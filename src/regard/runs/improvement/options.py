"""The options of an improvement, and their defaults. This module needs no PyTorch.

The defaults are chosen on measurements: benchmarks/RESULTS.md, "Improving a run with corrections".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict

from regard.corpus.formats.sides import Sides
from regard.errors import ConfigError, suggest

if TYPE_CHECKING:
    from rich.console import Console

    from regard.config.overrides import Overrides

CALLER = "regard.improve"
EPOCHS: Final = 10  # how often training sees each correction
OLD_PAIRS: Final = 4.0  # old pairs for each time that it sees a correction


class ImproveOptions(TypedDict, total=False):
    """Options of `regard.improve`.

    Attributes:
        output: The folder of the new run. Default: that of the old run with `-improved-1` appended, or the next number.
        epochs: How often training sees each correction.
        old_pairs: Old pairs for each time that it sees a correction. More of them keep what the model knows.
        old_data: A file with pairs that the old run translates well, for an imported model, or if neither the data nor
            the corpora of the run are there. Old pairs and the old dev set are taken from it.
        replace: Make the new checkpoint the best one of the old run if it is accepted.
        source_language: The language code of the source; by default the run's.
        target_language: The language code of the target.
        tags: The tags of the corrections, for a run with several sets of tags; by default those of their languages.
        source_column: The source column of a table: a name, or a number counted from 1.
        target_column: The target column of a table.
        overrides: Other keys of the recipe, as `["train.learning_rate=0.001"]` or `{"train.learning_rate": 0.001}`.
        quiet: Print nothing.
        console: Where to print messages and progress; standard error by default.
    """

    output: str | Path | None
    epochs: int
    old_pairs: float
    old_data: str | Path | None
    replace: bool
    source_language: str
    target_language: str
    tags: Sequence[str]
    source_column: str
    target_column: str
    overrides: Overrides
    quiet: bool
    console: Console | None


@dataclass(frozen=True)
class ImprovementOptions:
    """How a run is improved; see ImproveOptions. `sides` has the languages and columns of the corrections."""

    epochs: int = EPOCHS
    old_pairs: float = OLD_PAIRS
    old_data: str | Path | None = None
    replace: bool = False
    sides: Sides = field(default_factory=Sides)
    tags: tuple[str, ...] = ()
    overrides: Overrides = ()

    @classmethod
    def of(cls, options: ImproveOptions) -> Self:
        """Return the options of a call. Raise ConfigError for an unknown or invalid option."""
        values: dict[str, Any] = {**options}
        for name in values:
            if name not in ImproveOptions.__annotations__:
                fix = suggest(name, sorted(ImproveOptions.__annotations__))
                raise ConfigError(f"unknown option `{name}`", where=CALLER, fix=fix)
        sides = Sides(**{name: values[name] for name in Sides.__annotations__ if values.get(name)})
        chosen = {
            name: values[name] for name in ("epochs", "old_pairs", "old_data", "replace", "overrides") if name in values
        }
        result = cls(sides=sides, tags=tuple(values.get("tags", ())), **chosen)
        if result.epochs < 1 or result.old_pairs < 0:
            raise ConfigError("epochs or old_pairs is too low", where=CALLER, fix="give 1 epoch or more, and 0 or more")
        return result
