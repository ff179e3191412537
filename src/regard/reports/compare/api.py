"""`regard.compare`: what the command `regard compare` does, in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypedDict, Unpack, overload

from rich.console import Console

from regard.config.overrides import Overrides, to_overrides
from regard.config.placeholders import Placeholders
from regard.corpus.paths import CorpusPaths
from regard.errors import ConfigError, TrainingError, suggest
from regard.html.notebook import render_output_table
from regard.reports.compare.plan import ComparisonRequest
from regard.reports.compare.results import ComparisonReport
from regard.reports.compare.run import measure_systems, write_report

CALLER = "regard.compare"
TEST_SET = ("test_source", "test_reference", "test_data")


class CompareOptions(TypedDict, total=False):
    """Options of `regard.compare`.

    Attributes:
        output: The folder for the runs and the report. Without it, no report is written, and trained runs are deleted.
        test_source: The source side of the test set; by default the corpus' test split, or else the dev set.
        test_reference: Its reference translations.
        test_data: One file with both sides, instead of these.
        tokenized: The text is already split into tokens, and BLEU counts those.
        overrides: Keys of the recipe, as `["train.seed=7"]` or `{"train.seed": 7}`; of finished runs only [search].
        placeholders: The values of the placeholders of a recipe, as `{"language": "tur"}` for `{language}`.
        quiet: Print nothing.
        console: Where to print messages and progress; standard error by default.
    """

    output: str | Path | None
    test_source: str | Path | None
    test_reference: str | Path | None
    test_data: str | Path | None
    tokenized: bool
    overrides: Overrides
    placeholders: Placeholders
    quiet: bool
    console: Console | None


class TrainedOptions(CompareOptions, total=False):
    """Options of `regard.compare` for systems that it trains.

    Attributes:
        architectures: The architectures to train; by default all of regard's own.
        minutes: Training time of each system; by default the recipe's, or 10 if it sets neither minutes nor steps nor
            epochs; 0.36 for a built-in corpus.
        seeds: How many systems of each architecture to train, with seeds that follow each other; by default 1.
        jobs: How many systems to train at a time, each in its own process with its share of the cores; by default 1.
    """

    architectures: Sequence[str]
    minutes: float | None
    seeds: int
    jobs: int


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of `regard.compare`.

    Attributes:
        report: All measurements, also of lengths, steps and samples.
        page: The page; None if no output was given.
        failures: The errors of systems that are left out because their training failed.
    """

    report: ComparisonReport
    page: Path | None
    failures: Mapping[str, TrainingError]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each system, as `pandas.DataFrame` reads them."""
        return [
            {
                "name": system.name,
                "parameters": system.parameters,
                "steps": system.steps,
                "minutes": system.minutes,
                "bleu": system.bleu.value,
                "bleu_low": system.bleu.low,
                "bleu_high": system.bleu.high,
                "chrf": system.chrf.value,
                "exact": 100 * system.exact,
                "exact_low": 100 * system.exact_interval.low,
                "exact_high": 100 * system.exact_interval.high,
                **system.plugin_scores,
                "sentences_per_second": system.sentences_per_second,
            }
            for system in self.report.systems
        ]

    def __str__(self) -> str:
        head, *rows = self._cells()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in (head, *rows))
        ]
        return "\n".join([*lines, *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        head, *rows = self._cells()
        notes = [(note,) for note in self._notes()]
        return render_output_table(rows, head) + (render_output_table(notes) if notes else "")

    def _cells(self) -> list[tuple[str, ...]]:
        rows = []
        for system in self.report.systems:
            exact = system.exact_interval
            scores = {
                "BLEU": (f"{system.bleu.value:.1f}", f"{system.bleu.low:.1f} to {system.bleu.high:.1f}"),
                "exact %": (f"{100 * exact.value:.1f}", f"{100 * exact.low:.1f} to {100 * exact.high:.1f}"),
            }
            first, second = ("BLEU", "exact %") if self.report.metric == "BLEU" else ("exact %", "BLEU")
            rows.append(
                {
                    "system": system.name,
                    "parameters": f"{system.parameters:,}",
                    first: scores[first][0],
                    "95% interval": scores[first][1],
                    "chrF": f"{system.chrf.value:.1f}",
                    second: scores[second][0],
                    "minutes": f"{system.minutes:.1f}",
                    "sentences/s": f"{system.sentences_per_second:,.1f}",
                }
            )
        return [tuple(rows[0]), *(tuple(row.values()) for row in rows)]

    def _notes(self) -> list[str]:
        means = [summary.describe() for summary in self.report.seeds]
        return means + [f"{name} is left out: {error.message}" for name, error in self.failures.items()]


@overload
def compare(recipe: str | Path, **options: Unpack[TrainedOptions]) -> Comparison: ...
@overload
def compare(*, corpus: Literal["dates", "numbers"], **options: Unpack[TrainedOptions]) -> Comparison: ...
@overload
def compare(*, runs: Sequence[str | Path], **options: Unpack[CompareOptions]) -> Comparison: ...
def compare(recipe: str | Path | None = None, **options: Any) -> Comparison:
    """Train systems under one budget, or take finished runs, and compare them on a test set.

    Example:
        >>> print(regard.compare(runs=["runs/first", "runs/second"]))

    Args:
        recipe: The recipe that every system is trained with.
        options: Instead of a recipe `corpus`, a built-in corpus, or `runs`, finished runs. For all other options see
            `CompareOptions` and `TrainedOptions`.

    Raises:
        ConfigError, DataError, CheckpointError: See their messages.
        TrainingError: No system could be trained.
        KeyboardInterrupt: Ctrl-C. With an `output`, the same call continues.
    """
    valid = {"corpus", "runs", *TrainedOptions.__annotations__, *CompareOptions.__annotations__}
    for name in options:
        if name not in valid:
            raise ConfigError(f"unknown option `{name}`", where=CALLER, fix=suggest(name, sorted(valid)))
    runs, architectures = options.get("runs", ()), options.get("architectures", "all")
    source, reference, data = (None if options.get(key) is None else Path(options[key]) for key in TEST_SET)
    request = ComparisonRequest(
        recipe=None if recipe is None else Path(recipe),
        corpus=options.get("corpus"),
        architectures=architectures if isinstance(architectures, str) else ",".join(architectures),
        minutes=options.get("minutes"),
        seeds=options.get("seeds", 1),
        runs=[Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)],
        overrides=to_overrides(options.get("overrides", ())),
        placeholders=options.get("placeholders", {}),
        test=CorpusPaths(source, reference, data, TEST_SET),
        tokenized=options.get("tokenized", False),
        jobs=options.get("jobs", 1),
    )
    console = Console(quiet=True) if options.get("quiet") else options.get("console") or Console(stderr=True)
    output = options.get("output")
    if output is not None:
        outcome = measure_systems(request, Path(output), console)
        page = write_report(outcome.report, Path(output), console)
        return Comparison(outcome.report, page, outcome.failures)
    with TemporaryDirectory(prefix="regard-compare-") as folder:
        outcome = measure_systems(request, Path(folder), console)
    return Comparison(outcome.report, None, outcome.failures)
