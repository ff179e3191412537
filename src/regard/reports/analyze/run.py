"""A run, or two against each other, put to all tests of the analysis report."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from regard.attention.maps import Looks, look
from regard.errors import DataError
from regard.evaluation.alignment_error import Agreement, agreement
from regard.evaluation.bootstrap import Sure, paired_bootstrap
from regard.evaluation.by_frequency import FrequencyClass, by_frequency, words
from regard.evaluation.by_length import by_length
from regard.evaluation.calibration import Calibration, calibration
from regard.evaluation.common_subsequence import kept
from regard.evaluation.error_types import faults
from regard.evaluation.metrics import bleu_metric
from regard.inference.translator import Translation, Translator
from regard.reports.analyze.alignments import alignments
from regard.reports.analyze.progress import Watch
from regard.reports.analyze.results import LOWEST, Example, Findings, HeldOut, Report
from regard.reports.analyze.search_errors import sample_of, search_errors
from regard.reports.analyze.token_probabilities import sureness
from regard.reports.analyze.training_counts import TrainingWords, training_words
from regard.tokenizers.words import Link

SHOWN = 5  # sentences of a kind
DRAWN = 100  # tokens of a side: of longer ones no attention is shown
LONGEST = 1000  # tokens of a side: longer pairs do not count for calibration, whose time grows with the square
CHUNK = 4  # batches that are searched between two moves of the progress bar


@dataclass(frozen=True)
class Subject:
    """A run to be looked into: what to call it, where it lies, and its translator."""

    name: str
    run: Path
    translator: Translator


@dataclass(frozen=True)
class Depth:
    """How much is done: sentences decoded together, and those of the sample that is searched exactly; 0: none."""

    batch_size: int = 64
    exact: int = 20


@dataclass(frozen=True)
class _Said:
    """A subject's translations of the test set, and each one's chrF."""

    subject: Subject
    found: tuple[Translation, ...]
    chrf: tuple[float, ...]

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.found]


def assess(subjects: Sequence[Subject], test: HeldOut, depth: Depth, watch: Watch) -> Report:
    """Put one or two runs of different names to the test. Raises DataError where the test set has no pair."""
    if not test.sources:
        raise DataError("no pair has text", where=test.name, fix="give a test set with lines")
    language = next((one.translator.target_language for one in subjects if one.translator.target_language), "")
    bleu = bleu_metric(test.references, target_language=language)
    metrics: dict[str, Metric] = {"bleu": bleu, "chrf": CHRF(), "ter": TER()}
    said = [_translated(subject, test, depth, watch) for subject in subjects]
    scores = {
        name: paired_bootstrap(
            {one.subject.name: one.texts for one in said}, test.references, metric, lowest=name in LOWEST
        )
        for name, metric in watch("drawing samples", metrics.items(), len(metrics))
    }
    notes = list(test.left)
    seen = _seen(subjects, bleu, notes, watch)
    meant = [words(text, bleu) for text in test.references]
    findings = []
    for one in said:
        own = {name: sure[one.subject.name] for name, sure in scores.items()}
        classes = by_frequency([words(text, bleu) for text in one.texts], meant, seen[1].counts) if seen else []
        findings.append(_findings(one, test, own, classes, depth, watch, notes))
    return Report(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        test=test,
        findings=tuple(findings),
        signatures={name: str(metric.get_signature()) for name, metric in metrics.items()},
        notes=tuple(notes),
        counted=seen[0] if seen else "",
        worst=tuple(_examples(said, test, places, watch) for places in _worst(said)),
        differing=tuple(_examples(said, test, places, watch) for places in _differing(said)),
    )


def _translated(subject: Subject, test: HeldOut, depth: Depth, watch: Watch) -> _Said:
    step = CHUNK * depth.batch_size

    def each() -> Iterable[Translation]:
        for first in range(0, len(test.sources), step):
            some = test.sources[first : first + step]
            yield from subject.translator.stream(
                some, batch_size=depth.batch_size, first_line=first, split_sentences=False
            )

    found = tuple(watch(f"translating by {subject.name}", each(), len(test.sources)))
    metric = CHRF()
    pairs = zip(found, test.references, strict=True)
    return _Said(subject, found, tuple(float(metric.sentence_score(one.text, [text]).score) for one, text in pairs))


def _seen(
    subjects: Sequence[Subject], metric: BLEU, notes: list[str], watch: Watch
) -> tuple[str, TrainingWords] | None:
    """The words of the first run whose training data is there, and a sentence that says which."""
    for subject in subjects:
        try:
            seen = training_words(subject.run, metric, watch)
        except DataError as error:
            notes.append(f"Words by frequency are not those of {subject.name}: {error.what} ({error.where}).")
            continue
        part = "" if seen.pairs == seen.of else f", counted on {seen.pairs:,} of them"
        return f"the training data of {subject.name}, {seen.of:,} pairs{part}", seen
    return None


def _findings(
    said: _Said,
    test: HeldOut,
    scores: Mapping[str, Sure],
    frequency: Sequence[FrequencyClass],
    depth: Depth,
    watch: Watch,
    notes: list[str],
) -> Findings:
    translator, name = said.subject.translator, said.subject.name
    each = zip(said.found, test.sources, test.references, strict=True)
    references, own, left = _calibrations(said, test, watch)
    if left:
        total = len(test.sources)
        notes.append(f"Left out of the calibration of {name}: {left:,} of {total:,} pairs, of over {LONGEST:,} tokens.")
    search = None
    if depth.exact:
        places = sample_of(len(test.sources), depth.exact)
        search = search_errors(translator, test.sources, said.found, places, watch)
    return Findings(
        name=name,
        run=str(said.subject.run),
        facts=_facts(said),
        scores=scores,
        hypotheses=tuple(said.texts),
        chrf=said.chrf,
        faults=tuple(faults(one.marks, source, one.text, reference) for one, source, reference in each),
        lengths=tuple(by_length(test.sources, said.texts, test.references, target_language=translator.target_language)),
        frequency=tuple(frequency),
        calibration=references,
        own=own,
        search=search,
        alignment=_alignment(said, test, watch, notes),
        gradient=not translator.model.decoder.has_attention,
    )


def _facts(said: _Said) -> dict[str, str]:
    translator = said.subject.translator
    search, parameters = translator.search, sum(one.numel() for one in translator.model.parameters())
    how = f"beam of {search.beam_size}" if search.strategy == "beam" else search.strategy
    return {
        "folder": str(said.subject.run),
        "parameters": f"{parameters:,}",
        "tokens": f"{translator.tokenizers.target.kind}, {translator.tokenizers.target.size:,} of the target",
        "search": f"{how}, length penalty {search.length_penalty:g} ({search.length_norm})",
    }


def _calibrations(said: _Said, test: HeldOut, watch: Watch) -> tuple[Calibration | None, Calibration | None, int]:
    """On the references, on the run's own translations, and how many pairs are too long for it."""
    tokenizers = said.subject.translator.tokenizers
    asked = [tokenizers.source.encode(text) for text in test.sources]
    meant = [tokenizers.target.encode(text) for text in test.references]
    own = [list(one.ids) for one in said.found]
    short = [place for place in range(len(asked)) if max(map(len, (asked[place], meant[place], own[place]))) <= LONGEST]
    given = sureness(said.subject.translator, [(asked[place], meant[place]) for place in short])
    found = [one for _, one in watch("calibration on the references", given, len(short))]
    told = sureness(said.subject.translator, [(asked[place], own[place]) for place in short])
    sure, right = [], []
    for place, one in watch("calibration on its own translations", told, len(short)):
        sure.append(one.said[:-1])  # without EOS, which would always be kept
        right.append(np.array(kept(own[short[place]], meant[short[place]]), dtype=bool))
    return (
        _calibration([one.most for one in found], [one.right for one in found]),
        _calibration(sure, right),
        len(asked) - len(short),
    )


