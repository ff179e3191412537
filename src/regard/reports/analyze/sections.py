"""The sections of the report: tables, figures, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from regard.evaluation.bootstrap import SAMPLES, SEED, SIGNIFICANCE_LEVEL, BootstrapInterval
from regard.evaluation.error_types import ERROR_TYPES, count_errors
from regard.html.page import escape, render_details, render_table
from regard.reports.analyze import figures
from regard.reports.analyze.confidence_section import render_confidence
from regard.reports.analyze.label_section import render_labels
from regard.reports.analyze.perturbed import PERTURBATIONS
from regard.reports.analyze.results import LOWER_IS_BETTER, METRICS, AnalysisReport, RunResults
from regard.reports.analyze.search_errors import SearchErrors
from regard.reports.theme import render_figure

_MAX_LINES = 15  # line numbers listed for each type of error
_MISSING = "–"

LENGTH_CAPTION = (
    "chrF of all sentences with this many words in the source. A line that falls to the right shows a run that "
    "translates long sentences worse. Points with few sentences are mostly chance."
)
FREQUENCY_CAPTION = (
    "Words of the translations and the references, compared sentence by sentence as bags of words, by how often they "
    "occur on the target side of {data}. Words that never occur there are a separate class."
)
SEARCH_TEXT = (
    "<p>{sentences:,} random sentences of the test set were translated by beam search and by exact search. Both rank "
    "hypotheses by probability alone, without a glossary; exact search tries at most {steps:,} prefixes of a sentence. "
    "If beam search misses nothing and the translations are bad, the model is the cause. If the most probable "
    "translation is empty, only length penalties, narrow beams and the ban on empty translations keep the output "
    "complete (Stahlberg and Byrne 2019).</p>"
)
CALIBRATION_TEXT = (
    "<p>A calibrated model is correct as often as its probabilities say. Given the reference so far: is the most "
    "probable token that of the reference? In its own translations: does the reference match the token, in the "
    "alignment with the fewest edits? There, a good translation in other words counts as wrong.</p>"
)
ALIGNMENT_TEXT = (
    "<p>Each word of the reference is linked to the source word with the highest attention. The links are compared "
    "with {sure:,} sure and {possible:,} more possible links of a manual alignment of {pairs} (Och and Ney 2003). "
    "Lower AER is better; all numbers are in %. The mean is over all layers and heads.{saliency}</p>"
)
ROBUSTNESS_TEXT = (
    "<p>Quality on copies of the test set that are changed as people change text. Where a translation should follow "
    "the change, the reference is changed in the same way. Below each score is its difference from the score on the "
    "test set as it is, in % of that score.</p>"
)
METHOD = (
    "Scores are computed by sacreBLEU on detokenized text: {signatures}.",
    "Intervals and p-values come from {samples:,} bootstrap resamples of the test set (Koehn 2004; seed {seed}), which "
    "both runs share. A p-value is two-sided; that of sacreBLEU's paired bootstrap is about half as large.",
    "The interval of exact match is Wilson's, and its p-value that of McNemar's exact test: of the sentences that only "
    "one run translates exactly, the probability of a split between the runs at least this uneven.",
    "The chrF of a sentence is that of this sentence alone.",
    "Calibration errors use ten bins of equal width (Guo et al. 2017).",
    "Words are those that BLEU counts. For errors, they are separated by spaces, without case and punctuation.",
    "The attention of a sentence is that of its translation under teacher forcing.",
)


def render_all(report: AnalysisReport) -> list[tuple[str, str, str]]:
    """Return each section as its id, heading and HTML, except for the examples."""
    sections = [
        ("scores", "Scores", _render_scores(report)),
        ("lengths", "Quality by source length", _render_lengths(report)),
        ("frequency", "Quality by word frequency", _render_frequency(report)),
        *([("labels", "Quality by label", render_labels(report))] if report.runs[0].labels else []),
        *([("robustness", "Robustness", _render_robustness(report))] if report.runs[0].perturbed else []),
        ("errors", "Errors", _render_errors(report)),
        ("search", "Search errors", _render_search(report)),
        ("calibration", "Calibration", _render_calibration(report)),
        ("confidence", "Confidence", render_confidence(report)),
    ]
    if any(run.alignment for run in report.runs):
        sections.append(("alignment", "Word alignment", _render_alignment(report)))
    return sections


def render_method(report: AnalysisReport) -> str:
    """Return how the numbers were measured."""
    signatures = "; ".join(f"{METRICS[name]} <code>{escape(value)}</code>" for name, value in report.signatures.items())
    points = (point.format(signatures=signatures, samples=SAMPLES, seed=SEED) for point in METHOD)
    return f"<ul>{''.join(f'<li>{point}</li>' for point in points)}</ul>"


def _names(report: AnalysisReport) -> list[str]:
    return [escape(run.name) for run in report.runs]


def _head_per_run(report: AnalysisReport, columns: Sequence[str]) -> list[str]:
    return [f"{column}<small>{name}</small>" for name in _names(report) for column in columns]


# Scores


def name_exact_match(count: int) -> str:
    """Return the name of the share of references that are among the `count` best translations."""
    return f"exact match in the best {count}" if count > 1 else "exact match"


def p_value(scores: Sequence[BootstrapInterval]) -> float | None:
    """Return the p-value of the difference between two runs, None for one run.

    Args:
        scores: The scores of the runs in one metric.
    """
    return next((score.p for score in scores if score.p is not None), None)


def _render_scores(report: AnalysisReport) -> str:
    is_comparison = len(report.runs) == 2
    rows = []
    for key, name in METRICS.items():
        scores = [run.scores[key] for run in report.runs]
        direction = "lower" if key in LOWER_IS_BETTER else "higher"
        rows.append([f"{name}<small>{direction} is better</small>", *_score_cells(scores)])
    for name in report.runs[0].plugin_scores:
        values = [run.plugin_scores[name] for run in report.runs]
        cells = [f"{value:.2f}" for value in values]
        cells += [f"{values[1] - values[0]:+.2f}".replace("-", "−"), _MISSING] if is_comparison else []
        rows.append([f"{escape(name)}<small>higher is better</small>", *cells])
    for count in report.runs[0].exact_at:
        shares = [_to_percent(run.exact_at[count]) for run in report.runs]
        rows.append([f"{name_exact_match(count)}, %<small>higher is better</small>", *_score_cells(shares)])
    head = ["", *_names(report), *(["difference<small>second − first</small>", "p"] if is_comparison else [])]
    text = "<p>Below each score is its 95% interval.</p>"
    if is_comparison:
        text += f"<p>{_describe_significance(report)}</p>"
    return render_table("Scores", head, rows) + text


def _score_cells(scores: Sequence[BootstrapInterval]) -> list[str]:
    """Return each score with its interval; for two runs also the difference and its p-value."""
    cells = [f"{score.value:.2f}<small>{score.low:.2f} – {score.high:.2f}</small>" for score in scores]
    if len(scores) == 2:
        difference = f"{scores[1].value - scores[0].value:+.2f}".replace("-", "−")
        cells += [difference, _format_p(p_value(scores))]
    return cells


def _to_percent(share: BootstrapInterval) -> BootstrapInterval:
    return BootstrapInterval(100 * share.value, 100 * share.low, 100 * share.high, share.p)


def _format_p(p: float | None) -> str:
    if p is None:
        return _MISSING
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def _describe_significance(report: AnalysisReport) -> str:
    by_name = {name: [run.scores[key] for run in report.runs] for key, name in METRICS.items()}
    for count in report.runs[0].exact_at:
        by_name[name_exact_match(count)] = [run.exact_at[count] for run in report.runs]
    significant = [
        name for name, scores in by_name.items() if (p := p_value(scores)) is not None and p < SIGNIFICANCE_LEVEL
    ]
    result = (
        f"The runs differ significantly in {' and '.join(significant)} (p &lt; {SIGNIFICANCE_LEVEL})."
        if significant
        else f"The runs do not differ significantly (p ≥ {SIGNIFICANCE_LEVEL})."
    )
    tests = "paired bootstrap; McNemar's test for exact match"
    return f"{result} p is the probability of a difference at least this large by chance ({tests})."


# Quality by length and frequency


def _render_lengths(report: AnalysisReport) -> str:
    figure = render_figure(
        partial(figures.draw_by_length, report),
        alt="Line chart of chrF against the number of words in the source.",
        caption=LENGTH_CAPTION,
    )
    rows = [
        [
            f"{bins[0].label}<small>words</small>",
            f"{bins[0].sentences:,}",
            *(f"{part.bleu:.1f}<small>chrF {part.chrf:.1f}</small>" for part in bins),
        ]
        for bins in zip(*(run.lengths for run in report.runs), strict=True)
    ]
    head = ["source", "sentences", *(f"BLEU<small>{name}</small>" for name in _names(report))]
    return figure + render_details("Show as a table, with BLEU", render_table("Quality by source length", head, rows))


def _render_frequency(report: AnalysisReport) -> str:
    if not report.counted_in:
        return "<p>Not measured: there is no training data in which words could be counted.</p>"
    figure = render_figure(
        partial(figures.draw_by_frequency, report),
        alt="Line chart of the F1 of words against their count in the training data.",
        caption=FREQUENCY_CAPTION.format(data=report.counted_in),
    )
    rows = []
    for classes in zip(*(run.frequency for run in report.runs), strict=True):
        cells = [f"{classes[0].in_references:,}"]
        for row in classes:
            cells += [
                f"{100 * row.f1:.1f}" if row.in_references else _MISSING,
                f"{100 * row.precision:.1f}" if row.in_hypotheses else _MISSING,
                f"{100 * row.recall:.1f}" if row.in_references else _MISSING,
            ]
        rows.append([classes[0].label, *cells])
    head = ["count", "words in the references", *_head_per_run(report, ("F1", "precision", "recall"))]
    return figure + render_details("Show as a table, in %", render_table("Quality by word frequency", head, rows))


# Robustness


def _render_robustness(report: AnalysisReport) -> str:
    rows = []
    for copies in zip(*(run.perturbed for run in report.runs), strict=True):
        name = copies[0].name
        cells = []
        for run, copy in zip(report.runs, copies, strict=True):
            for value, clean in ((copy.chrf, run.scores["chrf"].value), (copy.bleu, run.scores["bleu"].value)):
                change = f"{100 * (value / clean - 1):+z.1f}%".replace("-", "−") if clean else _MISSING
                cells.append(f"{value:.2f}<small>{change}</small>")
        rows.append([name, PERTURBATIONS[name][1], f"{copies[0].pairs_changed:,}", *cells])
    head = ["perturbation", "what is changed", "pairs changed", *_head_per_run(report, ("chrF", "BLEU"))]
    return ROBUSTNESS_TEXT + render_table("Robustness", head, rows, text_columns=(0, 1))


# Errors


def _render_errors(report: AnalysisReport) -> str:
    counts = [count_errors(run.errors) for run in report.runs]
    total = len(report.test)
    rows = []
    for name, definition in ERROR_TYPES.items():
        cells = []
        for run, run_counts in zip(report.runs, counts, strict=True):
            cells += [
                f"{run_counts[name]:,}<small>{run_counts[name] / total:.1%}</small>",
                _list_lines(report, run, name),
            ]
        rows.append([name, escape(definition), *cells])
    head = ["type", "definition", *_head_per_run(report, ("sentences", "lines"))]
    text_columns = (0, 1, *range(3, 3 + 2 * len(report.runs), 2))
    shares = "; ".join(
        f"{escape(run.name)}: {sum(not errors for errors in run.errors) / total:.1%}" for run in report.runs
    )
    table = render_table("Errors", head, rows, text_columns=text_columns)
    return f"{table}<p>Sentences without any of these errors: {shares}.</p>"


def _list_lines(report: AnalysisReport, run: RunResults, error: str) -> str:
    lines = [line for line, errors in zip(report.test.lines, run.errors, strict=True) if error in errors]
    more = f" and {len(lines) - _MAX_LINES:,} more" if len(lines) > _MAX_LINES else ""
    return ", ".join(map(str, lines[:_MAX_LINES])) + more


# Search errors


def _render_search(report: AnalysisReport) -> str:
    measured = [(run, run.search) for run in report.runs if run.search is not None]
    if not measured:
        return "<p>Not measured: no sentences were searched exactly.</p>"

    def row(name: str, count: Callable[[SearchErrors], int], total: Callable[[SearchErrors], int]) -> list[str]:
        return [name, *(_format_share(count(errors), total(errors)) for _, errors in measured)]

    rows = [
        row("beam search missed a more probable translation", lambda e: e.errors, lambda e: e.sentences),
        row("beam search found the most probable translation, proved", lambda e: e.optimal, lambda e: e.sentences),
        row("unknown within the given steps", lambda e: e.unknown, lambda e: e.sentences),
        row("the most probable translation is empty", lambda e: e.empty, lambda e: e.proved),
        row("the run's own search found a less probable translation", lambda e: e.less_probable, lambda e: e.sentences),
    ]
    first = measured[0][1]
    table = render_table("Search errors", ["", *(escape(run.name) for run, _ in measured)], rows)
    return SEARCH_TEXT.format(sentences=first.sentences, steps=first.steps) + table + _render_misses(report)


def _format_share(count: int, total: int) -> str:
    share = f"{count / total:.0%}" if total else _MISSING
    return f"{count:,} of {total:,}<small>{share}</small>"


def _render_misses(report: AnalysisReport) -> str:
    rows = [
        [
            f"{report.test.lines[miss.index]:,}",
            escape(run.name),
            f"{escape(miss.beam).strip() or '(empty)'}<small>{miss.beam_score:.2f}</small>",
            f"{escape(miss.best) or '(empty)'}<small>{miss.best_score:.2f}</small>",
        ]
        for run in report.runs
        if run.search is not None
        for miss in run.search.misses
    ]
    if not rows:
        return ""
    caption = "Translations that beam search missed"
    head = ["line", "run", "beam search, log-probability in nats", "more probable, log-probability in nats"]
    return render_details(caption, render_table(caption, head, rows, text_columns=(0, 1, 2, 3)))


# Calibration


def _render_calibration(report: AnalysisReport) -> str:
    kinds: tuple[tuple[str, str, figures.CalibrationGetter], ...] = (
        ("given the reference", "most probable token is the reference's", lambda run: run.calibration),
        ("in its own translations", "token matches the reference", lambda run: run.own_calibration),
    )
    rows, diagrams = [], ""
    for kind, y_label, get in kinds:
        for run in report.runs:
            calibration = get(run)
            if calibration is not None:
                numbers = (calibration.error, calibration.confidence, calibration.accuracy)
                percents = (f"{100 * number:.1f}" for number in numbers)
                rows.append([f"{escape(run.name)}<small>{kind}</small>", f"{calibration.tokens:,}", *percents])
        if any(get(run) for run in report.runs):
            diagrams += render_figure(
                partial(figures.draw_reliability, report, get=get, y_label=y_label),
                alt=f"Reliability diagram, {kind}: accuracy of tokens against their probability.",
                caption=f"{kind[0].upper()}{kind[1:]}. Below the dotted line, a run is overconfident.",
                kind="square",
            )
    head = ["", "tokens", "expected calibration error, %", "mean probability, %", "accuracy, %"]
    return CALIBRATION_TEXT + render_table("Calibration", head, rows) + f'<div class="pairs">{diagrams}</div>'


# Word alignment


def _render_alignment(report: AnalysisReport) -> str:
    layers = list(dict.fromkeys(layer for run in report.runs for layer in run.alignment or {}))
    rows = []
    for layer in layers:
        cells = []
        for run in report.runs:
            scores = (run.alignment or {}).get(layer)
            if scores is None:
                cells += [_MISSING] * 3
            else:
                cells += [f"{100 * value:.1f}" for value in (scores.aer, scores.precision, scores.recall)]
        rows.append([layer, *cells])
    head = ["attention", *_head_per_run(report, ("AER", "precision", "recall"))]
    first = next(iter(next(run.alignment for run in report.runs if run.alignment).values()))
    without_attention = [escape(run.name) for run in report.runs if run.is_saliency]
    saliency = f" Without attention, gradients are used: {', '.join(without_attention)}." if without_attention else ""
    text = ALIGNMENT_TEXT.format(
        sure=first.sure,
        possible=first.possible - first.sure,
        pairs=f"{first.pairs:,} pair{'s' if first.pairs > 1 else ''}",
        saliency=saliency,
    )
    return text + render_table("Alignment error rate", head, rows)
