"""Print attention to the terminal, and write it to files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from regard.attention import explorer, terminal
from regard.attention.maps import AttentionMaps, AttentionWeights, compute_attention_maps
from regard.attention.matrix import AttentionMatrix
from regard.cli.attend import Format, View
from regard.cli.streams import input_lines, output, write_errors
from regard.console import say
from regard.errors import DataError, DecodingError
from regard.inference.translator import SearchOptions, Translator
from regard.text.model_input import ModelInput
from regard.text.segments import Alignment, Piece, Span, join_pieces
from regard.tokenizers.words import WordMap
from regard.training.microbatches import is_out_of_memory

MAX_SENTENCES = 100
MAX_MAPS = 100  # in one picture
DEFAULT_WIDTH = 80  # columns, if standard output is not a terminal
AXES_LABELS = {"source": ("source", "target"), "encoder": ("source", "source"), "decoder": ("target", "target")}


@dataclass(frozen=True)
class AttendedSegment:
    """A source segment, its translation, and the attention between them.

    Attributes:
        source: The segment.
        target: Its translation.
        maps: The attention.
        line: The line that the segment is a part of.
        span: The characters of `line` that the segment has.
        number: The number of the line, counted from 0.
        model_input: The segment as the model reads it.
        ids: The tokens of the translation.
        is_given: Whether the user has given the translation.
    """

    source: str
    target: str
    maps: AttentionMaps
    line: str
    span: Span
    number: int
    model_input: ModelInput
    ids: Sequence[int]
    is_given: bool = False

    def link_words(self, view: View) -> Alignment:
        """Link each word of `target` to the word of `source` with the largest weight.

        As in `regard translate --alignments`, words are separated by white space, and restored emoji are linked.
        """
        tokenizers = self.model_input.tokenizers
        words = WordMap.from_ids(tokenizers, self.model_input.encode(), self.ids)
        links = words.link_words(self.maps.weights("source", view.layer, view.head))
        if self.is_given:
            source_words = self.model_input.emoji_free.source_words()
            return tuple((source_words[source], target) for source, target in links)
        mean_links = () if self.maps.is_saliency else words.link_words(self.maps.mean)
        return self.model_input.insert(tokenizers.target.decode(self.ids), mean_links).align(links)


Writer = Callable[[Sequence[AttendedSegment], View, Path], None]


def show_attention(
    translator: Translator,
    sentence: str | None,
    target: str | None,
    view: View,
    outputs: Sequence[Path],
    print_as: Format,
    search: SearchOptions,
) -> None:
    """Print the attention of a sentence, or of each line of standard input, and write it to files.

    Args:
        translator: The model.
        sentence: The source; None: each line of standard input.
        target: The translation; None: the model's own.
        view: Which attention to show.
        outputs: Files to write, in the format that their names say.
        print_as: The format on standard output.
        search: Overrides of the recipe's [search].

    Raises:
        DataError: A text is too long, or there are too many.
        DecodingError: The model has no such layer or head, or memory is exhausted.
    """
    sources = [sentence] if sentence is not None else _read_sentences()
    segments: list[AttendedSegment] = []
    with output(None) as write:
        for number, source in enumerate(sources):
            of_line = _attend(translator, number, source.strip(), target, search)
            for line in list(_formatted(of_line, view, print_as)):  # raise errors before anything is printed
                write(line + "\n")
            if outputs:
                segments += of_line
    for path in outputs:
        WRITERS[path.suffix.lower()](segments, view, path)


def _read_sentences() -> Iterator[str]:
    lines = [line for line in islice(input_lines(None), MAX_SENTENCES + 1) if line.strip()]
    if not lines:
        raise DataError("there is no sentence", where="standard input", fix="give one after RUN, in quotes")
    if len(lines) > MAX_SENTENCES:
        raise DataError(
            f"there are more than {MAX_SENTENCES} lines",
            where="standard input",
            fix="give fewer; `regard translate --alignments` aligns whole files",
        )
    yield from lines


def _attend(
    translator: Translator, number: int, line: str, target: str | None, search: SearchOptions
) -> list[AttendedSegment]:
    """Return the attention in each segment of a line; with a target, the line is one segment."""
    where = f"line {number + 1}"
    if target is not None:
        _refuse_too_long(translator, line, target, where)
        ids = translator.tokenizers.target.encode(target)
        maps = _attention_maps(translator, line, ids, where)
        read = translator.prepare(line)
        return [AttendedSegment(line, target.strip(), maps, line, (0, len(line)), number, read, ids, is_given=True)]
    spans = translator.segments(line) or [(0, len(line))]
    texts = [line[start:end] for start, end in spans]
    results = translator.translate(texts, split_sentences=False, with_attention=True, **search)
    segments = []
    for span, text, best in zip(spans, texts, results, strict=True):
        maps = _attention_maps(translator, text, best.ids, where)
        segments.append(AttendedSegment(text, best.text, maps, line, span, number, translator.prepare(text), best.ids))
    return segments


def _refuse_too_long(translator: Translator, source: str, target: str, where: str) -> None:
    for text, tokenizer in ((source, translator.tokenizers.source), (target, translator.tokenizers.target)):
        if not translator.fits(text, tokenizer):
            raise DataError(
                f"one side has more than {translator.longest:,} tokens", where=where, fix="give a part of the pair"
            )


def _attention_maps(translator: Translator, source: str, target: Sequence[int], where: str) -> AttentionMaps:
    try:
        return compute_attention_maps(translator, source, target)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    raise DecodingError(
        f"out of memory while computing the attention of {len(target):,} target tokens",
        where=where,
        fix="give a shorter sentence",
    )


def _selected(maps: AttentionMaps, view: View) -> tuple[Sequence[str], Sequence[str], AttentionWeights]:
    """Return labels of rows, labels of columns, and weights."""
    kind = view.kind
    weights, rows, columns = maps.weights(kind, view.layer, view.head), maps.rows(kind), maps.columns(kind)
    if view.tokens:
        return rows.tokens, columns.tokens, weights
    return rows.words, columns.words, maps.fold_to_words(weights, kind)


def _formatted(segments: Sequence[AttendedSegment], view: View, print_as: Format) -> Iterator[str]:
    if print_as == "json":
        yield from map(_json, segments)
    elif print_as == "pharaoh":
        yield from _pharaoh(segments, view)
    else:
        for index, segment in enumerate(segments):
            yield from ["", *_terminal_map(segment, view)] if index else _terminal_map(segment, view)


def _terminal_map(segment: AttendedSegment, view: View) -> Iterator[str]:
    yield segment.target
    yield ""
    if segment.maps.is_saliency:
        yield "The model has no attention: this is how strongly each source word affects each target word (gradient)."
        yield ""
    width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns if sys.stdout.isatty() else DEFAULT_WIDTH
    yield from terminal.draw_map(*_selected(segment.maps, view), width)


def _json(segment: AttendedSegment) -> str:
    table = {"source_text": segment.source, "target_text": segment.target, **explorer.to_json(segment.maps)}
    return json.dumps(table, ensure_ascii=False)


def _pharaoh(segments: Sequence[AttendedSegment], view: View) -> Iterator[str]:
    """Yield the alignment of each line. For a line of several segments, words are counted in the whole line."""
    for _, group in groupby(segments, key=lambda segment: segment.number):
        of_line = list(group)
        links = [segment.link_words(view) for segment in of_line]
        if len(of_line) > 1:
            pieces = [
                Piece(*segment.span, segment.target, alignment)
                for segment, alignment in zip(of_line, links, strict=True)
            ]
            links = [join_pieces(of_line[0].line, pieces).alignment]
        yield " ".join(f"{source}-{target}" for source, target in links[0])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    with output(path) as write:
        for line in lines:
            write(line + "\n")


def _write_json(segments: Sequence[AttendedSegment], view: View, path: Path) -> None:
    _write_lines(path, [_json(segment) for segment in segments])


def _write_pharaoh(segments: Sequence[AttendedSegment], view: View, path: Path) -> None:
    _write_lines(path, list(_pharaoh(segments, view)))


def _write_page(segments: Sequence[AttendedSegment], view: View, path: Path) -> None:
    page = explorer.render_explorer_page("Attention", [(segment.source, segment.maps) for segment in segments])
    _write_lines(path, [page.rstrip("\n")])


def _write_picture(segments: Sequence[AttendedSegment], view: View, path: Path) -> None:
    from regard.reports.attention_plots import draw_attention_maps  # imports matplotlib
    from regard.reports.theme import LIGHT, find_missing_glyphs, save_png, to_svg

    panels = [panel for segment in segments for panel in _panels(segment, view)]
    if len(panels) > MAX_MAPS:
        raise DataError(
            f"there are {len(panels)} maps",
            where=path,
            fix=f"draw at most {MAX_MAPS} into one picture, or write .html",
        )
    has_gradient = any(segment.maps.is_saliency for segment in segments)
    heads = [len(layer) for layer in segments[0].maps.layers.get(view.kind, [[0]])]
    drawn = draw_attention_maps(
        panels,
        LIGHT,
        max_columns=max(heads) if view.every else 1,
        label="share of the gradient" if has_gradient else "attention weight",
        axes_labels=AXES_LABELS[view.kind],
    )
    if path.suffix.lower() == ".svg":
        _write_lines(path, [to_svg(drawn).rstrip("\n")])
        return
    missing = find_missing_glyphs(
        "".join(token for _, attended in panels for token in (*attended.source_tokens, *attended.target_tokens))
    )
    if missing:
        say(
            f"{path}: no installed font has {' '.join(sorted(missing)[:10])}: "
            "install a font that has them (such as Noto Sans CJK, or Noto Emoji), or write .svg or .html"
        )
    with write_errors(path):
        save_png(drawn, path)


def _panels(segment: AttendedSegment, view: View) -> Iterator[tuple[str, AttentionMatrix]]:
    if not view.every:
        yield segment.source, _attended(segment.maps, view)
        return
    layers = segment.maps.layers.get(view.kind, ())
    if not layers:
        segment.maps.weights(view.kind, 1)  # raises an error that names the attention that there is
    for layer, heads in enumerate(layers, start=1):
        for head in range(1, len(heads) + 1):
            selected = View(view.kind, layer, head, view.tokens, every=False)
            yield f"layer {layer}, head {head}", _attended(segment.maps, selected)


def _attended(maps: AttentionMaps, view: View) -> AttentionMatrix:
    rows, columns, weights = _selected(maps, view)
    return AttentionMatrix(
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
