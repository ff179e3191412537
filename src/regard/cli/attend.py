"""`regard attend`: what each word of a translation looks at, on the terminal and in files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from rich.console import Console

from regard.attention import explorer, terminal
from regard.attention.maps import KINDS, Kind, Looks, Weights, look
from regard.cli.commands import Job
from regard.cli.streams import input_lines, output, refuse_not_utf8, refuse_same, try_writing, write_errors
from regard.errors import ConfigError, DataError, DecodingError
from regard.inference.translator import SearchOptions, Translator
from regard.reports.compare import figures
from regard.reports.compare.results import Attended
from regard.text.segments import Piece, Span, join_pieces
from regard.training.microbatches import is_out_of_memory

MOST = 100  # sentences
MOST_MAPS = 100  # in one picture
WIDE = 80  # columns, where there is no terminal


@dataclass(frozen=True)
class View:
    """Which attention is shown, and how."""

    kind: str
    layer: int | None
    head: int | None
    tokens: bool  # not folded to words
    every: bool  # each layer and head by itself, in pictures


@dataclass(frozen=True)
class Seen:
    """A pair, and what the model looks at."""

    source: str
    target: str
    looks: Looks
    line: str  # that the source is a segment of
    span: Span  # of the source in it
    number: int  # of the line, from 0


Writer = Callable[[Sequence[Seen], View, Path], None]


def attend(
    job: Job, sentence: str | None, target: str | None, view: View, outputs: Sequence[Path], told: str,
    search: SearchOptions,
) -> None:  # fmt: skip
    """told: what is written to standard output: text, json or pharaoh. Raises ConfigError, DataError."""
    _check(view, outputs, told)
    refuse_same([], outputs)
    if target is not None and sentence is None:
        raise ConfigError("there is a target and no sentence", where="--target", fix="give the sentence as well")
    refuse_not_utf8(sentence, "the sentence")
    refuse_not_utf8(target, "--target")
    for path in outputs:
        try_writing(path)
    translator = job.translator()
    sources = [sentence] if sentence is not None else _lines()
    seen: list[Seen] = []
    with output(None) as write:
        for number, source in enumerate(sources):
            own = _look(translator, number, source.strip(), target, search)
            for line in _told(own, view, told):
                write(line + "\n")
            if outputs:
                seen += own
    for path in outputs:
        WRITERS[path.suffix.lower()](seen, view, path)


def _lines() -> Iterator[str]:
    lines = [line for line in islice(input_lines(None), MOST + 1) if line.strip()]
    if not lines:
        raise DataError("there is no sentence", where="standard input", fix="give one behind RUN, in quotes")
    if len(lines) > MOST:
        raise DataError(
            f"there are more than {MOST} lines",
            where="standard input",
            fix="give fewer; `regard translate --alignments` aligns whole files",
        )
    yield from lines


def _check(view: View, outputs: Sequence[Path], told: str) -> None:
    if view.kind not in KINDS:
        raise ConfigError(
            f"there is no attention `{view.kind}`", where="--kind", fix=f"choose among {', '.join(KINDS)}"
        )
    for path in outputs:
        if path.suffix.lower() not in WRITERS:
            raise ConfigError(
                f"what to write is not known by `{path.suffix}`",
                where=f"--output {path}",
                fix=f"let its name end in {', '.join(WRITERS)}",
            )
    if view.kind != "source" and (told == "pharaoh" or any(path.suffix.lower() == ".pharaoh" for path in outputs)):
        raise ConfigError("links are from target to source", where="--kind", fix="leave it out for Pharaoh's format")


def _look(translator: Translator, number: int, line: str, target: str | None, search: SearchOptions) -> list[Seen]:
    """Return what is looked at in each segment of a line; with a target, the line is one segment."""
    where = f"line {number + 1}"
    if target is not None:
        _refuse_too_long(translator, line, target, where)
        ids = translator.tokenizers.target.encode(target)
        return [Seen(line, target.strip(), _looks(translator, line, ids, where), line, (0, len(line)), number)]
    spans = translator.segments(line) or [(0, len(line))]
    texts = [line[start:end] for start, end in spans]
    found = translator.translate(texts, split_sentences=False, **search)
    return [
        Seen(text, best.text, _looks(translator, text, best.ids, where), line, span, number)
        for span, text, best in zip(spans, texts, found, strict=True)
    ]


def _refuse_too_long(translator: Translator, source: str, target: str, where: str) -> None:
    for text, tokenizer in ((source, translator.tokenizers.source), (target, translator.tokenizers.target)):
        if not translator.fits(text, tokenizer):
            raise DataError(
                f"one side has more than {translator.longest:,} tokens", where=where, fix="give a part of the pair"
            )


def _looks(translator: Translator, source: str, target: Sequence[int], where: str) -> Looks:
    try:
        return look(translator, source, target)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    raise DecodingError(
        f"out of memory while looking at {len(target):,} target tokens", where=where, fix="give a shorter sentence"
    )


def _shown(looks: Looks, view: View) -> tuple[Sequence[str], Sequence[str], Weights]:
    """Rows, columns and weights."""
    kind = _kind(view)
    weights, rows, columns = looks.weights(kind, view.layer, view.head), looks.rows(kind), looks.columns(kind)
    if view.tokens:
        return rows.tokens, columns.tokens, weights
    return rows.words, columns.words, looks.folded(weights, kind)


def _kind(view: View) -> Kind:
    return next(kind for kind in KINDS if kind == view.kind)


def _told(seen: Sequence[Seen], view: View, told: str) -> Iterator[str]:
    if told == "json":
        yield from map(_json, seen)
    elif told == "pharaoh":
        yield from _pharaoh(seen, view)
    else:
        for number, one in enumerate(seen):
            yield from ["", *_drawn(one, view)] if number else _drawn(one, view)


def _drawn(seen: Seen, view: View) -> Iterator[str]:
    yield seen.target
    yield ""
    if seen.looks.gradient:
        yield "The model does not attend: this is how strongly each source word moves each target word (gradient)."
        yield ""
    width = shutil.get_terminal_size((WIDE, 24)).columns if sys.stdout.isatty() else WIDE
    yield from terminal.drawn(*_shown(seen.looks, view), width)


def _json(seen: Seen) -> str:
    return json.dumps(
        {"source_text": seen.source, "target_text": seen.target, **explorer.table(seen.looks)}, ensure_ascii=False
    )


def _pharaoh(seen: Sequence[Seen], view: View) -> Iterator[str]:
    """For each line its links; those of a line of several segments are between the words of the whole line."""
    for _, group in groupby(seen, key=lambda one: one.number):
        own = list(group)
        links = [one.looks.alignment(one.looks.weights("source", view.layer, view.head)) for one in own]
        if len(own) > 1:
            pieces = [Piece(*one.span, one.target, some) for one, some in zip(own, links, strict=True)]
            links = [join_pieces(own[0].line, pieces).alignment]
        yield " ".join(f"{source}-{target}" for source, target in links[0])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    with output(path) as write:
        for line in lines:
            write(line + "\n")


def _write_json(seen: Sequence[Seen], view: View, path: Path) -> None:
    _write_lines(path, [_json(one) for one in seen])


def _write_pharaoh(seen: Sequence[Seen], view: View, path: Path) -> None:
    _write_lines(path, list(_pharaoh(seen, view)))


def _write_page(seen: Sequence[Seen], view: View, path: Path) -> None:
    _write_lines(path, [explorer.page("What it looks at", [(one.source, one.looks) for one in seen]).rstrip("\n")])


def _write_picture(seen: Sequence[Seen], view: View, path: Path) -> None:
    panels = [panel for one in seen for panel in _panels(one, view)]
    if len(panels) > MOST_MAPS:
        raise DataError(
            f"these are {len(panels)} maps",
            where=path,
            fix=f"draw at most {MOST_MAPS} into one picture, or write .html",
        )
    gradient = any(one.looks.gradient for one in seen)
    across = 1 if not view.every else max(len(layer) for layer in seen[0].looks.layers.get(_kind(view), [[0]]))
    drawn = figures.maps(
        panels, figures.LIGHT, most_columns=across, of="share of the gradient" if gradient else "attention weight"
    )
    if path.suffix.lower() == ".svg":
        _write_lines(path, [figures.to_svg(drawn).rstrip("\n")])
        return
    missing = figures.unwritable(
        "".join(token for _, one in panels for token in (*one.source_tokens, *one.target_tokens))
    )
    if missing:
        told = f"{path}: no installed font has {' '.join(sorted(missing)[:10])}"
        fix = "install one (say Noto Sans CJK), or write .svg or .html"
        Console(stderr=True).print(f"{told}: {fix}", highlight=False, markup=False, soft_wrap=True)
    with write_errors(path):
        figures.to_png(drawn, path)


def _panels(one: Seen, view: View) -> Iterator[tuple[str, Attended]]:
    if not view.every:
        yield one.source, _attended(one.looks, view)
        return
    layers = one.looks.layers.get(_kind(view), ())
    if not layers:
        one.looks.weights(_kind(view), 1)  # says what there is
    for layer, heads in enumerate(layers, start=1):
        for head in range(1, len(heads) + 1):
            chosen = View(view.kind, layer, head, view.tokens, every=False)
            yield f"layer {layer}, head {head}", _attended(one.looks, chosen)


def _attended(looks: Looks, view: View) -> Attended:
    rows, columns, weights = _shown(looks, view)
    return Attended(
        source_tokens=tuple(columns),
        target_tokens=tuple(rows),
        weights=tuple(tuple(map(float, row)) for row in weights),
    )


WRITERS: dict[str, Writer] = {
    ".html": _write_page,
    ".png": _write_picture,
    ".svg": _write_picture,
    ".json": _write_json,
    ".pharaoh": _write_pharaoh,
}
