"""The section of the report on quality by label."""

from __future__ import annotations

from collections.abc import Mapping

from regard.evaluation.by_label import NO_LABEL
from regard.html.page import escape, render_table
from regard.reports.analyze.results import AnalysisReport, RunResults

TEXT = "<p>The pairs of the test set by their label, the most frequent label first. X"
Cells = dict[str, str]  # by the name of the column


def render_labels(report: AnalysisReport) -> str:
    """Return the table of all labels, with the scores of each run."""
    names = [f"<small>{escape(run.name)}</small>" if len(report.runs) > 1 else "" for run in report.runs]
    by_run = [_rows(run) for run in report.runs]
    head = ["label", "pairs", *(f"{column}{name}" for column in by_run[0][0] for name in names)]
    labels = [(escape(label.label) or NO_LABEL, label.pairs) for label in report.runs[0].labels]
    rows = []
    for (label, pairs), *cells in zip([*labels, ("total", len(report.test))], *by_run, strict=True):
        scores = [run_cells[column] for column in cells[0] for run_cells in cells]
        rows.append([label, f"{pairs:,}", *scores])
    return TEXT + render_table("Quality by label", head, rows)


def _rows(run: RunResults) -> list[Cells]:
    """Return the cells of each label, and of the total."""
    rows = [_cells({1: label.exact, **label.exact_at}, label.bleu, label.chrf) for label in run.labels]
    shares = {count: share.value for count, share in run.exact_at.items()}
    return [*rows, _cells(shares, run.scores["bleu"].value, run.scores["chrf"].value)]


def _cells(shares: Mapping[int, float], bleu: float, chrf: float) -> Cells:
    exact = {f"top {count}" if count > 1 else "exact match": f"{100 * shares[count]:.1f}" for count in shares}
    return {**exact, "BLEU": f"{bleu:.1f}<small>chrF {chrf:.1f}</small>"}
