"""The test set that a command reads: two files, or one with both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from regard.cli.streams import input_lines, pair_lines
from regard.config.schema import RunConfig
from regard.corpus.corpus import Pair, SkipReport
from regard.corpus.formats.sides import Sides
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths, check_source_columns, infer_sides
from regard.corpus.source_columns import SEPARATOR, columns_fix, columns_problem
from regard.errors import ConfigError, DataError


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
            DataError: A file cannot be read, the sides have different lengths, or a source has another number of
                columns than those that the model was trained on.
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
            config = _load_config(run)
            sides = infer_sides(config.data, self.place.data, sides)
            check_source_columns(config, sides, self.place.data)
        corpus = self.place.open(sides)
        if corpus is None:
            source, target, data = self.place.labels
            fix = f"give {source} and {target}, or {data}"
            raise ConfigError("no test set is given", where=f"{source}, {target}, {data}", fix=fix)
        if isinstance(corpus, ParallelText):
            where = f"{corpus.source} | {corpus.target}"
            lines = pair_lines(input_lines(corpus.source), input_lines(corpus.target), where)
            pairs = [Pair(*texts, number) for number, texts in enumerate(lines, start=1)]
            _check_columns(_load_config(run), pairs, corpus.source)
            return pairs, SkipReport()
        pairs = list(corpus)
        _check_columns(_load_config(run), pairs, self.place.data)
        return pairs, corpus.skipped


def _load_config(run: Path) -> RunConfig:
    from regard.checkpoints.checkpoint import load_config
    from regard.checkpoints.run_folder import resolve_checkpoint

    return load_config(resolve_checkpoint(run))


def _check_columns(config: RunConfig, pairs: Iterable[Pair], path: Path | None) -> None:
    """Raise DataError for a source with another number of columns than those that the model was trained on."""
    count = len(config.tokenizer.source_columns)
    for pair in pairs if count else ():
        if pair.source.strip() and (problem := columns_problem(pair.source.split(SEPARATOR), count)):
            raise DataError(problem, where=f"{path}:{pair.line}", fix=columns_fix(count))
