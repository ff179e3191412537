"""Translate lines of text, in this process or in several."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.cli.glossary_option import load_glossary
from regard.cli.streams import Write, input_lines, output, refuse_same
from regard.cli.translate_options import OutputOptions, SearchRequest
from regard.cli.translator_options import TranslatorOptions
from regard.console import say, status, track
from regard.corpus.corpus import surrogate_reason
from regard.errors import DataError, DecodingError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from regard.inference.line_output import LineOutput
    from regard.inference.translator import Constraints, SearchOptions, TranslateOptions, Translation

CONFIDENCE_DIGITS = 4
PARALLEL_LINES = 2000  # for fewer lines, other processes are not worth their start


def translate_lines(
    model: TranslatorOptions, path: Path | None, request: SearchRequest, outputs: OutputOptions
) -> None:
    """Translate the lines of a file, or of standard input if `path` is None.

    Every line gives `request.top_beams` lines of output, which are blank if fewer translations exist.

    Raises:
        ConfigError: Options contradict each other.
        DataError: A file cannot be read or written.
        CheckpointError: The model cannot be loaded.
        DecodingError: The search does not support these options, or fails.
    """
    refuse_same([path, request.constraints, Path(request.glossary)], outputs.files())
    model.check()
    options: TranslateOptions = {
        **request.search,
        "top_beams": request.top_beams,
        "batch_size": request.batch_size,
        "with_attention": outputs.alignments is not None,
        "fallback": request.fallback,
        "split_sentences": request.split_sentences,
        "with_confidence": outputs.confidence,
        "min_confidence": request.min_confidence,
        "first_line": 0,
        "constraints": None,
        "glossary": load_glossary(request.glossary, model),
        "glossary_method": request.glossary_method,
    }
    sources: Iterator[str]
    results: AbstractContextManager[Iterator[LineOutput]]
    if request.ray:
        from regard.cli.translate_on_ray import cluster_results

        sources = input_lines(path, request.column)
        results = cluster_results(model, path, request, outputs, options)
    else:
        lines, sources = tee(input_lines(path, request.column))  # `sources` waits for translations, a few chunks
        results = nullcontext(_line_outputs(_translate(model, request, lines, options), outputs))
    with results as line_outputs:
        _write(model, path, request, outputs, zip(sources, _locate_errors(line_outputs, path), strict=False))


def _line_outputs(translations: Iterator[Translation], outputs: OutputOptions) -> Iterator[LineOutput]:
    from regard.inference.line_output import LineOutput

    for best in translations:
        yield LineOutput.of(best, align=outputs.alignments is not None)


def _write(
    model: TranslatorOptions,
    path: Path | None,
    request: SearchRequest,
    outputs: OutputOptions,
    results: Iterator[tuple[str, LineOutput]],
) -> None:
    """Write all files that are asked for, and report."""
    results = chain(list(islice(results, 1)), results)  # report early errors before an output file is replaced
    from regard.cli.split_report import SplitReport  # imports PyTorch, which the checks above do not need

    split_report = SplitReport(model.run, path, request.split_sentences)
    mark_counts: Counter[str] = Counter()
    proofs: Counter[bool | None] = Counter()
    withheld = 0
    with ExitStack() as stack:
        keep_partial = not request.ray  # a cluster keeps the parts
        write = stack.enter_context(output(outputs.text, keep_partial=keep_partial))
        write_alignment, write_report = (
            None if file is None else stack.enter_context(output(file, keep_partial=keep_partial))
            for file in (outputs.alignments, outputs.report)
        )
        shown = _with_progress(results, show=outputs.text is not None or not sys.stdout.isatty())
        for number, (source, best) in enumerate(shown, start=1):
            for rank in range(request.top_beams):
                write(_line(best, rank, outputs))
                if write_alignment is not None:
                    write_alignment(f"{best.alignments[rank] if rank < len(best.alignments) else ''}\n")
            mark_counts.update([*best.marks, *(["lines"] if best.marks else [])])
            proofs[best.proved] += 1
            split_report.count(number, source, is_divided=best.is_divided)
            withheld += best.is_withheld
            if write_report is not None and (best.marks or best.proved is False or best.confidences):
                _write_report(write_report, number, source, best)
    say_proofs(proofs)
    split_report.print()
    if withheld:
        lines = "1 line stays" if withheld == 1 else f"{withheld:,} lines stay"
        say(f"{lines} untranslated, at least in part: confidence below {request.min_confidence:g}")
    if outputs.report is not None or request.fallback is not None:
        _say_degenerate(mark_counts)


def _translate(
    model: TranslatorOptions, request: SearchRequest, lines: Iterator[str], options: TranslateOptions
) -> Iterator[Translation]:
    """Translate in this process, or in several if there are many lines and the device is the CPU."""
    model.check()
    constraints = read_constraints(request.constraints)
    first = list(islice(lines, PARALLEL_LINES))
    lines = chain(first, lines)
    translator = None
    workers = request.workers
    if workers == 0:
        translator = model.load()
        from regard.inference.workers import probe, processors

        is_worthwhile = len(first) == PARALLEL_LINES and translator.device.type == "cpu" and processors() > 1
        # Probe with beam search whatever the strategy: some strategies take minutes for a line.
        beam: SearchOptions = {**request.search, "strategy": "beam"}
        translate = partial(translator.translate, split_sentences=request.split_sentences, **beam)
        workers = probe(translate, first, processors()) if is_worthwhile else 1
    options["constraints"] = constraints
    if workers == 1:
        translator = translator or model.load()
        return translator.stream(lines, **options)
    if request.glossary:
        translator = translator or model.load()
        translator.terms.forms  # noqa: B018 (learned once, and not by each worker)
    with status("loading PyTorch"):
        from regard.inference.workers import stream
    return stream(model.loader(), lines, workers, **options)


def _locate_errors(results: Iterator[LineOutput], path: Path | None) -> Iterator[LineOutput]:
    """Yield the results; name the input file in the errors of a line."""
    try:
        yield from results
    except DecodingError as error:
        number = re.fullmatch(r"line (\d+)", error.where or "")
        if number is None:
            raise
        where = f"{path or 'standard input'}:{number[1]}"
        raise DecodingError(error.message, where=where, fix=error.fix) from None


def read_constraints(path: Path | None) -> Iterator[Constraints] | None:
    """Return the constraints of each line in a file, whose first line is read at once; None without a file.

    Raises DataError if the file cannot be read, or a line is not valid.
    """
    return None if path is None else _constraints(input_lines(path), path)


def _constraints(lines: Iterable[str], path: Path) -> Iterator[Constraints]:
    from regard.inference.translator import Constraints

    for number, line in enumerate(lines, start=1):
        yield Constraints(*_parse_constraint(line, f"{path}:{number}")) if line.strip() else Constraints()


def _parse_constraint(line: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return the required phrases, the forbidden phrases and the prefix in a line of JSON. Raise DataError."""
    fix = 'write {"require": ["..."], "forbid": ["..."], "prefix": "..."}, with any of the three keys'
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=where, fix=fix) from None
    if not isinstance(table, dict) or set(table) - {"require", "forbid", "prefix"}:
        raise DataError("this is not an object with these keys", where=where, fix=fix)
    require, forbid, prefix = table.get("require", []), table.get("forbid", []), table.get("prefix", "")
    phrases = [*require, *forbid] if isinstance(require, list) and isinstance(forbid, list) else [None]
    if not all(isinstance(phrase, str) for phrase in (*phrases, prefix)):
        raise DataError("a phrase is not a string, or the phrases are not a list", where=where, fix=fix)
    if why := surrogate_reason("".join(map(str, (*phrases, prefix)))):
        raise DataError(why, where=where, fix="write the whole character")
    return tuple(require), tuple(forbid), prefix


