"""The results of an analysis of one or two runs, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from regard.attention.maps import AttentionMaps
from regard.evaluation.alignment_error import AlignmentScores
from regard.evaluation.bootstrap import BootstrapInterval
from regard.evaluation.by_frequency import FrequencyClass
from regard.evaluation.by_label import LabelScores
from regard.evaluation.by_length import LengthBin
from regard.evaluation.calibration import Calibration
from regard.evaluation.test_set import TestSet
from regard.reports.analyze.confidence import ConfidenceQuality
from regard.reports.analyze.perturbed import PerturbedScores
from regard.reports.analyze.search_errors import MissedTranslation, SearchErrors

METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
LOWER_IS_BETTER = ("ter",)


@dataclass(frozen=True)
class RunResults:
    """The results of one run on a test set of N pairs.

    Attributes:
        name: The run's name in the report.
        run: Its folder.
        facts: What the run is, for a reader.
        scores: Score of each metric; p is that of the paired bootstrap if the other run is better.
        hypotheses: (N,) the translations.
        chrf: (N,) their chrF.
        errors: (N,) their types of errors, see `regard.evaluation.error_types`.
        lengths: Quality by source length.
        frequency: Quality by how often a word occurs in the training data.
        calibration: Calibration of the most probable token given the reference so far, correct if it is the
            reference's; None if it was not measured.
        own_calibration: Calibration of the tokens of the run's own translations, correct if the reference matches
            them; None if it was not measured.
        confidence: The quality of the run's confidence; None if it has not learned it.
        search: Search errors; None if they were not measured.
        alignment: Alignment scores by `mean` and by each layer (`layer 1`); None without gold alignments.
        is_saliency: The model has no attention, and gradients are used instead.
        plugin_scores: Scores of the metrics of plugins, by name.
        perturbed: Quality on perturbed copies of the test set; empty if it was not measured.
        exact_at: For each K, 1 first, the share of references, 0 to 1, that are among the K best translations; p is
            that of McNemar's test if the other run is better.
        labels: Quality by label, that of the most pairs first; empty if the test set has no labels.
    """

    name: str
    run: str
    facts: Mapping[str, str]
    scores: Mapping[str, BootstrapInterval]
    hypotheses: tuple[str, ...]
    chrf: tuple[float, ...]
    errors: tuple[tuple[str, ...], ...]
    lengths: tuple[LengthBin, ...]
    frequency: tuple[FrequencyClass, ...]
    calibration: Calibration | None
    own_calibration: Calibration | None
    search: SearchErrors | None
    alignment: Mapping[str, AlignmentScores] | None
    is_saliency: bool
    plugin_scores: Mapping[str, float] = field(default_factory=dict)
    confidence: ConfidenceQuality | None = None
    perturbed: tuple[PerturbedScores, ...] = ()
    exact_at: Mapping[int, BootstrapInterval] = field(default_factory=dict)
    labels: tuple[LabelScores, ...] = ()


@dataclass(frozen=True)
class Example:
    """A sentence that is shown: its index in the test set, and the attention of each run, None if it is too long."""

    index: int
    maps: tuple[AttentionMaps | None, ...]


@dataclass(frozen=True)
class AnalysisReport:
    """An analysis of one or two runs.

    Attributes:
        date: Date in ISO format.
        test: The test set.
        runs: The results of each run.
        signatures: sacreBLEU's signature of each metric.
        notes: What could not be measured, or only in part, as sentences.
        counted_in: The training data in which words were counted; empty if there is none.
        worst: For each run, the sentences with the lowest chrF.
        differing: For two runs, the sentences where the first is better by the largest margin, and those where the
            second is; empty for one run.
    """

    date: str
    test: TestSet
    runs: tuple[RunResults, ...]
    signatures: Mapping[str, str]
    notes: tuple[str, ...]
    counted_in: str
    worst: tuple[tuple[Example, ...], ...]
    differing: tuple[tuple[Example, ...], ...]


def report_to_json(report: AnalysisReport) -> dict[str, Any]:
    """Return the report as JSON: all numbers and all sentences, without attention."""
    test = report.test
    return {
        "date": report.date,
        "test": {"name": test.name, "read": test.pairs_read, "pairs": len(test)},
        "signatures": dict(report.signatures),
        "notes": list(report.notes),
        "words_counted_in": report.counted_in,
        "runs": [_run_to_json(run) for run in report.runs],
        "worst": [[test.lines[example.index] for example in examples] for examples in report.worst],
        "differing": [[test.lines[example.index] for example in examples] for examples in report.differing],
        "sentences": [
            {
                "line": line,
                **({} if test.labels is None else {"label": test.labels[index]}),
                "source": test.sources[index],
                "reference": test.references[index],
                "translations": [
                    {"text": run.hypotheses[index], "chrf": run.chrf[index], "faults": list(run.errors[index])}
                    for run in report.runs
                ],
            }
            for index, line in enumerate(test.lines)
        ],
    }


def _run_to_json(run: RunResults) -> dict[str, Any]:
    return {
        "name": run.name,
        "run": run.run,
        "facts": dict(run.facts),
        "scores": _to_json(run.scores),
        "exact_at": _to_json(run.exact_at),
        **({"plugin_scores": dict(run.plugin_scores)} if run.plugin_scores else {}),
        **({"perturbed": _to_json(run.perturbed)} if run.perturbed else {}),
        **({"labels": _to_json(run.labels)} if run.labels else {}),
        "lengths": _to_json(run.lengths),
        "frequency": _to_json(run.frequency),
        "calibration": _to_json(run.calibration),
        "own": _to_json(run.own_calibration),
        "confidence": _to_json(run.confidence),
        "search": _to_json(run.search),
        "alignment": _to_json(run.alignment),
        "gradient": run.is_saliency,
    }


# Fields whose name in the JSON, which programs read, is older than that in the code.
_JSON_NAMES = {
    (AlignmentScores, "predicted"): "found",
    (FrequencyClass, "min_count"): "least",
    (FrequencyClass, "max_count"): "most",
    (FrequencyClass, "in_references"): "meant",
    (FrequencyClass, "in_hypotheses"): "said",
    (MissedTranslation, "index"): "place",
    (SearchErrors, "less_probable"): "below",
    (SearchErrors, "optimal"): "right",
}


def _to_json(value: Any) -> Any:
    match value:
        case dict():
            return {name: _to_json(item) for name, item in value.items()}
        case list() | tuple():
            return [_to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        names = [item.name for item in fields(value)]
        return {_JSON_NAMES.get((kind, name), name): _to_json(getattr(value, name)) for name in names}
    return value
