"""The test sets that a command reads, each two files or one with both sides, and the labels of their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.cli.streams import input_lines, pair_lines
from regard.config.schema import RunConfig
from regard.corpus.corpus import Pair, SkipReport
from regard.corpus.formats.label_column import read_label_column
from regard.corpus.formats.sides import Sides
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths, check_source_columns, infer_sides
from regard.corpus.source_columns import check_column_count
from regard.errors import ConfigError, DataError

LABELS = ("--source", "--reference", "--data")


@dataclass(frozen=True)
class TestSetFiles:
    """Where a test set is, and which languages or columns of it are meant.

    Attributes:
        place: Its files.
        sides: Its languages or columns.
        labels: A file with a label for each line; None if there is none.
        label_column: The column of a table with the label of each pair; empty if there is none.
        novelty: Whether the label of each pair is its novelty, see `regard.runs.novelty`.
    """

    place: CorpusPaths
    sides: Sides
    labels: Path | None = None
    label_column: str = ""
    novelty: bool = False

    def pairs(self, run: Path) -> tuple[list[Pair], SkipReport]:
        """Return all pairs in order, and what was skipped.

        Texts have no white space around them. Two plain files give a pair a line, even if a side is blank. A file with
        both sides gives the pairs that have text on both; columns and languages that are not given are those of the
        run's recipe.

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
            check_column_count(pairs, len(_load_config(run).tokenizer.source_columns), str(corpus.source))
            return [Pair(pair.source.strip(), pair.target.strip(), pair.line) for pair in pairs], SkipReport()
        pairs = list(corpus)
        check_column_count(pairs, len(_load_config(run).tokenizer.source_columns), str(self.place.data))
        return pairs, corpus.skipped

    def read_labels(self, run: Path, pairs: Sequence[Pair]) -> tuple[str, ...] | None:
        """Return the label of each pair, stripped; None if no labels were requested.

        Raises:
            ConfigError: The labels do not suit the files of the test set, or there are several kinds.
            DataError: They cannot be read, a pair has none, or there are more or fewer than lines.
            CheckpointError: `run` cannot be read.
        """
        data = self.place.data
        if self.novelty:
            from regard.runs.novelty import label_novelty

            if self.labels is not None or self.label_column:
                raise ConfigError(
                    "a pair has a single label", where="--novelty", fix="leave out --labels and --label-column"
                )
            return tuple(label_novelty(run, [pair.source for pair in pairs]))
        if self.labels is not None:
            if self.label_column or data is not None:
                raise ConfigError(
                    "a file of labels belongs to the lines of two files",
                    where="--labels",
                    fix="give --label-column with --data, or --labels with --source and --reference",
                )
            labels = [label.strip() for label in input_lines(self.labels)]
            if len(labels) != len(pairs):
                raise DataError(
                    f"the number of labels is {len(labels):,}, and that of lines is {len(pairs):,}",
                    where=f"{self.labels}:{min(len(labels), len(pairs)) + 1}",
                    fix="line n must be the label of line n of the test set",
                )
            return tuple(labels)
        if not self.label_column:
            return None
        if data is None:
            raise ConfigError("plain files have no columns", where="--label-column", fix="give --labels FILE instead")
        by_line = read_label_column(data, self.label_column)
        for pair in pairs:
            if pair.line not in by_line:
                raise DataError(
                    f"the pair has no label in column {self.label_column}",
                    where=f"{data}:{pair.line}",
                    fix="add it, or check --label-column, --source-column and --target-column",
                )
        return tuple(by_line[pair.line] for pair in pairs)


def list_test_sets(
    sources: Sequence[Path] | None, references: Sequence[Path] | None, data: Sequence[Path] | None
) -> list[CorpusPaths]:
    """Return the files of each test set of a command that can read several.

    Args:
        sources: The source side of each.
        references: The reference side of each.
        data: Instead, a file with both sides for each.

    Raises:
        ConfigError: There are more or fewer sources than references.
    """
    sources, references, data = sources or [], references or [], data or []
    if data and not sources and not references:
        return [CorpusPaths(data=path, labels=LABELS) for path in data]
    if sources and len(sources) == len(references) and not data:
        return [CorpusPaths(*sides, labels=LABELS) for sides in zip(sources, references, strict=True)]
    if sources and references and not data:
        raise ConfigError(
            f"the number of source files is {len(sources)}, and that of reference files is {len(references)}",
            where="--source, --reference",
            fix="give one --reference for each --source",
        )
    source, reference, both = (paths[0] if paths else None for paths in (sources, references, data))
    return [CorpusPaths(source, reference, both, LABELS)]  # incomplete or contradictory, as its `open` says


def labels_of_test_sets(labels: Sequence[Path] | None, test_sets: int) -> list[Path | None]:
    """Return the file of labels of each test set; None if there are none. Raise ConfigError for another number."""
    if not labels:
        return [None] * test_sets
    if len(labels) != test_sets:
        raise ConfigError(
            f"the number of files of labels is {len(labels)}, and that of test sets is {test_sets}",
            where="--labels",
            fix="give one --labels for each test set, in the same order",
        )
    return list(labels)


def _load_config(run: Path) -> RunConfig:
    from regard.checkpoints.checkpoint import load_config
    from regard.checkpoints.run_folder import resolve_checkpoint

    return load_config(resolve_checkpoint(run))
