"""The sections of the analysis report: tables, figures, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from regard.evaluation.bootstrap import SAMPLES, SEED, BootstrapInterval
from regard.evaluation.calibration import Calibration
from regard.evaluation.error_types import ERROR_TYPES, count_errors
from regard.html.page import escape, render_svg
from regard.reports.analyze import figures
from regard.reports.analyze.results import LOWEST, METRICS, Findings, Report
from regard.reports.analyze.search_errors import SearchErrors
from regard.reports.compare.figures import DARK, LIGHT, Theme

SIGNIFICANT = 0.05
_LINES = 15  # of a fault, that are named


def sections(report: Report) -> list[tuple[str, str, str]]:
    """Each as its key, heading and HTML, but for the sentences."""
    found = [
        ("scores", "Scores", _scores(report)),
        ("lengths", "Quality by source length", _lengths(report)),
        ("frequency", "Quality by word frequency", _frequency(report)),
        ("faults", "What goes wrong", _faults(report)),
        ("search", "Search errors", _search(report)),
        ("calibration", "Calibration", _calibration(report)),
    ]
    if any(one.alignment for one in report.findings):
        found.append(("alignment", "Word alignment", _alignment(report)))
    return found


def _table(caption: str, heads: Iterable[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """In a box that scrolls sideways. left: the columns of text; the first cell of a row is its name."""
    head = "".join(
        f'<th scope="col"{" class=left" if number in left else ""}>{name}</th>' for number, name in enumerate(heads)
    )
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            f"<td{' class=said' if number in left else ''}>{cell}</td>" for number, cell in enumerate(others, start=1)
        )
        + "</tr>\n"
        for first, *others in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def _picture(draw: Callable[[Theme], str], alt: str, caption: str, kind: str = "chart") -> str:
    return render_svg(draw(LIGHT), draw(DARK), kind=kind, alt=alt, caption=caption)


def _names(report: Report) -> list[str]:
    return [escape(one.name) for one in report.findings]


def _scores(report: Report) -> str:
    two = len(report.findings) == 2
    rows = []
    for key, name in METRICS.items():
        each = [one.scores[key] for one in report.findings]
        cells = [f"{one.value:.2f}<small>{one.low:.2f} – {one.high:.2f}</small>" for one in each]
        if two:
            cells += [f"{each[1].value - each[0].value:+.2f}".replace("-", "−"), told_p(each)]
        rows.append([f"{name}<small>{'lower' if key in LOWEST else 'higher'} is better</small>", *cells])
    heads = ["", *_names(report), *(["difference<small>second − first</small>", "p"] if two else [])]
    text = _table("Scores", heads, rows)
    text += "<p>Beneath a score: its 95% interval.</p>"
    if two:
        better = [name for key, name in METRICS.items() if (p := p_of(report, key)) is not None and p < SIGNIFICANT]
        told = f"Told apart, at p &lt; {SIGNIFICANT}, by {' and '.join(better)}" if better else "Not told apart"
        text += f"<p>{told} (paired bootstrap): p is how often a difference as large comes by chance.</p>"
    return text


def p_of(report: Report, metric: str) -> float | None:
    """The paired bootstrap's p between two runs; None of one run."""
    each = [one.scores[metric].p for one in report.findings]
    return next((p for p in each if p is not None), None)


def told_p(each: Sequence[BootstrapInterval]) -> str:
    """The p of two, as it is written."""
    p = next((one.p for one in each if one.p is not None), None)
    return "–" if p is None else "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def _lengths(report: Report) -> str:
    rows = [
        [
            f"{figures.span(bins[0])}<small>words</small>",
            f"{bins[0].sentences:,}",
            *(f"{one.bleu:.1f}<small>chrF {one.chrf:.1f}</small>" for one in bins),
        ]
        for bins in zip(*(one.lengths for one in report.findings), strict=True)
    ]
    picture = _picture(
        lambda theme: figures.by_length(report, theme),
        "Lines of chrF against the number of words in the source.",
        "chrF of all sentences whose source has so many words. A line that falls to the right is a run that loses long "
        "sentences; points of few sentences are mostly chance.",
    )
    heads = ["source", "sentences", *(f"BLEU of {name}" for name in _names(report))]
    return picture + _details("These numbers, and BLEU, as a table", _table("Quality by source length", heads, rows))


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>{text}</details>"


