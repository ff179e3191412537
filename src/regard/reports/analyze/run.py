"""Analysis of one run, or of two runs compared with each other, on a test set."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from regard.attention.maps import AttentionMaps, compute_attention_maps
from regard.errors import DataError
from regard.evaluation.alignment_error import AlignmentScores, score_alignments
from regard.evaluation.bootstrap import BootstrapInterval, compare_shares, paired_bootstrap
from regard.evaluation.by_frequency import FrequencyClass, by_frequency, split_words
from regard.evaluation.by_label import LabelScores, by_label
from regard.evaluation.by_length import by_length
from regard.evaluation.calibration import Calibration, compute_calibration
from regard.evaluation.edit_alignment import find_matches
from regard.evaluation.error_types import classify_errors
from regard.evaluation.metrics import bleu_metric, hits_in_top, plugin_scores
from regard.evaluation.test_set import TestSet
from regard.inference.translator import Translation, Translator
from regard.reports.analyze.alignments import align_words
from regard.reports.analyze.confidence import measure_confidence
from regard.reports.analyze.perturbed import PerturbedScores, measure_perturbed
from regard.reports.analyze.progress import ProgressHook
from regard.reports.analyze.results import LOWER_IS_BETTER, AnalysisReport, Example, RunResults
from regard.reports.analyze.search_errors import SearchErrors, draw_sample, measure_search_errors
from regard.reports.analyze.token_probabilities import compute_token_probabilities
from regard.reports.analyze.training_counts import TrainingCounts, count_training_words
from regard.tokenizers.words import Link

EXAMPLES = 5  # sentences of each kind
MAX_SHOWN_TOKENS = 100  # of a side: the attention of longer sentences is not shown
MAX_TOKENS = 1000  # of a side: longer pairs are left out of the calibration, whose time grows with the square
BATCHES_PER_CALL = 4  # batches that are translated between two updates of the progress bar


@dataclass(frozen=True)
class LoadedRun:
    """A run to analyze: its name in the report, its folder, and its translator."""

    name: str
    folder: Path
    translator: Translator


@dataclass(frozen=True)
class AnalysisOptions:
    """Options of an analysis.

    Attributes:
        batch_size: Sentences that are decoded together.
        exact_sentences: Sentences of the sample on which search errors are measured; 0 to skip this.
        perturb: Whether to measure the quality on perturbed copies of the test set, too.
        top: Each K above 1 for which references among the K best translations are counted, too.
    """

    batch_size: int = 64
    exact_sentences: int = 20
    perturb: bool = False
    top: tuple[int, ...] = ()


@dataclass(frozen=True)
class _TranslatedRun:
    """A run with its translations of the test set, the chrF of each, and for each K the references in the K best."""

    run: LoadedRun
    translations: tuple[Translation, ...]
    chrf: tuple[float, ...]
    hits: Mapping[int, Sequence[bool]]

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def translator(self) -> Translator:
        return self.run.translator

    @property
    def texts(self) -> list[str]:
        return [translation.text for translation in self.translations]


def analyze_runs(
    runs: Sequence[LoadedRun], test: TestSet, options: AnalysisOptions, track: ProgressHook
) -> AnalysisReport:
    """Analyze one run, or two runs with different names.

    Raises:
        DataError: The test set has no pairs.
    """
    if not test.sources:
        raise DataError("no pair has text", where=test.name, fix="give a test set with text")
    language = next((run.translator.target_language for run in runs if run.translator.target_language), "")
    bleu = bleu_metric(test.references, target_language=language)
    metrics: dict[str, Metric] = {"bleu": bleu, "chrf": CHRF(), "ter": TER()}
    translated = [_translate(run, test, options, track) for run in runs]
    hypotheses = {run.name: run.texts for run in translated}
    scores = {
        name: paired_bootstrap(hypotheses, test.references, metric, lower_is_better=name in LOWER_IS_BETTER)
        for name, metric in track("resampling the test set", metrics.items(), len(metrics))
    }
    exact_at = {
        count: compare_shares({run.name: run.hits[count] for run in translated}) for count in translated[0].hits
    }
    notes = list(test.notes)
    counted = _count_words(runs, bleu, notes, track)
    reference_words = [split_words(text, bleu) for text in test.references]
    results = []
    for run in translated:
        run_scores = {name: intervals[run.name] for name, intervals in scores.items()}
        words = [split_words(text, bleu) for text in run.texts]
        classes = by_frequency(words, reference_words, counted[1].counts) if counted else []
        result = _measure(run, test, run_scores, classes, options, track, notes)
        run_exact = {count: intervals[run.name] for count, intervals in exact_at.items()}
        results.append(replace(result, exact_at=run_exact, labels=_measure_labels(run, test, bleu)))
    return AnalysisReport(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        test=test,
        runs=tuple(results),
        signatures={name: str(metric.get_signature()) for name, metric in metrics.items()},
        notes=tuple(notes),
        counted_in=counted[0] if counted else "",
        worst=tuple(_make_examples(translated, test, indices, track) for indices in _find_worst(translated)),
        differing=tuple(_make_examples(translated, test, indices, track) for indices in _find_differing(translated)),
    )


def _translate(run: LoadedRun, test: TestSet, options: AnalysisOptions, track: ProgressHook) -> _TranslatedRun:
    top_beams = max((1, *options.top))
    stream = _translate_all(run, test.sources, options, top_beams)
    translations = tuple(track(f"translating with {run.name}", stream, len(test)))
    metric = CHRF()
    scores = tuple(
        float(metric.sentence_score(translation.text, [reference]).score)
        for translation, reference in zip(translations, test.references, strict=True)
    )
    n_best = [[hypothesis.text for hypothesis in best.n_best] for best in translations]
    hits = {count: hits_in_top(n_best, test.references, count) for count in sorted({1, *options.top})}
    return _TranslatedRun(run, translations, scores, hits)


def _translate_all(
    run: LoadedRun, sources: Sequence[str], options: AnalysisOptions, top_beams: int = 1
) -> Iterable[Translation]:
    step = BATCHES_PER_CALL * options.batch_size
    for first in range(0, len(sources), step):
        part = sources[first : first + step]
        yield from run.translator.stream(
            part,
            batch_size=options.batch_size,
            first_line=first,
            top_beams=top_beams,
            split_sentences=False,
            with_confidence=run.translator.confidence is not None,
        )


def _measure_perturbed(
    run: _TranslatedRun, test: TestSet, chrf: float, options: AnalysisOptions, track: ProgressHook
) -> tuple[PerturbedScores, ...]:
    if not options.perturb:
        return ()

    def translate(name: str, sources: Sequence[str]) -> list[str]:
        translations = _translate_all(run.run, sources, options)
        return [best.text for best in track(f"translating with {run.name}: {name}", translations, len(sources))]

    return measure_perturbed(test, chrf, run.translator.target_language, translate)


def _count_words(
    runs: Sequence[LoadedRun], metric: BLEU, notes: list[str], track: ProgressHook
) -> tuple[str, TrainingCounts] | None:
    """Count words in the training data of the first run that has it. Return what was counted, and the counts."""
    for run in runs:
        try:
            counts = count_training_words(run.folder, metric, track)
        except DataError as error:
            notes.append(f"Words are not counted in the training data of {run.name}: {error.message} ({error.where}).")
            continue
        part = "" if counts.pairs_counted == counts.pairs else f", counted on {counts.pairs_counted:,} of them"
        return f"the training data of {run.name}, {counts.pairs:,} pairs{part}", counts
    return None


def _measure(
    run: _TranslatedRun,
    test: TestSet,
    scores: Mapping[str, BootstrapInterval],
    frequency: Sequence[FrequencyClass],
    options: AnalysisOptions,
    track: ProgressHook,
    notes: list[str],
) -> RunResults:
    calibration, own_calibration = _measure_calibration(run, test, track, notes)
    language = run.translator.target_language
    lines = zip(run.translations, test.sources, test.references, strict=True)
    return RunResults(
        name=run.name,
        run=str(run.run.folder),
        facts=_describe_run(run.run),
        scores=scores,
        hypotheses=tuple(run.texts),
        chrf=run.chrf,
        errors=tuple(classify_errors(best.marks, source, best.text, reference) for best, source, reference in lines),
        lengths=tuple(by_length(test.sources, run.texts, test.references, target_language=language)),
        frequency=tuple(frequency),
        calibration=calibration,
        own_calibration=own_calibration,
        confidence=measure_confidence(run.translator, run.translations, test.sources, test.references, run.chrf),
        search=_measure_search(run, test, options, track),
        alignment=_measure_alignment(run, test, track, notes),
        is_saliency=not run.translator.model.decoder.has_attention,
        plugin_scores=plugin_scores(run.texts, test.references),
        perturbed=_measure_perturbed(run, test, scores["chrf"].value, options, track),
    )


def _measure_labels(run: _TranslatedRun, test: TestSet, bleu: BLEU) -> tuple[LabelScores, ...]:
    if test.labels is None:
        return ()
    hits = {count: is_hit for count, is_hit in run.hits.items() if count > 1}
    return tuple(by_label(test.labels, run.texts, test.references, bleu, hits))


def _describe_run(run: LoadedRun) -> dict[str, str]:
    search, tokenizer = run.translator.search, run.translator.tokenizers.target
    parameters = run.translator.num_parameters
    strategy = f"beam of {search.beam_size}" if search.strategy == "beam" else search.strategy
    return {
        "folder": str(run.folder),
        "parameters": f"{parameters:,}",
        "tokens": f"{tokenizer.kind}, {tokenizer.size:,} of the target",
        "search": f"{strategy}, length penalty {search.length_penalty:g} ({search.length_norm})",
    }


def _measure_search(
    run: _TranslatedRun, test: TestSet, options: AnalysisOptions, track: ProgressHook
) -> SearchErrors | None:
    if not options.exact_sentences:
        return None
    indices = draw_sample(len(test), options.exact_sentences)
    return measure_search_errors(run.translator, test.sources, indices, track)


def _measure_calibration(
    run: _TranslatedRun, test: TestSet, track: ProgressHook, notes: list[str]
) -> tuple[Calibration | None, Calibration | None]:
    """Return the calibration given the references, and that of the run's own translations."""
    prepared = [run.translator.prepare(text) for text in test.sources]
    encode = run.translator.tokenizers.target.encode
    sources = [source.encode() for source in prepared]
    references = [encode(source.reference(text).text) for source, text in zip(prepared, test.references, strict=True)]
    hypotheses = [list(translation.ids) for translation in run.translations]
    indices = [
        index
        for index, sides in enumerate(zip(sources, references, hypotheses, strict=True))
        if max(map(len, sides)) <= MAX_TOKENS
    ]
    if skipped := len(test) - len(indices):
        notes.append(
            f"The calibration of {run.name} leaves out {skipped:,} of {len(test):,} pairs with more than "
            f"{MAX_TOKENS:,} tokens."
        )
    on_references = compute_token_probabilities(
        run.translator, [(sources[index], references[index]) for index in indices]
    )
    given_reference = [tokens for _, tokens in track("calibration given the references", on_references, len(indices))]
    on_hypotheses = compute_token_probabilities(
        run.translator, [(sources[index], hypotheses[index]) for index in indices]
    )
    probabilities, is_match = [], []
    for number, tokens in track("calibration of the translations", on_hypotheses, len(indices)):
        index = indices[number]
        probabilities.append(tokens.target[:-1])  # without EOS, which always matches
        is_match.append(np.array(find_matches(hypotheses[index], references[index]), dtype=bool))
    return (
        _calibrate([tokens.highest for tokens in given_reference], [tokens.is_highest for tokens in given_reference]),
        _calibrate(probabilities, is_match),
    )


