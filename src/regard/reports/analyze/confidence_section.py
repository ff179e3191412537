"""The section of the report on confidence."""

from __future__ import annotations

from functools import partial

from regard.evaluation.calibration import Calibration
from regard.html.page import escape, render_table
from regard.reports.analyze import figures
from regard.reports.analyze.results import AnalysisReport, RunResults
from regard.reports.theme import render_figure

MISSING = "–"

TEXT = (
    "<p>The confidence of a translation is the probability that {right}. That of a word is the probability that the "
    "shortest edit from the translation to the reference keeps it, without punctuation at its ends. Both were fitted "
    "on other pairs. AUC is the probability that a right one has more confidence than a wrong one: 0.5 says nothing, 1 "
    "is perfect. The model's own probability is that of a word, or the geometric mean over the tokens of a translation."
    "</p>"
)


def render_confidence(report: AnalysisReport) -> str:
    """Return the table of all runs, and the reliability diagrams of translations and words."""
    measured = [(run, run.confidence) for run in report.runs if run.confidence is not None]
    if not measured:
        return "<p>Not measured: the run has not learned it. <code>regard calibrate RUN</code> adds it.</p>"
    rows = []
    for run, confidence in measured:
        for name, level, correlations in (
            ("translations", confidence.sentence, (confidence.spearman, confidence.raw_spearman)),
            ("words", confidence.word, None),
        ):
            calibration = level.calibration
            rows.append(
                [
                    f"{escape(run.name)}<small>{name}</small>",
                    f"{calibration.tokens:,}<small>{calibration.accuracy:.1%} right</small>",
                    f"{100 * calibration.error:.1f}<small>own {100 * level.raw_error:.1f}</small>",
                    _format_pair((level.auc, level.raw_auc)),
                    _format_pair(correlations),
                ]
            )
    diagrams = "".join(
        render_figure(
            partial(figures.draw_reliability, report, get=get, y_label=f"{name} that are right", x_label="confidence"),
            alt=f"Reliability diagram of the confidence of {name}: share of right ones against confidence.",
            caption=f"Confidence of {name}. Below the dotted line, a run is overconfident.",
            kind="square",
        )
        for name, get in (("translations", _sentence_calibration), ("words", _word_calibration))
    )
    head = ["", "number", "expected calibration error, %", "AUC", "Spearman with chrF"]
    text = TEXT.format(right=escape(measured[0][1].right))
    return text + render_table("Confidence", head, rows) + f'<div class="pairs">{diagrams}</div>'


def _sentence_calibration(run: RunResults) -> Calibration | None:
    return None if run.confidence is None else run.confidence.sentence.calibration


def _word_calibration(run: RunResults) -> Calibration | None:
    return None if run.confidence is None else run.confidence.word.calibration


def _format_pair(values: tuple[float | None, float | None] | None) -> str:
    """Return the value of the confidence, and that of the model's own probability."""
    if values is None or values[0] is None or values[1] is None:
        return MISSING
    return f"{values[0]:.3f}<small>own {values[1]:.3f}</small>"