def _frequency(report: Report) -> str:
    if not report.counted:
        return "<p>Not measured: no training data is there in which words could be counted.</p>"
    rows = []
    for classes in zip(*(one.frequency for one in report.findings), strict=True):
        cells = [f"{classes[0].in_references:,}"]
        for one in classes:
            cells += [
                f"{100 * one.f1:.1f}" if one.in_references else "–",
                f"{100 * one.precision:.1f}" if one.in_hypotheses else "–",
                f"{100 * one.recall:.1f}" if one.in_references else "–",
            ]
        rows.append([figures.often(classes[0]), *cells])
    heads = ["times seen", "in references"]
    heads += [f"{what}<small>{name}</small>" for name in _names(report) for what in ("F1", "precision", "recall")]
    picture = _picture(
        lambda theme: figures.by_frequency(report, theme),
        "Lines of F1 against the frequency of words in the training data.",
        "Words of translations and references, compared sentence by sentence as bags, by how often they stand on the "
        f"target side of {report.counted}. Words never seen in training are a class of their own.",
    )
    return picture + _details("These numbers as a table, in %", _table("Quality by word frequency", heads, rows))


def _faults(report: Report) -> str:
    counts = [count_errors(one.faults) for one in report.findings]
    total = len(report.test.sources)
    rows = []
    for name, meaning in ERROR_TYPES.items():
        cells = []
        for one, each in zip(report.findings, counts, strict=True):
            cells.append(f"{each[name]:,}<small>{each[name] / total:.1%}</small>")
            cells.append(_lines(report, one, name))
        rows.append([name, escape(meaning), *cells])
    heads = ["fault", "when it is one"]
    for name in _names(report):
        heads += [name, "lines"]
    left = (0, 1, *range(3, 3 + 2 * len(report.findings), 2))
    clean = "; ".join(
        f"{escape(one.name)}: {sum(not some for some in one.faults) / total:.1%}" for one in report.findings
    )
    return _table("Faults", heads, rows, left) + f"<p>Sentences without any of these: {clean}.</p>"


def _lines(report: Report, one: Findings, name: str) -> str:
    lines = [line for line, some in zip(report.test.lines, one.faults, strict=True) if name in some]
    more = f" and {len(lines) - _LINES:,} more" if len(lines) > _LINES else ""
    return ", ".join(map(str, lines[:_LINES])) + more


def _search(report: Report) -> str:
    found = [(one, one.search) for one in report.findings if one.search is not None]
    if not found:
        return "<p>Not measured: no sentence was searched exactly (--exact 0).</p>"

    def row(name: str, cell: Callable[[SearchErrors], int], of: Callable[[SearchErrors], int]) -> list[str]:
        shares = [(cell(each), of(each)) for _, each in found]
        return [name, *(f"{count:,} of {total:,}<small>{_percent(count, total)}</small>" for count, total in shares)]

    rows = [
        row("beam search missed a more probable translation", lambda a: a.errors, lambda a: a.sentences),
        row("beam search found the most probable, proved", lambda a: a.right, lambda a: a.sentences),
        row("not known, within the steps", lambda a: a.sentences - a.errors - a.right, lambda a: a.sentences),
        row("the most probable is no text at all", lambda a: a.empty, lambda a: a.proved),
        row("the translation of this report is less probable", lambda a: a.below, lambda a: a.sentences),
    ]
    first = found[0][1]
    text = (
        f"<p>{first.sentences:,} sentences of the test set, drawn by chance, were searched by beam search and by exact "
        f"search, which both rank by probability alone, with at most {first.steps:,} prefixes tried of a sentence. "
        "Where beam search misses nothing and translations are bad, the model is at fault; where the most probable is "
        "no text at all, it is length penalties, narrow beams and the rule that a translation has a word in it that "
        "keep the output whole (Stahlberg and Byrne 2019)."
        "</p>"
    )
    return text + _table("Search errors", ["", *(escape(one.name) for one, _ in found)], rows) + _misses(report)


def _percent(count: int, total: int) -> str:
    return f"{count / total:.0%}" if total else "–"


