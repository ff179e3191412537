"""What an analysis of one run, or of two against each other, has found; its JSON is this, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from regard.attention.maps import AttentionMaps
from regard.evaluation.alignment_error import AlignmentScores, GoldAlignment
from regard.evaluation.bootstrap import BootstrapInterval
from regard.evaluation.by_frequency import FrequencyClass
from regard.evaluation.by_length import LengthBin
from regard.evaluation.calibration import Calibration
from regard.reports.analyze.search_errors import SearchErrors

METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
LOWEST = ("ter",)  # metrics whose least score is the best


@dataclass(frozen=True)
class HeldOut:
    """Pairs that have text, as what they are translated from and judged by.

    name: of the files. lines: (N,) where each pair stands in them, from 1.
    read: pairs of the files; those that are not here have no text on either side.
    left: what a file has beside them, in sentences.
    gold: (N,) alignments made by people, None of a pair that has none; None: there are no such alignments at all.
    """

    name: str
    lines: tuple[int, ...]
    sources: tuple[str, ...]
    references: tuple[str, ...]
    read: int
    gold: tuple[GoldAlignment | None, ...] | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What was found of one run.

    run: its folder. facts: what it is, by name, for a reader.
    scores: each metric's, with the paired bootstrap's p where the other run is better by it.
    hypotheses, chrf, faults: (N,) of each sentence of the test set its translation, sentence chrF, and what is wrong.
    lengths, frequency: quality by the source's length, and by how often training has seen a word.
    calibration: of the most probable token, right where it is the reference's, given the reference so far. own: of
        the tokens of its own translations, right where the reference keeps them. None where nothing was measured.
    search: None where it was not asked for. alignment: by what was looked at (`mean`, `layer 1`), None without gold.
    gradient: it does not attend, and gradients stand for what it looks at.
    """

    name: str
    run: str
    facts: Mapping[str, str]
    scores: Mapping[str, BootstrapInterval]
    hypotheses: tuple[str, ...]
    chrf: tuple[float, ...]
    faults: tuple[tuple[str, ...], ...]
    lengths: tuple[LengthBin, ...]
    frequency: tuple[FrequencyClass, ...]
    calibration: Calibration | None
    own: Calibration | None
    search: SearchErrors | None
    alignment: Mapping[str, AlignmentScores] | None
    gradient: bool


@dataclass(frozen=True)
class Example:
    """A sentence to be shown, by its place in the test set, with what each run looked at; None: it is too long."""

    place: int
    looks: tuple[AttentionMaps | None, ...]


@dataclass(frozen=True)
class Report:
    """An analysis of one run or two.

    signatures: sacreBLEU's, of each metric. notes: what could not be measured, or only in part, as sentences.
    counted: on which training data words were counted, as a sentence; empty where there was none.
    worst: of each run the sentences of the least chrF. differing: those of which the first is better than the second
        by the most, and the reverse; empty of one run.
    """

    date: str
    test: HeldOut
    findings: tuple[Findings, ...]
    signatures: Mapping[str, str]
    notes: tuple[str, ...]
    counted: str
    worst: tuple[tuple[Example, ...], ...]
    differing: tuple[tuple[Example, ...], ...]


def as_table(report: Report) -> dict[str, Any]:
    """The report as JSON has it: all sentences with their chrF and faults, and no attention."""
    runs = []
    for one in report.findings:
        kept = {field.name: getattr(one, field.name) for field in fields(one)}
        for name in ("hypotheses", "chrf", "faults"):  # by sentence, below
            del kept[name]
        runs.append({name: _plain(value) for name, value in kept.items()})
    test = report.test
    return {
        "date": report.date,
        "test": {"name": test.name, "read": test.read, "pairs": len(test.sources)},
        "signatures": dict(report.signatures),
        "notes": list(report.notes),
        "words_counted_in": report.counted,
        "runs": runs,
        "worst": [[test.lines[example.place] for example in some] for some in report.worst],
        "differing": [[test.lines[example.place] for example in some] for some in report.differing],
        "sentences": [
            {
                "line": line,
                "source": test.sources[place],
                "reference": test.references[place],
                "translations": [
                    {"text": one.hypotheses[place], "chrf": one.chrf[place], "faults": list(one.faults[place])}
                    for one in report.findings
                ],
            }
            for place, line in enumerate(test.lines)
        ],
    }


def _plain(value: Any) -> Any:
    match value:
        case None | str() | bool() | int() | float():
            return value
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return {_JSON_NAMES.get((type(value), name), name): _plain(each) for name, each in asdict(value).items()}


# The names of some fields in the JSON, which are older than those in the code.
_JSON_NAMES = {
    (FrequencyClass, "min_count"): "least",
    (FrequencyClass, "max_count"): "most",
    (FrequencyClass, "in_references"): "meant",
    (FrequencyClass, "in_hypotheses"): "said",
    (AlignmentScores, "predicted"): "found",
}
