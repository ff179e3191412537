"""The side-by-side report as one HTML file that needs nothing beside it: no script, no font, no network."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from regard.errors import DataError
from regard.evaluation.bootstrap import SAMPLES as RESAMPLES
from regard.files import write_atomic
from regard.html.page import render_page, safe, sectioned
from regard.reports.compare import captions, figures
from regard.reports.compare.complexity import THEORY, architecture, growth
from regard.reports.compare.figures import DARK, LIGHT, Style, Theme
from regard.reports.compare.results import Lineage, Score, System
from regard.reports.compare.timing import SENTENCES

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class _Chart:
    """A figure of the page: heading, file, alternative text, how it is read, what is seen, and its numbers."""

    heading: str
    file: str
    shows: str
    draw: Callable[[Lineage, Theme], Figure | None]
    how: str
    seen: Callable[[Lineage], str]
    table: Callable[[Lineage], str]


_MAPS = (
    "A row is a token that the system wrote, a column a source token, and the stronger the cell's colour the more of "
    "the row's weight, 1 in all, went there."
)


def write_page(lineage: Lineage, out: Path) -> Path:
    """OUT/index.html, with every picture in it, and beside it each picture as a PNG; returns the page's path.

    Raises DataError where a system's samples are not as many as the report's.
    """
    for system in lineage.systems:
        if not len(system.translations) == len(system.attended) == len(lineage.samples):
            raise DataError(
                f"{system.name} has {len(system.translations)} translations and {len(system.attended)} alignments of "
                f"{len(lineage.samples)} samples",
                fix="translate every sample by every system; an alignment that is not there is None",
            )
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    write_atomic(page, _document(lineage, out))
    return page


def _document(lineage: Lineage, out: Path) -> str:
    looks = figures.styles(lineage.systems)
    maps = [_maps(lineage, number, out) for number in range(len(lineage.samples))]
    first = next((number for number, drawn in enumerate(maps) if drawn), None)
    sections = [
        ("systems", "The systems", _systems(lineage, looks)),
        ("figures", "Figures", _charts(lineage, out) + _first_maps(maps, first)),
        ("theory", "What the layers cost", _theory(lineage)),
        ("samples", "Sample translations", _samples(lineage, looks, maps, first)),
        ("method", "How the numbers were taken", _method(lineage)),
    ]
    return render_page(lineage.title, sectioned(sections), facts=_facts(lineage), style=_colours(looks))


def _colours(looks: Sequence[Style]) -> str:
    light = "".join(f".s{number} {{ color: {look.light}; }}\n" for number, look in enumerate(looks))
    dark = "".join(f".s{number} {{ color: {look.dark}; }}\n" for number, look in enumerate(looks))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _facts(lineage: Lineage) -> str:
    budget = "finished runs, each as it was" if lineage.minutes is None else f"{lineage.minutes:g} minutes a system"
    facts = (
        ("Date", f'<time datetime="{safe(lineage.date)}">{safe(lineage.date)}</time>'),
        ("Machine", safe(lineage.machine)),
        ("Training budget", budget),
        ("Test set", f"{safe(lineage.test)}{', ' if lineage.test else ''}{lineage.test_pairs:,} pairs"),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in facts)}</dl>"


def _table(caption: str, heads: Iterable[str], rows: Iterable[str], left: int = 1) -> str:
    """In a box that scrolls sideways where it is too wide. left: how many of the heads stand over text."""
    head = "".join(
        f'<th scope="col"{" class=left" if number < left else ""}>{name}</th>' for number, name in enumerate(heads)
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{''.join(rows)}</tbody></table></div>\n"
    )


def _row(name: str, cells: Iterable[str]) -> str:
    """cells: whole td elements, or what is to be in one."""
    done = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{name}</th>{done}</tr>\n'


def _name(system: System, number: int, look: Style) -> str:
    """A stroke as in the figures, and the name."""
    dash = ' stroke-dasharray="6 3"' if look.dashed else ""
    return (
        f'<svg class="s{number}" width="28" height="10" aria-hidden="true">'
        f'<path d="M1 5H27" stroke="currentColor" stroke-width="3"{dash}/></svg> {safe(system.name)}'
    )


def _systems(lineage: Lineage, looks: Sequence[Style]) -> str:
    highest = max((point.bleu for system in lineage.systems for point in system.curve), default=0.0)
    heads = (
        "system", "attends", "parameters", "training, tokens/s", "minutes", "steps", "dev BLEU", "BLEU", "chrF",
        "exact match", "translation, sentences/s",
    )  # fmt: skip
    rows = [
        _row(
            f"{_name(system, number, look)}<small>{safe(system.paper)}</small>",
            (
                "yes" if system.attends else "no",
                _count(system.parameters),
                f"{system.tokens_per_second:,.0f}" if system.tokens_per_second else "–",
                f"{system.minutes:.1f}",
                f"{system.steps:,}",
                _curve(system, number, highest),
                _score(system.bleu, [other.bleu for other in lineage.systems]),
                _score(system.chrf, [other.chrf for other in lineage.systems]),
                f"{100 * system.exact:.1f}%",
                f"{system.sentences_per_second:,.1f}",
            ),
        )
        for number, (system, look) in enumerate(zip(lineage.systems, looks, strict=True))
    ]
    return _table("The systems and their scores", heads, rows) + (
        f"<p>Beneath a score: its 95% interval. Shaded: the best. ▼: lower than the best, p &lt; {SIGNIFICANT} "
        "(paired bootstrap); ≈: not told apart from the best by this test set.</p>"
    )


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e6 else f"{parameters:,}"


def _curve(system: System, number: int, highest: float) -> str:
    """The dev curve in small, and where it ends."""
    if not system.curve or highest <= 0:
        return "–"
    end = system.curve[-1]
    width = 70 / max(end.minutes, 1e-9)
    points = " ".join(f"{1 + width * p.minutes:.1f},{21 - 19 * max(0.0, p.bleu) / highest:.1f}" for p in system.curve)
    return (
        f'<svg class="s{number}" width="72" height="22" aria-hidden="true"><polyline points="{points}" fill="none" '
        f'stroke="currentColor" stroke-width="2"/></svg><small>{end.bleu:.1f}</small>'
    )


def _score(score: Score, rivals: Sequence[Score]) -> str:
    best = score.p is None and score.value == max(rival.value for rival in rivals)
    note = ""
    if score.p is not None:
        p = "p &lt; 0.001" if score.p < 0.0005 else f"p {score.p:.3f}"
        note = f" · {p} {'▼' if score.p < SIGNIFICANT else '≈'}"
    return (
        f"<td{' class=best' if best else ''}>{score.value:.1f}"
        f"<small>{score.low:.1f} – {score.high:.1f}{note}</small></td>"
    )


def _picture(draw: Callable[[Theme], Figure | None], file: Path, kind: str, alt: str, caption: str) -> str:
    """A figure element for light and dark pages, and the PNG; nothing where nothing is drawn."""
    light, dark = draw(LIGHT), draw(DARK)
    if light is None or dark is None:
        return ""
    figures.to_png(light, file)
    day, night = (
        f"data:image/svg+xml;base64,{base64.b64encode(figures.to_svg(figure).encode()).decode()}"
        for figure in (light, dark)
    )
    name = safe(file.stem.replace("-", " "))
    return (
        f'<figure class="{kind}"><div class="wide" role="region" tabindex="0" aria-label="{name}">'
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{night}"><img src="{day}" alt="{safe(alt)}">'
        f"</picture></div>\n<figcaption>{safe(caption)}</figcaption></figure>\n"
    )


def _lengths(lineage: Lineage) -> str:
    every = figures.bins(lineage)
    rows = []
    for system in lineage.systems:
        scores = {(a.shortest, a.longest): f"{a.bleu:.1f}<small>chrF {a.chrf:.1f}</small>" for a in system.lengths}
        rows.append(_row(safe(system.name), [scores.get((a.shortest, a.longest), "–") for a in every]))
    heads = [f"{figures.span(a)} words<small>{a.sentences} sentences</small>" for a in every]
    table = _table("BLEU and chrF by source length", ["system", *heads], rows)
    return f"<details><summary>These numbers as a table</summary>{table}</details>"


def _steps(lineage: Lineage) -> str:
    lengths = sorted({step.length for system in lineage.systems for step in system.step_times})
    rows = []
    for system in lineage.systems:
        times = {step.length: f"{step.milliseconds:,.1f}" for step in system.step_times}
        rows.append(_row(safe(system.name), [times.get(length, "–") for length in lengths]))
    table = _table("Milliseconds a step by length", ["system", *(f"{length} tokens" for length in lengths)], rows)
    return f"<details><summary>These numbers as a table, in milliseconds</summary>{table}</details>"


_CHARTS = (
    _Chart(
        "Quality against training time",
        "quality-by-time",
        "Lines of dev BLEU against minutes of training, one a system.",
        figures.quality_by_time,
        "A line is a system's BLEU on the dev set as its training goes on: higher and further left is better.",
        captions.by_time,
        lambda _: "",
    ),
    _Chart(
        "Quality by source length",
        "quality-by-length",
        "Lines of test BLEU against the number of words in the source, one a system.",
        figures.quality_by_length,
        "A point is the BLEU of the test sentences whose source has so many words (Bahdanau et al. 2014, figure 2): "
        "a line that falls to the right is a system that loses long sentences.",
        captions.by_length,
        _lengths,
    ),
    _Chart(
        "Time of a training step as the length grows",
        "step-time",
        "Lines of milliseconds a training step against sentence length, both on logarithmic scales, one a system.",
        figures.step_time,
        "On these logarithmic scales time that grows as a power of the length is a straight line, and the dotted ones "
        "show the slopes of n and of n².",
        captions.by_step,
        _steps,
    ),
)


def _charts(lineage: Lineage, out: Path) -> str:
    text = ""
    for chart in _CHARTS:
        seen = chart.seen(lineage)
        picture = _picture(
            functools.partial(chart.draw, lineage),
            out / f"{chart.file}.png",
            "chart",
            f"{chart.shows} {seen}",
            f"{chart.how} {seen}",
        )
        text += f"<h3>{chart.heading}</h3>{picture + chart.table(lineage) if picture else '<p>Not measured.</p>'}"
    return text


def _maps(lineage: Lineage, number: int, out: Path) -> str:
    sample = lineage.samples[number]
    return _picture(
        lambda theme: figures.alignments(lineage, number, theme),
        out / f"alignment-{number + 1}.png",
        "maps",
        f"Maps of attention, one a system, for the source: {sample.source} {captions.of_alignment(lineage, number)}",
        f"{_MAPS} {captions.of_alignment(lineage, number)}",
    )


def _first_maps(maps: Sequence[str], first: int | None) -> str:
    heading = '<h3 id="maps">Where each system looks</h3>'
    if first is None:
        return f"{heading}<p>No system here attends, or no sample was shown.</p>"
    return f"{heading}<p>Sample {first + 1}, under every system that attends.</p>{maps[first]}"


def _order(order: str) -> str:
    return safe(order).replace("log_k ", "log<sub>k</sub> ")


def _theory(lineage: Lineage) -> str:
    rows = []
    for system in lineage.systems:
        known = architecture(system.name)
        if known is None:
            cells = ["–"] * 5
        else:
            theory = THEORY[known]
            orders = (theory.work, theory.sequential, theory.path, theory.across)
            cells = [f'<td class="left">{theory.layer}</td>', *map(_order, orders)]
        power = growth(system.step_times)
        longest = max(system.step_times, key=lambda step: step.length, default=None)
        measured = "–" if power is None else f"n<sup>{power:.2f}</sup>"
        time = "–" if longest is None else f"{longest.milliseconds:,.0f} ms<small>at {longest.length} tokens</small>"
        rows.append(_row(safe(system.name), [*cells, measured, time]))
    heads = (
        "system", "layer", "work of a layer", "sequential operations", "longest path, any two positions",
        "path, source to target", "measured growth of a step", "a step",
    )  # fmt: skip
    return _table("Complexity by table 1 of Vaswani et al. 2017, and measured", heads, rows, left=2) + (
        "<p>Work, sequential operations and the longest path between any two positions are those of the kind of layer "
        "in table 1 of Vaswani et al. 2017, the convolutions' paths through their stacks (section 4 there); the path "
        "from source to target is that of the whole system, where attention is a short cut. n is the length, d a "
        "layer's width, k a kernel's. They hold for training, where the whole target is known; all systems write a "
        "translation token by token. The growth is fitted to the times at the longer lengths. On few cores it follows "
        "the work; only where many positions are computed at once do sequential operations set the pace. modern is "
        "put down by its self-attention: with an SSRU decoder, that side is recurrent.</p>"
    )


def _samples(lineage: Lineage, looks: Sequence[Style], maps: Sequence[str], first: int | None) -> str:
    text = ""
    for number, sample in enumerate(lineage.samples):
        rows = [
            _row(
                _name(system, index, look),
                [
                    f'<td class="said" dir="auto">{safe(system.translations[number])}</td>',
                    "✓" if system.translations[number] == sample.reference else "",
                ],
            )
            for index, (system, look) in enumerate(zip(lineage.systems, looks, strict=True))
        ]
        text += (
            f"<h3>Sample {number + 1}</h3><dl><dt>Source</dt><dd dir=auto>{safe(sample.source)}</dd>"
            f"<dt>Reference</dt><dd dir=auto>{safe(sample.reference)}</dd></dl>"
        ) + _table(
            f"Translations of sample {number + 1}", ("system", "translation", "equals the reference"), rows, left=2
        )
        if maps[number]:
            text += '<p><a href="#maps">Its alignments</a> are above.</p>' if number == first else maps[number]
    return text or "<p>No sample was kept.</p>"


def _method(lineage: Lineage) -> str:
    trained = (
        "These are finished runs, each trained as its own recipe says."
        if lineage.minutes is None
        else f"Each system was trained for {lineage.minutes:g} minutes on the machine named above, on the same pairs."
    )
    signatures = "".join(
        f"<li>{safe(metric)}: <code>{safe(signature)}</code></li>" for metric, signature in lineage.signatures.items()
    )
    points = (
        f"{trained} Training speed counts target tokens, without padding, and is the median over the training log.",
        f"BLEU and chrF are sacreBLEU's over the {lineage.test_pairs:,} pairs of the test set, translated by beam "
        f"search with a beam of {lineage.beam_size}; sacreBLEU's signatures: <ul>{signatures}</ul>",
        f"The 95% intervals are of {RESAMPLES:,} bootstrap resamples of the test set, the same for every system; p is "
        "two-sided, of the paired bootstrap against the system that is best by the same metric (Koehn 2004).",
        "Exact match is the share of translations that equal their reference, letter by letter.",
        "A source's length is its number of words; the interval of each length holds both of its bounds.",
        f"A step's time is the median for the loss and its gradient, without the optimizer, over {SENTENCES} sentences "
        "of that many tokens on both sides. Tokens are those of each system's own vocabulary.",
        "The growth of a step's time is the p of time ∝ n<sup>p</sup>, by least squares on logarithms over the lengths "
        "from a quarter of the longest up.",
        "The same numbers are in <code>report.json</code>, and the pictures, as PNG, beside this page.",
    )
    return f"<ul>{''.join(f'<li>{point}</li>' for point in points)}</ul>"
