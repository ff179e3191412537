"""The report as one self-contained HTML file: no scripts, no fonts, nothing from the network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from regard.errors import DataError
from regard.evaluation.bootstrap import SAMPLES as RESAMPLES
from regard.evaluation.bootstrap import SIGNIFICANCE_LEVEL, BootstrapInterval
from regard.files import write_atomic
from regard.html.page import escape, render_details, render_facts, render_page, render_sections, render_table
from regard.reports.compare import captions, figures, texts
from regard.reports.compare.complexity import COMPLEXITY, find_architecture, fit_growth
from regard.reports.compare.figures import LineStyle
from regard.reports.compare.results import ComparisonReport, ScoredSystem
from regard.reports.compare.seeds import first_seeds, split_seed
from regard.reports.compare.timing import SENTENCES
from regard.reports.theme import Theme, render_figure

_MISSING = "–"
_NOT_MEASURED = "<p>Not measured.</p>"
_SPARKLINE_WIDTH, _SPARKLINE_HEIGHT = 70, 19  # pixels


def write_page(report: ComparisonReport, out: Path) -> Path:
    """Write OUT/index.html, which includes its figures, and each figure as OUT/*.png.

    Returns:
        The path of the page.

    Raises:
        DataError: A system does not have one translation and one attention for each sample.
    """
    for system in report.systems:
        if not len(system.translations) == len(system.attended) == len(report.samples):
            raise DataError(
                f"{system.name} has {len(system.translations)} translations and {len(system.attended)} attention maps "
                f"for {len(report.samples)} samples",
                fix="give a translation of each sample, and an attention map or None",
            )
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    write_atomic(page, _render(report, out))
    return page


def _render(report: ComparisonReport, out: Path) -> str:
    scores = _render_scores(report)
    report = report.model_copy(update={"systems": tuple(first_seeds(report.systems))})
    styles = figures.choose_styles(report.systems)
    maps = [_render_attention(report, sample, out) for sample in range(len(report.samples))]
    first_map = next((sample for sample, html in enumerate(maps) if html), None)
    charts = "".join(f"<h3>{chart.heading}</h3>{_render_chart(chart, report, out)}" for chart in _CHARTS)
    sections = [
        ("systems", "Systems", scores),
        ("figures", "Figures", charts + _render_first_map(maps, first_map)),
        ("complexity", "Complexity", _render_complexity(report)),
        ("samples", "Sample translations", _render_samples(report, styles, maps, first_map)),
        ("method", "Method", _render_method(report)),
    ]
    return render_page(report.title, render_sections(sections), facts=_render_head(report), style=_render_css(styles))


def _render_css(styles: Sequence[LineStyle]) -> str:
    light = "".join(f".s{number} {{ color: {style.light}; }}\n" for number, style in enumerate(styles))
    dark = "".join(f".s{number} {{ color: {style.dark}; }}\n" for number, style in enumerate(styles))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _render_head(report: ComparisonReport) -> str:
    date = escape(report.date)
    name = f"{escape(report.test)}, " if report.test else ""
    return render_facts(
        [
            ("Date", f'<time datetime="{date}">{date}</time>'),
            ("Machine", escape(report.machine)),
            ("Training", f"{report.budget} for each system" if report.budget else "finished runs"),
            ("Test set", f"{name}{report.test_pairs:,} pairs"),
        ]
    )


# Systems and scores


def _render_scores(report: ComparisonReport) -> str:
    lines = _number_lines(report.systems)
    highest = max((report.dev_score(point) for system in report.systems for point in system.curve), default=0.0)
    plugin_metrics = list(report.systems[0].plugin_scores)
    cells = [_render_metrics(system, report) for system in report.systems]
    head = (
        "system", "attention", "parameters", "training, tokens/s", "minutes", "steps", f"dev {report.metric}",
        *cells[0], *map(escape, plugin_metrics), "translation, sentences/s",
    )  # fmt: skip
    rows = [
        (
            f"{_render_name(system, *lines[system.name])}<small>{escape(system.paper)}</small>",
            "yes" if system.attends else "no",
            _format_parameters(system.parameters),
            f"{system.tokens_per_second:,.0f}" if system.tokens_per_second else _MISSING,
            f"{system.minutes:.1f}",
            f"{system.steps:,}",
            _render_sparkline(report, system, lines[system.name][0], highest),
            *scores.values(),
            *(f"{system.plugin_scores[name]:.2f}" for name in plugin_metrics),
            f"{system.sentences_per_second:,.1f}",
        )
        for system, scores in zip(report.systems, cells, strict=True)
    ]
    legend = texts.SCORES_LEGEND.format(level=SIGNIFICANCE_LEVEL)
    return render_table("Systems and scores", head, rows) + f"<p>{legend}</p>" + _render_seeds(report)


def _render_seeds(report: ComparisonReport) -> str:
    """Return a table of means over seeds; nothing if there is one seed."""
    if not report.seeds:
        return ""
    metrics = list(report.seeds[0].scores)
    rows = [
        (escape(summary.name), str(summary.count), *(str(summary.scores[metric]) for metric in metrics))
        for summary in report.seeds
    ]
    table = render_table("Mean ± standard deviation over seeds", ("system", "seeds", *map(escape, metrics)), rows)
    return f"<h3>Seeds</h3>{table}<p>The figures and the samples are those of the first seed.</p>"


def _number_lines(systems: Sequence[ScoredSystem]) -> dict[str, tuple[int, LineStyle]]:
    """Return the number and the style of each system's line in the figures, which all its seeds share."""
    firsts = first_seeds(systems)
    styles = figures.choose_styles(firsts)
    numbered = {split_seed(system.name)[0]: index for index, system in enumerate(firsts)}
    numbers = {system.name: numbered[split_seed(system.name)[0]] for system in systems}
    return {name: (number, styles[number]) for name, number in numbers.items()}


def _render_name(system: ScoredSystem, number: int, style: LineStyle) -> str:
    """Return a sample of the system's line in the figures, and its name."""
    dash = ' stroke-dasharray="6 3"' if style.is_dashed else ""
    return (
        f'<svg class="s{number}" width="28" height="10" aria-hidden="true">'
        f'<path d="M1 5H27" stroke="currentColor" stroke-width="3"{dash}/></svg> {escape(system.name)}'
    )


def _format_parameters(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e6 else f"{parameters:,}"


def _render_sparkline(report: ComparisonReport, system: ScoredSystem, number: int, highest: float) -> str:
    """Return a small curve of dev scores, and its last value."""
    if not system.curve or highest <= 0:
        return _MISSING
    end = system.curve[-1]
    x_scale, y_scale = _SPARKLINE_WIDTH / max(end.minutes, 1e-9), _SPARKLINE_HEIGHT / highest
    points = " ".join(
        f"{1 + x_scale * point.minutes:.1f},{2 + _SPARKLINE_HEIGHT - y_scale * max(0.0, report.dev_score(point)):.1f}"
        for point in system.curve
    )
    return (
        f'<svg class="s{number}" width="72" height="22" aria-hidden="true"><polyline points="{points}" fill="none" '
        f'stroke="currentColor" stroke-width="2"/></svg><small>{report.dev_score(end):.1f}</small>'
    )


def _render_metrics(system: ScoredSystem, report: ComparisonReport) -> dict[str, str]:
    """Return the cell of each metric, the report's first."""
    shares = [_in_percent(rival.exact_interval) for rival in report.systems]
    cells = {
        "BLEU": _render_score(system.bleu, [rival.bleu for rival in report.systems]),
        "chrF": _render_score(system.chrf, [rival.chrf for rival in report.systems]),
        "exact match": _render_score(_in_percent(system.exact_interval), shares, unit="%"),
    }
    return {report.metric: cells[report.metric], **cells}


def _in_percent(share: BootstrapInterval) -> BootstrapInterval:
    return replace(share, value=100 * share.value, low=100 * share.low, high=100 * share.high)


def _render_score(score: BootstrapInterval, all_scores: Sequence[BootstrapInterval], unit: str = "") -> str:
    is_best = score.p is None and score.value == max(captions.MIN_SCORE, *(rival.value for rival in all_scores))
    note = ""
    if score.p is not None:
        p = "p &lt; 0.001" if score.p < 0.0005 else f"p {score.p:.3f}"
        note = f" · {p} {'▼' if score.p < SIGNIFICANCE_LEVEL else '≈'}"
    return (
        f"<td{' class=best' if is_best else ''}>{score.value:.1f}{unit}"
        f"<small>{score.low:.1f} – {score.high:.1f}{note}</small></td>"
    )


# Figures


@dataclass(frozen=True)
class _Chart:
    """A chart of the report.

    Attributes:
        heading: Its heading.
        file: Name of the PNG, without suffix.
        draw: Draws it.
        alt: What kind of chart it is, for screen readers; `{metric}` is the report's.
        caption: How to read it, with `{metric}` too.
        describe: Returns a sentence that says what it shows.
        render_table: Returns its numbers as HTML.
    """

    heading: str
    file: str
    draw: Callable[[ComparisonReport, Theme], Figure | None]
    alt: str
    caption: str
    describe: Callable[[ComparisonReport], str]
    render_table: Callable[[ComparisonReport], str]


def _render_chart(chart: _Chart, report: ComparisonReport, out: Path) -> str:
    description = chart.describe(report)
    figure = render_figure(
        functools.partial(chart.draw, report),
        alt=f"{chart.alt.format(metric=report.metric)} {description}",
        caption=f"{chart.caption.format(metric=report.metric)} {description}",
        png=out / f"{chart.file}.png",
    )
    return figure + chart.render_table(report) if figure else _NOT_MEASURED


def _no_table(report: ComparisonReport) -> str:
    return ""


def _render_length_table(report: ComparisonReport) -> str:
    bins = figures.list_length_bins(report)
    rows = []
    for system in report.systems:
        scores = {
            (part.shortest, part.longest): f"{report.length_score(part):.1f}<small>chrF {part.chrf:.1f}</small>"
            for part in system.lengths
        }
        rows.append(
            [escape(system.name), *(scores.get((part.shortest, part.longest), _MISSING) for part in bins)],
        )
    head = ["system", *(f"{part.label} words<small>{part.sentences} sentences</small>" for part in bins)]
    return render_details("Show as a table", render_table(f"{report.metric} and chrF by source length", head, rows))


def _render_step_table(report: ComparisonReport) -> str:
    lengths = sorted({step.length for system in report.systems for step in system.step_times})
    rows = []
    for system in report.systems:
        times = {step.length: f"{step.milliseconds:,.1f}" for step in system.step_times}
        rows.append([escape(system.name), *(times.get(length, _MISSING) for length in lengths)])
    head = ["system", *(f"{length} tokens" for length in lengths)]
    return render_details(
        "Show as a table, in milliseconds", render_table("Milliseconds per training step by length", head, rows)
    )


_CHARTS = (
    _Chart(
        "Quality by training time",
        "quality-by-time",
        figures.draw_quality_by_time,
        texts.TIME_ALT,
        texts.TIME_CAPTION,
        captions.describe_quality_by_time,
        _no_table,
    ),
    _Chart(
        "Quality by source length",
        "quality-by-length",
        figures.draw_quality_by_length,
        texts.LENGTH_ALT,
        texts.LENGTH_CAPTION,
        captions.describe_quality_by_length,
        _render_length_table,
    ),
    _Chart(
        "Training step time by sentence length",
        "step-time",
        figures.draw_step_time,
        texts.STEP_ALT,
        texts.STEP_CAPTION,
        captions.describe_step_time,
        _render_step_table,
    ),
)


def _render_attention(report: ComparisonReport, sample: int, out: Path) -> str:
    description = captions.describe_attention(report, sample)
    alt = texts.ATTENTION_ALT.format(source=report.samples[sample].source)
    return render_figure(
        lambda theme: figures.draw_sample_attention(report, sample, theme),
        alt=f"{alt} {description}",
        caption=f"{texts.ATTENTION_CAPTION} {description}",
        kind="maps",
        png=out / f"alignment-{sample + 1}.png",
    )


def _render_first_map(maps: Sequence[str], first: int | None) -> str:
    heading = '<h3 id="attention">Attention</h3>'
    if first is None:
        return f"{heading}<p>No system has attention, or there are no samples.</p>"
    return f"{heading}<p>Sample {first + 1}, in every system with attention.</p>{maps[first]}"


# Complexity


def _render_complexity(report: ComparisonReport) -> str:
    head = (
        "system", "layer", "work of a layer", "sequential operations", "longest path, any two positions",
        "path, source to target", "measured growth of a step", "time of a step",
    )  # fmt: skip
    rows = [[escape(system.name), *_theory_cells(system), *_measured_cells(system)] for system in report.systems]
    caption = "Complexity in table 1 of Vaswani et al. 2017, and measured"
    notes = "".join(f"<li>{note}</li>" for note in texts.COMPLEXITY_NOTES)
    return render_table(caption, head, rows, text_columns=(0, 1)) + f"<ul>{notes}</ul>"


def _theory_cells(system: ScoredSystem) -> list[str]:
    architecture = find_architecture(system.name)
    if architecture is None:
        return [_MISSING] * 5
    theory = COMPLEXITY[architecture]
    orders = (theory.work, theory.sequential, theory.path, theory.across)
    return [theory.layer, *(escape(order).replace("log_k ", "log<sub>k</sub> ") for order in orders)]


def _measured_cells(system: ScoredSystem) -> list[str]:
    power = fit_growth(system.step_times)
    longest = max(system.step_times, key=lambda step: step.length, default=None)
    return [
        _MISSING if power is None else f"n<sup>{power:.2f}</sup>",
        _MISSING if longest is None else f"{longest.milliseconds:,.0f} ms<small>with {longest.length} tokens</small>",
    ]


# Samples and method


def _render_samples(
    report: ComparisonReport, styles: Sequence[LineStyle], maps: Sequence[str], first_map: int | None
) -> str:
    html = ""
    for number, sample in enumerate(report.samples):
        html += f"<h3>Sample {number + 1}</h3>"
        html += (
            f"<dl><dt>Source</dt><dd dir=auto>{escape(sample.source)}</dd>"
            f"<dt>Reference</dt><dd dir=auto>{escape(sample.reference)}</dd></dl>"
        )
        html += _render_translations(report, styles, number)
        if maps[number]:
            is_above = number == first_map
            html += '<p>Its attention maps are <a href="#attention">above</a>.</p>' if is_above else maps[number]
    return html or "<p>There are no samples.</p>"


def _render_translations(report: ComparisonReport, styles: Sequence[LineStyle], sample: int) -> str:
    rows = [
        (
            _render_name(system, number, style),
            escape(system.translations[sample]),
            "✓" if system.translations[sample] == report.samples[sample].reference else "",
        )
        for number, (system, style) in enumerate(zip(report.systems, styles, strict=True))
    ]
    head = ("system", "translation", "equals the reference")
    return render_table(f"Translations of sample {sample + 1}", head, rows, text_columns=(0, 1))


def _render_method(report: ComparisonReport) -> str:
    budget = texts.BUDGET.format(budget=report.budget) if report.budget else texts.BUDGET_FINISHED
    signatures = "".join(
        f"<li>{escape(metric)}: <code>{escape(signature)}</code></li>"
        for metric, signature in report.signatures.items()
    )
    values = {
        "budget": budget,
        "pairs": report.test_pairs,
        "beam_size": report.beam_size,
        "signatures": signatures,
        "resamples": RESAMPLES,
        "sentences": SENTENCES,
    }
    return f"<ul>{''.join(f'<li>{point.format(**values)}</li>' for point in texts.METHOD)}</ul>"