def _calibrate(probabilities: Sequence[np.ndarray], is_correct: Sequence[np.ndarray]) -> Calibration | None:
    if not sum(map(len, probabilities)):
        return None
    return compute_calibration(np.concatenate(probabilities), np.concatenate(is_correct))


def _measure_alignment(
    run: _TranslatedRun, test: TestSet, track: ProgressHook, notes: list[str]
) -> dict[str, AlignmentScores] | None:
    """Score the alignments of the mean and of each layer, on pairs that have gold alignments and are short enough."""
    if test.gold is None:
        return None
    gold = [(index, reference) for index, reference in enumerate(test.gold) if reference is not None]
    predictions: dict[str, list[frozenset[Link]]] = {}
    aligned = []
    for index, reference in track("aligning words", gold, len(gold)):
        links_by_layer = align_words(run.translator, test.sources[index], test.references[index])
        if links_by_layer is not None:
            aligned.append(reference)
            for layer, links in links_by_layer.items():
                predictions.setdefault(layer, []).append(links)
    if skipped := len(gold) - len(aligned):
        notes.append(f"The alignments of {run.name} leave out {skipped:,} of {len(gold):,} pairs, which are too long.")
    if not aligned:
        return None
    return {layer: score_alignments(links, aligned) for layer, links in predictions.items()}