def _calibration(sure: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> Calibration | None:
    if not sum(map(len, sure)):
        return None
    return calibration(np.concatenate(sure), np.concatenate(right))


def _alignment(said: _Said, test: HeldOut, watch: Watch, notes: list[str]) -> dict[str, Agreement] | None:
    """Of each way to align, over the pairs that have gold links and are short enough."""
    if test.gold is None:
        return None
    translator = said.subject.translator
    gold = [(place, one) for place, one in enumerate(test.gold) if one is not None]
    found: dict[str, list[frozenset[Link]]] = {}
    used = []
    for place, one in watch("aligning", gold, len(gold)):
        ways = alignments(translator, test.sources[place], test.references[place])
        if ways is not None:
            used.append(one)
            for way, links in ways.items():
                found.setdefault(way, []).append(links)
    if len(used) < len(gold):
        left, name = len(gold) - len(used), said.subject.name
        notes.append(f"Left out of the alignments of {name}: {left:,} of {len(gold):,} pairs, too long to be aligned.")
    if not used:
        return None
    return {way: agreement(links, used) for way, links in found.items()}


def _worst(said: Sequence[_Said]) -> list[list[int]]:
    """Of each run the places of the least chrF."""
    return [sorted(range(len(one.chrf)), key=lambda place: one.chrf[place])[:SHOWN] for one in said]


def _differing(said: Sequence[_Said]) -> list[list[int]]:
    """Of two runs the places where the first is better by the most, and the second."""
    if len(said) < 2:
        return []
    ahead = [one - other for one, other in zip(said[0].chrf, said[1].chrf, strict=True)]
    order = sorted(range(len(ahead)), key=lambda place: -ahead[place])
    better = [place for place in order[:SHOWN] if ahead[place] > 0]
    return [better, [place for place in reversed(order[-SHOWN:]) if ahead[place] < 0]]


def _examples(said: Sequence[_Said], test: HeldOut, places: Sequence[int], watch: Watch) -> tuple[Example, ...]:
    return tuple(
        Example(place, tuple(_look(one, test.sources[place], one.found[place].ids) for one in said))
        for place in watch("looking at some sentences", places, len(places))
    )


def _look(said: _Said, source: str, target: Sequence[int]) -> Looks | None:
    translator = said.subject.translator
    if max(len(target), len(translator.tokenizers.source.encode(source))) > DRAWN:
        return None
    return look(translator, source, target)
