"""The test set that a command reads: two files, or one with both sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regard.cli.streams import input_lines, pair_lines
from regard.corpus.corpus import Pair, SkipReport
from regard.corpus.formats.sides import Sides
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.errors import ConfigError


@dataclass(frozen=True)
class TestSetFiles:
    """Where a test set is, and which languages or columns of it are meant."""

    place: CorpusPaths
    sides: Sides

    def pairs(self, run: Path) -> tuple[list[Pair], SkipReport]:
        """Return all pairs in order, and what was skipped.

        Two plain files give a pair a line, even if a side is blank. A file with both sides gives the pairs that have
        text on both; columns and languages that are not given are those of the run's recipe.

        Raises:
            ConfigError: It is not clear what to read.
            DataError: A file cannot be read, or the sides have different lengths.
            CheckpointError: `run` cannot be read.
        """
        sides = self.sides
        if self.place.data is None and (sides.source_column or sides.target_column):
            raise ConfigError(
                "plain files have no columns",
                where="--source-column, --target-column",
                fix="remove these options, or give --data",
            )
        if self.place.data is not None:
            from regard.checkpoints.checkpoint import load_config
            from regard.checkpoints.run_folder import resolve_checkpoint

            sides = infer_sides(load_config(resolve_checkpoint(run)).data, self.place.data, sides)
        corpus = self.place.open(sides)
        if corpus is None:
            source, target, data = self.place.labels
            fix = f"give {source} and {target}, or {data}"
            raise ConfigError("no test set is given", where=f"{source}, {target}, {data}", fix=fix)
        if isinstance(corpus, ParallelText):
            where = f"{corpus.source} | {corpus.target}"
            lines = pair_lines(input_lines(corpus.source), input_lines(corpus.target), where)
            return [Pair(*texts, number) for number, texts in enumerate(lines, start=1)], SkipReport()
        return list(corpus), corpus.skipped
