"""The table of a comparison for several values of a recipe's placeholders: a row for each value, a column a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from regard.reports.compare.results import ComparisonReport, MeanScore, Record, SeededScores
from regard.reports.compare.seeds import mean_score, split_seed, summarize_seeds, system_scores

MISSING = "–"
MEAN = "mean"  # the last row


class ValueRow(Record):
    """The results for one value.

    Attributes:
        value: The value; several values are separated by commas.
        folder: The folder of its comparison, inside that of the table.
        test_pairs: Number of pairs of its test set; 0 if it has no results.
        systems: The scores of each system that was trained, by name.
    """

    value: str
    folder: str
    test_pairs: int
    systems: dict[str, SeededScores]


class ValueTable(Record):
    """The whole table. `report.json` has these fields.

    Attributes:
        title: For example `inflection22`.
        date: Date in ISO format.
        machine: CPU cores, device and version of PyTorch.
        budget: How long each system was trained, such as `10 minutes`.
        seeds: Number of seeds.
        beam_size: Beam size of all systems.
        placeholders: The names of the placeholders.
        metric: The metric that suits the task.
        metrics: All metrics.
        systems: The names of the systems, in the order of their papers.
        rows: The results for each value.
        means: Each system's mean over the values, by metric; a system that lacks a value has none. Its deviation is
            that of the means which the seeds have; None if a seed lacks a value.
        failures: The error of each training that failed, by value and system.
    """

    title: str
    date: str
    machine: str
    budget: str
    seeds: int
    beam_size: int
    placeholders: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    systems: tuple[str, ...]
    rows: tuple[ValueRow, ...]
    means: dict[str, dict[str, MeanScore]]
    failures: dict[str, str]

    def cells(self, metric: str) -> list[tuple[str, list[MeanScore | None]]]:
        """Return the name of each row and its score for each system: the values, and the mean if they are several."""
        rows = [
            (row.value, [_score(row.systems.get(system), metric) for system in self.systems])
            for row in self.rows
        ]  # fmt: skip
        if len(self.rows) > 1:
            rows.append((MEAN, [self.means.get(system, {}).get(metric) for system in self.systems]))
        return rows

    def __str__(self) -> str:
        """Return the scores of the metric as text, in columns."""
        head = [f"{self.metric} by {', '.join(self.placeholders)}", *self.systems]
        rows = [
            [name, *(MISSING if score is None else str(score) for score in scores)]
            for name, scores in self.cells(self.metric)
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in [head, *rows]
        ]  # fmt: skip
        return "\n".join(lines)


def _score(scores: SeededScores | None, metric: str) -> MeanScore | None:
    return None if scores is None else scores.scores.get(metric)


def make_rows(
    reports: Mapping[str, ComparisonReport | None], folders: Mapping[str, str]
) -> tuple[tuple[ValueRow, ...], dict[str, dict[str, MeanScore]]]:
    """Return the rows of the table and the means over them.

    Args:
        reports: The comparison of each value; None if it has failed.
        folders: The folder of each comparison.
    """
    rows = tuple(
        ValueRow(
            value=value,
            folder=folders[value],
            test_pairs=0 if report is None else report.test_pairs,
            systems={} if report is None else {row.name: row for row in summarize_seeds(report.systems)},
        )
        for value, report in reports.items()
    )
    complete = [report for report in reports.values() if report is not None]
    if len(complete) < len(reports):
        return rows, {}
    names = [name for name in rows[0].systems if all(name in row.systems for row in rows)]
    return rows, {name: _average(complete, rows, name) for name in names}


def _average(reports: Sequence[ComparisonReport], rows: Sequence[ValueRow], name: str) -> dict[str, MeanScore]:
    """Return the means of a system over all values, and their deviations over the seeds."""
    by_seed: dict[int | None, list[dict[str, float]]] = {}
    for report in reports:
        for system in report.systems:
            architecture, seed = split_seed(system.name)
            if architecture == name:
                by_seed.setdefault(seed, []).append(system_scores(system))
    is_complete = all(len(scores) == len(reports) for scores in by_seed.values())
    means = {}
    for metric in rows[0].systems[name].scores:
        if is_complete:
            means[metric] = mean_score([mean(part[metric] for part in scores) for scores in by_seed.values()])
        else:
            means[metric] = MeanScore(mean=mean(row.systems[name].scores[metric].mean for row in rows), deviation=None)
    return means