def _find_worst(runs: Sequence[_TranslatedRun]) -> list[list[int]]:
    """Return for each run the indices of the sentences with the lowest chrF."""
    return [sorted(range(len(run.chrf)), key=lambda index: run.chrf[index])[:EXAMPLES] for run in runs]


def _find_differing(runs: Sequence[_TranslatedRun]) -> list[list[int]]:
    """Return for two runs the sentences where the first is better by the largest margin, and where the second is."""
    if len(runs) < 2:
        return []
    margins = [first - second for first, second in zip(runs[0].chrf, runs[1].chrf, strict=True)]
    order = sorted(range(len(margins)), key=lambda index: -margins[index])
    first_better = [index for index in order[:EXAMPLES] if margins[index] > 0]
    return [first_better, [index for index in reversed(order[-EXAMPLES:]) if margins[index] < 0]]


def _make_examples(
    runs: Sequence[_TranslatedRun], test: TestSet, indices: Sequence[int], track: ProgressHook
) -> tuple[Example, ...]:
    return tuple(
        Example(
            index,
            tuple(_compute_maps(run.translator, test.sources[index], run.translations[index].ids) for run in runs),
        )
        for index in track("computing attention of examples", indices, len(indices))
    )


def _compute_maps(translator: Translator, source: str, target: Sequence[int]) -> AttentionMaps | None:
    if max(len(target), len(translator.tokenizers.source.encode(source))) > MAX_SHOWN_TOKENS:
        return None
    return compute_attention_maps(translator, source, target)
