"""What `regard translate` reads beside the text, and writes beside the translation."""

from __future__ import annotations

import json
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from regard.cli.commands import Job, tell_proved
from regard.cli.split_report import Divided
from regard.cli.streams import Write, input_lines, output, refuse_same
from regard.corpus.corpus import surrogate_reason
from regard.errors import ConfigError, DataError, DecodingError
from regard.inference.translator import Constraints, SearchOptions, TranslateOptions, Translation
from regard.inference.workers import probe, processors, stream

MUCH = 2000  # lines, for which it pays to start other processes


@dataclass(frozen=True)
class Wanted:
    """What is searched, and how."""

    search: SearchOptions
    fallback: SearchOptions | None
    top_beams: int
    constraints: Path | None
    split_sentences: bool | None = None  # None: as the run was trained


@dataclass(frozen=True)
class Written:
    """What is written beside the text."""

    scores: bool
    alignments: Path | None
    report: Path | None


def options(texts: Sequence[str], where: str, **others: int | float | None) -> SearchOptions:
    """KEY=VALUE texts, and what has options of its own, to the keys of [search]. Raises ConfigError."""
    found: dict[str, Any] = {key: value for key, value in others.items() if value is not None}
    known = SearchOptions.__annotations__
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or key not in known:
            raise ConfigError(
                f"`{text}` is not KEY=VALUE" if not equals else f"there is no key `{key}`",
                where=where,
                fix=f"the keys are {', '.join(known)}",
            )
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            found[key] = value  # a bare word is a string
    return cast(SearchOptions, found)


def translate(job: Job, wanted: Wanted, written: Written) -> None:
    """See regard.Translator.stream; every line of the input gives top_beams lines, blank where fewer were found."""
    refuse_same([job.input, wanted.constraints], [job.output, written.alignments, written.report])
    lines, sources = tee(input_lines(job.input))  # the second is never further behind than some chunks
    found = _placed(_found(job, wanted, lines, with_attention=written.alignments is not None), job.input)
    found = chain(list(islice(found, 1)), found)  # what is wrong from the start is told before a file is written over
    divided = Divided(job.run, job.input, wanted.split_sentences)
    marked: Counter[str] = Counter()
    proved: Counter[bool | None] = Counter()
    with ExitStack() as stack:
        write = stack.enter_context(output(job.output, keep_partial=True))
        align, report = (
            None if path is None else stack.enter_context(output(path, keep_partial=True))
            for path in (written.alignments, written.report)
        )
        shown = _counted(found, shown=job.output is not None or not sys.stdout.isatty())
        for number, (source, best) in enumerate(zip(sources, shown, strict=False), start=1):
            for place in range(wanted.top_beams):
                translation = best.n_best[place] if place < len(best.n_best) else None
                write(_line(translation, written.scores))
                if align is not None:
                    align(_pharaoh(translation))
            marked.update([*best.marks, *(["lines"] if best.marks else [])])
            proved[best.proved] += 1
            divided.count(number, source, best)
            if report is not None and (best.marks or best.proved is False):
                _report(report, number, source, best)
    tell_proved(proved)
    divided.tell()
    if written.report is not None or wanted.fallback is not None:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(marked.items()) if kind != "lines")
        told = f"{marked['lines']:,} lines look degenerate" + (f": {kinds}" if kinds else "")
        Console(stderr=True).print(told, highlight=False, soft_wrap=True)


def _found(job: Job, wanted: Wanted, lines: Iterator[str], *, with_attention: bool) -> Iterator[Translation]:
    """In this process, or by several where there is much to do and the device is the CPU."""
    options: TranslateOptions = {
        **wanted.search,
        "top_beams": wanted.top_beams,
        "batch_size": job.batch_size,
        "with_attention": with_attention,
        "fallback": wanted.fallback,
        "split_sentences": wanted.split_sentences,
        "constraints": None if wanted.constraints is None else _constraints(wanted.constraints),
        "first_line": 0,
    }
    first = list(islice(lines, MUCH))
    lines = chain(first, lines)
    workers, translator = job.workers, None
    if not workers:
        translator = job.translator()
        worth = len(first) == MUCH and translator.device.type == "cpu" and processors() > 1
        # The probe uses beam search, whatever the strategy: some strategies take minutes a line.
        beam: SearchOptions = {**wanted.search, "strategy": "beam"}
        probed = partial(translator.translate, split_sentences=wanted.split_sentences, **beam)
        workers = probe(probed, first, processors()) if worth else 1
    if workers == 1:
        translator = translator or job.translator()
        return translator.stream(lines, **options)
    return stream(job.loader(), lines, workers, **options)


def _placed(found: Iterator[Translation], path: Path | None) -> Iterator[Translation]:
    """The same; what goes wrong with a line is told by the name of its file and its number."""
    try:
        yield from found
    except DecodingError as error:
        number = re.fullmatch(r"line (\d+)", error.where or "")
        if number is None:
            raise
        where = f"{path or 'standard input'}:{number[1]}"
        raise DecodingError(error.what, where=where, fix=error.fix) from None


def _report(write: Write, number: int, source: str, best: Translation) -> None:
    marks = [*best.marks, *(["unproved"] if best.proved is False else [])]
    table = {"line": number, "marks": marks, "source": source.strip(), "translation": best.text}
    write(json.dumps(table, ensure_ascii=False) + "\n")


def _constraints(path: Path) -> Iterator[Constraints]:
    lines = enumerate(input_lines(path), start=1)  # a file that cannot be read is told now
    return (_constraint(line, f"{path}:{number}") if line.strip() else Constraints() for number, line in lines)


def _constraint(line: str, where: str) -> Constraints:
    fix = 'write {"require": ["..."], "forbid": ["..."], "prefix": "..."}, any of the three'
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=where, fix=fix) from None
    if not isinstance(table, dict) or set(table) - {"require", "forbid", "prefix"}:
        raise DataError("this is no object with these keys", where=where, fix=fix)
    require, forbid, prefix = table.get("require", []), table.get("forbid", []), table.get("prefix", "")
    phrases = [*require, *forbid] if isinstance(require, list) and isinstance(forbid, list) else [None]
    if not all(isinstance(one, str) for one in (*phrases, prefix)):
        raise DataError("a phrase is not text, or phrases are no list", where=where, fix=fix)
    if why := surrogate_reason("".join(map(str, (*phrases, prefix)))):
        raise DataError(why, where=where, fix="write the whole character")
    return Constraints(tuple(require), tuple(forbid), prefix)


def _line(translation: Translation | None, scores: bool) -> str:
    if translation is None:
        return "\n"
    return f"{translation.score:.6f}\t{translation.text}\n" if scores else f"{translation.text}\n"


def _pharaoh(translation: Translation | None) -> str:
    if translation is None or not translation.tokens:
        return "\n"
    if not translation.attends:
        raise DecodingError(
            "this model does not attend, so it aligns nothing", where="--alignments", fix="leave --alignments out"
        )
    return " ".join(f"{source}-{target}" for source, target in translation.alignment) + "\n"


def _counted(found: Iterable[Translation], *, shown: bool) -> Iterator[Translation]:
    """The same; on a terminal with how many lines there are so far, and how many words a second."""
    if not (shown and sys.stderr.isatty()):
        yield from found
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} lines"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("lines", total=None, rate="")
        began, words = time.monotonic(), 0
        for number, translation in enumerate(found, start=1):
            words += len(translation.text.split())
            bar.update(task, completed=number, rate=f"{words / (time.monotonic() - began + 1e-9):,.0f} words/s")
            yield translation