def _misses(report: Report) -> str:
    rows = [
        [
            f"{report.test.lines[miss.place]:,}",
            escape(one.name),
            f"<span dir=auto>{escape(miss.beam).strip() or '(nothing)'}</span><small>{miss.beam_score:.2f}</small>",
            f"<span dir=auto>{escape(miss.best) or '(nothing)'}</span><small>{miss.best_score:.2f}</small>",
        ]
        for one in report.findings
        if one.search is not None
        for miss in one.search.misses
    ]
    if not rows:
        return ""
    heads = ["line", "run", "beam search, nats", "more probable, nats"]
    return _details("What beam search missed", _table("What beam search missed", heads, rows, (0, 1, 2, 3)))


def _calibration(report: Report) -> str:
    kinds: tuple[tuple[str, str, Callable[[Findings], Calibration | None]], ...] = (
        ("given the reference", "most probable token is the reference's", lambda one: one.calibration),
        ("of its own translations", "token is kept by the reference", lambda one: one.own),
    )
    rows, shown = [], ""
    for name, right, chosen in kinds:
        for one in report.findings:
            found = chosen(one)
            if found is not None:
                numbers = (f"{100 * value:.1f}" for value in (found.error, found.confidence, found.accuracy))
                rows.append([f"{escape(one.name)}<small>{name}</small>", f"{found.tokens:,}", *numbers])
        if any(chosen(one) for one in report.findings):
            shown += _picture(
                lambda theme, right=right, chosen=chosen: figures.reliability(report, theme, chosen, right),  # type: ignore[misc]
                f"How often tokens are right against their probability, {name}.",
                f"{name[0].upper()}{name[1:]}. Below the dotted line a run is surer than it is right.",
                "square",
            )
    heads = ["", "tokens", "expected calibration error, %", "mean probability, %", "right, %"]
    text = (
        "<p>Given the reference so far, is the model as often right as the probability of its most probable token "
        "says? And of its own translations, are tokens as often kept, where the least edits make the reference of "
        "them, as their probability says? There a good translation by other words counts as wrong.</p>"
    )
    return text + _table("Calibration", heads, rows) + f'<div class="pairs">{shown}</div>'


def _alignment(report: Report) -> str:
    ways = list(dict.fromkeys(way for one in report.findings for way in one.alignment or {}))
    rows = []
    for way in ways:
        cells = []
        for one in report.findings:
            found = (one.alignment or {}).get(way)
            cells += (
                ["–"] * 3
                if found is None
                else [f"{100 * value:.1f}" for value in (found.aer, found.precision, found.recall)]
            )
        rows.append([way, *cells])
    heads = [
        "by",
        *(f"{what}<small>{name}</small>" for name in _names(report) for what in ("AER", "precision", "recall")),
    ]
    first = next(iter(next(one.alignment for one in report.findings if one.alignment).values()))
    saliency = [escape(one.name) for one in report.findings if one.gradient]
    note = f" {' and '.join(saliency)} does not attend: gradients stand in for attention." if saliency else ""
    return (
        f"<p>While the reference is written, each of its words is linked to the source word looked at most; held "
        f"against {first.sure:,} sure and {first.possible - first.sure:,} more possible links made by people in "
        f"{first.pairs:,} pair{'s' if first.pairs > 1 else ''} (Och and Ney 2003). Lower AER is better; in %. The mean "
        f"is over all that the model attends by.{note}</p>" + _table("Alignment error rate", heads, rows)
    )


def method(report: Report) -> str:
    """How the numbers were taken."""
    signatures = "; ".join(f"{METRICS[name]} <code>{escape(value)}</code>" for name, value in report.signatures.items())
    return (
        f"<p>Scores are sacreBLEU's, on detokenised text: {signatures}. Intervals and p are of {SAMPLES:,} bootstrap "
        f"samples of the test set (Koehn 2004; seed {SEED}), drawn alike for both runs; a p is two-sided, and equals "
        "that of sacreBLEU's paired bootstrap. chrF of a sentence is of that sentence alone. Calibration errors are of "
        "ten bins of one width (Guo et al. 2017). Words are those that BLEU counts, but for faults, where they stand "
        "between spaces, without case and punctuation. A sentence's attention is that of teacher forcing on its "
        "translation.</p>"
    )