def _line(best: LineOutput, rank: int, outputs: OutputOptions) -> str:
    if rank >= len(best.texts):
        return "\n"
    score = f"{best.scores[rank]:.6f}\t" if outputs.scores else ""
    confidence = f"{best.confidences[rank]:.3f}\t" if outputs.confidence else ""
    return f"{score}{confidence}{best.texts[rank]}\n"


def _write_report(write: Write, number: int, source: str, best: LineOutput) -> None:
    marks = [*best.marks, *(["unproved"] if best.proved is False else [])]
    table: dict[str, Any] = {"line": number, "marks": marks}
    if best.confidences:
        table["confidence"] = round(best.confidences[0], CONFIDENCE_DIGITS)
        table["words"] = [
            {"start": start, "end": end, "confidence": round(value, CONFIDENCE_DIGITS)}
            for start, end, value in best.words
        ]
        table |= {"untranslated": True} if best.is_withheld else {}
    table |= {"source": source.strip(), "translation": best.texts[0]}
    write(json.dumps(table, ensure_ascii=False) + "\n")


def _with_progress(results: Iterator[tuple[str, LineOutput]], *, show: bool) -> Iterator[tuple[str, LineOutput]]:
    """Yield the results; show on a terminal how many lines are translated, and how many words per second."""
    if not show:
        return results
    return track(results, "lines", measure=lambda result: len(result[1].texts[0].split()), unit="words")


def say_proofs(proofs: Counter[bool | None]) -> None:
    """Print how many lines exact search has proved.

    Args:
        proofs: How often `Translation.proved` has each value.
    """
    if not (proofs[True] or proofs[False]):
        return
    message = f"exact search proved the best translation of {proofs[True]:,} of {proofs[True] + proofs[False]:,} lines"
    if proofs[False]:
        message += f"; {proofs[False]:,} not within exact_steps"
    say(message)


def _say_degenerate(mark_counts: Counter[str]) -> None:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(mark_counts.items()) if kind != "lines")
    say(f"{mark_counts['lines']:,} lines look degenerate" + (f": {kinds}" if kinds else ""))
