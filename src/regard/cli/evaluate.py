"""`regard evaluate` and `regard score`: what a run makes of pairs that are known."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from regard.checkpoints.checkpoint import load_config
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.cli.commands import Job, tell_proved
from regard.cli.streams import input_lines, output, refuse_same, same_length
from regard.corpus.corpus import Pair, SkipReport
from regard.corpus.formats.sides import Sides
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.errors import ConfigError, DataError
from regard.evaluation.metrics import measure
from regard.inference.translator import SearchOptions, Translation


@dataclass(frozen=True)
class Known:
    """The pairs that are asked about: where they lie, and which sides are meant."""

    place: CorpusPaths
    sides: Sides

    def pairs(self, run: Path) -> tuple[list[Pair], SkipReport]:
        """All of them in order, and what was left aside.

        Two plain files give a pair a line, blank sides too. A file with both sides gives those with text on both, read
        as the run's recipe reads its own where nothing else is asked. Raises ConfigError, DataError, CheckpointError.
        """
        sides = self.sides
        if self.place.data is None and (sides.source_column or sides.target_column):
            raise ConfigError(
                "plain files have no columns",
                where="--source-column, --target-column",
                fix="leave them out, or give --data",
            )
        if self.place.data is not None:
            sides = infer_sides(load_config(resolve_checkpoint(run)).data, self.place.data, sides)
        corpus = self.place.open(sides)
        if corpus is None:
            source, target, data = self.place.labels
            raise ConfigError(
                "no pairs are named", where=f"{source}, {target}, {data}", fix=f"give {source} and {target}, or {data}"
            )
        if isinstance(corpus, ParallelText):
            where = f"{corpus.source} | {corpus.target}"
            both = same_length(input_lines(corpus.source), input_lines(corpus.target), where)
            return [Pair(*texts, number) for number, texts in enumerate(both, start=1)], SkipReport()
        return list(corpus), corpus.skipped


def evaluate(
    job: Job, known: Known, *, as_json: bool, tokenized: bool, split_sentences: bool, search: SearchOptions
) -> None:
    """See regard.evaluation.metrics.measure."""
    translator = job.translator()
    pairs, aside = known.pairs(job.run)
    if not pairs:
        raise DataError(
            "there is nothing to evaluate: no line", where=known.place.source, fix="give a test set with lines"
        )
    _tell(aside)
    began = time.monotonic()
    found = translator.stream(
        (pair.source for pair in pairs), batch_size=job.batch_size, split_sentences=split_sentences, **search
    )
    bests = list(_with_bar(found, len(pairs)))
    seconds = time.monotonic() - began
    tell_proved(Counter(best.proved for best in bests))
    hypotheses = [best.text for best in bests]
    language = known.sides.target_language or translator.target_language
    quality = measure(hypotheses, [pair.target for pair in pairs], target_language=language, tokenized=tokenized)
    with output(None) as write:
        if as_json:
            counts = {"lines": len(pairs), "left_aside": aside.sentences(), "seconds": round(seconds, 2)}
            write(json.dumps({**asdict(quality), **counts}, ensure_ascii=False) + "\n")
            return
        for name in ("bleu", "chrf", "ter"):
            write(f"{name:5} {getattr(quality, name):6.2f}  {quality.signatures[name]}\n")
        write(f"wer   {quality.wer:6.2f}  edits per 100 words of the reference\n")
        write(f"exact {100 * quality.exact:6.2f}  % of {len(pairs):,} lines, in {seconds:.1f} s\n")


def score(job: Job, known: Known) -> None:
    """See regard.Translator.score; of a file with both sides each line begins with that of its pair, and a tab."""
    refuse_same(known.place.files(), [job.output])
    translator = job.translator()
    pairs, aside = known.pairs(job.run)
    tokenizers = translator.tokenizers
    for pair in pairs:
        if not pair.source.strip():
            raise DataError(
                "there is no source to score a target by",
                where=f"{known.place.source}:{pair.line}",
                fix="take the line out of both files",
            )
        for text, tokenizer in ((pair.source, tokenizers.source), (pair.target, tokenizers.target)):
            if not translator.fits(text.strip(), tokenizer):
                raise DataError(
                    f"one side has more than {translator.longest:,} tokens, and a pair cannot be divided",
                    where=f"{known.place.source or known.place.data}:{pair.line}",
                    fix="divide the pair, or take it out",
                )
    _tell(aside)
    texts = ((pair.source, pair.target) for pair in pairs)
    with output(job.output, keep_partial=True) as write:
        for pair, value in zip(pairs, translator.score(texts, batch_size=job.batch_size), strict=True):
            write(f"{value:.6f}\n" if known.place.data is None else f"{pair.line}\t{value:.6f}\n")


def _tell(aside: SkipReport) -> None:
    for sentence in aside.sentences():
        Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def _with_bar(found: Iterable[Translation], total: int) -> Iterator[Translation]:
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("lines"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield from bar.track(found, total=total)
