"""`regard inspect` and `regard clean`: what is wrong with a corpus, and the corpus without it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from regard.cli.streams import output, refuse_same
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.sides import Sides
from regard.corpus.language_codes import languages_from_names
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths
from regard.corpus_checks.cleaning import Wish, clean, field, kinds
from regard.corpus_checks.findings import DROPPED, LOSSLESS, MEANING, Finding, Kind, spans
from regard.corpus_checks.inspection import Doctor, Report
from regard.corpus_checks.lengths import QUANTILES, Lengths
from regard.corpus_checks.reading import one_line
from regard.errors import ConfigError

SHOWN_LINES = 12
SHOWN_EXAMPLES = 3


@dataclass(frozen=True)
class Patient:
    """What is looked over: a corpus, the sets that it must share nothing with, and what is known of its sides."""

    train: CorpusPaths
    dev: CorpusPaths
    test: CorpusPaths
    sides: Sides

    def files(self) -> list[Path]:
        """All that are read."""
        return [path for place in (self.train, self.dev, self.test) for path in place.files()]

    def doctor(self, console: Console) -> Doctor:
        """Who has read it once. Raises ConfigError and DataError."""
        corpus = self.train.open(self.sides)
        if corpus is None:
            raise ConfigError("no corpus is named", fix="give --source and --target, or --data")
        held = {
            name: found
            for name, place in (("dev", self.dev), ("test", self.test))
            if (found := place.open(self.sides)) is not None
        }
        with console.status("reading ...") as status:
            return Doctor(corpus, held, self._languages(), lambda text: status.update(f"{text} ..."))

    def _languages(self) -> tuple[str, str]:
        told = languages_from_names(*self.train.files())
        return (
            self.sides.source_language or told[0],
            self.sides.target_language or told[1],
        )


def inspect(patient: Patient, json_: Path | None, page: Path | None) -> None:
    """Say what is wrong with a corpus. Raises ConfigError and DataError."""
    refuse_same(patient.files(), [json_, page])
    console = Console(stderr=True)
    doctor = patient.doctor(console)
    with console.status("judging ..."):
        report = doctor.report()
    with output(None) as write:
        for line in told(report):
            write(line + "\n")
    if json_ is not None:
        with output(json_) as write:
            write(json.dumps(as_table(report), ensure_ascii=False, indent=1) + "\n")
    if page is not None:
        from regard.reports.corpus.page import document

        with output(page) as write:
            write(document(report))


def told(report: Report) -> Iterator[str]:
    """The report as lines of text."""
    yield f"{report.name}: {report.read:,} pairs, {report.pairs:,} of them with text on both sides"
    for name, side, script, language in zip(
        ("source", "target"), report.lengths, report.scripts, report.languages, strict=True
    ):
        written = " and ".join(script) or "no letters"
        yield f"{name}: {language or 'language not clear'}, {written}; {_lengths(side)}"
    yield from (*report.remarks, *report.skipped.sentences())
    if report.unrelated_share >= 0.01:
        yield f"about {report.unrelated_share:.0%} of all pairs do not seem to belong together"
    for region in report.regions:
        yield f"lines {region.begin:,} to {region.end:,} are out of step: their targets stand {_way(region.shift)}"
    if not list(report.findings):
        yield "nothing was found"
    for finding in report.findings:
        yield ""
        yield from _finding(finding, report.read)


def _way(shift: int) -> str:
    return f"{abs(shift)} line{'s' if abs(shift) > 1 else ''} further {'down' if shift > 0 else 'up'}"


def _lengths(side: Lengths) -> str:
    def said(numbers: tuple[int, ...]) -> str:
        of = dict(zip(QUANTILES, numbers, strict=True))
        return f"{of[0.0]:,} to {of[1.0]:,}, median {of[0.5]:,}, 98% from {of[0.01]:,} to {of[0.99]:,}"

    return f"characters {said(side.characters)}; words {said(side.words)}"


def _finding(finding: Finding, read: int) -> Iterator[str]:
    yield f"{finding.kind.value}: {finding.count:,} ({finding.count / read:.2%}), {MEANING[finding.kind]}"
    shown = finding.lines[:SHOWN_LINES]
    more = f" and {finding.count - len(shown):,} more" if finding.count > len(shown) else ""
    yield f"  line{'s' if finding.count > 1 else ''} {spans(shown)}{more}"
    for example in finding.examples[:SHOWN_EXAMPLES]:
        yield f"  {example.line}: {example.note}"
        yield f"    {_visible(example.source)}"
        yield f"    {_visible(example.target)}"


def _visible(text: str) -> str:
    """With what cannot be seen, and would break the line or the terminal, as \\u2028 and the like."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def as_table(report: Report) -> dict[str, Any]:
    """The report as JSON has it; of each kind the first lines, and examples."""
    sides = zip(("source", "target"), report.lengths, report.scripts, report.languages, strict=True)
    return {
        "corpus": report.name,
        "read": report.read,
        "pairs": report.pairs,
        "left_aside": report.skipped.sentences(),
        "sides": {
            name: {
                "language": language,
                "scripts": list(script),
                "quantiles": list(QUANTILES),
                "characters": list(side.characters),
                "words": list(side.words),
            }
            for name, side, script, language in sides
        },
        "remarks": list(report.remarks),
        "unrelated_share": report.unrelated_share,
        "out_of_step": [{"begin": r.begin, "end": r.end, "shift": r.shift} for r in report.regions],
        "findings": {
            finding.kind.value: {
                "meaning": MEANING[finding.kind],
                "count": finding.count,
                "lines": finding.lines,
                "examples": [
                    {"line": e.line, "note": e.note, "source": e.source, "target": e.target} for e in finding.examples
                ],
            }
            for finding in report.findings
        },
    }


@dataclass(frozen=True)
class Outputs:
    """Where the clean corpus goes, and what was taken out of it."""

    source: Path | None
    target: Path | None
    tsv: Path | None
    removed: Path | None
    report: Path | None

    def files(self) -> list[Path]:
        """All that are written."""
        return [path for path in (self.source, self.target, self.tsv, self.removed, self.report) if path is not None]

    def check(self) -> None:
        """Raises ConfigError where it is not clear what is to be written."""
        plain = self.source is not None and self.target is not None
        if plain == (self.tsv is not None) or (self.source is None) != (self.target is None):
            raise ConfigError(
                "it is not clear where the clean corpus goes",
                where="--out-source, --out-target, --out",
                fix="give both --out-source and --out-target, or --out FILE.tsv",
            )
        if self.tsv is not None and format_suffix(self.tsv) != ".tsv":
            raise ConfigError("only TSV is written", where=self.tsv, fix="name it FILE.tsv or FILE.tsv.gz")


def wanted(drop: str | None, also: str | None, keep: str | None, mend: bool) -> Wish:
    """Return what --drop, --also, --keep and --mend ask for. Raises ConfigError for an unknown kind."""
    chosen = set(DROPPED if drop is None else _kinds(drop, "--drop")) | set(_kinds(also or "", "--also"))
    return Wish(drop=frozenset(chosen - set(_kinds(keep or "", "--keep"))), mend=LOSSLESS if mend else ())


def _kinds(names: str, option: str) -> list[Kind]:
    try:
        return list(kinds(names))
    except ValueError:
        wrong = next(name for name in map(str.strip, names.split(",")) if name and name not in list(Kind))
        near = difflib.get_close_matches(wrong, list(Kind), n=1)
        fix = f"did you mean {near[0]}?" if near else f"say some of {', '.join(Kind)}"
        raise ConfigError(f"there is no kind of fault {wrong!r}", where=option, fix=fix) from None


def tidy(patient: Patient, outputs: Outputs, wish: Wish) -> None:
    """Write the corpus without the pairs that have faults. Raises ConfigError and DataError."""
    outputs.check()
    refuse_same(patient.files(), outputs.files())
    console = Console(stderr=True)
    corpus = patient.train.open(patient.sides)
    if isinstance(corpus, ParallelText) and (wrong := corpus.length_mismatch()):
        raise wrong
    doctor = patient.doctor(console)
    with ExitStack() as stack, console.status("cleaning ..."):
        whole = [stack.enter_context(output(path)) for path in outputs.files()[: 1 + (outputs.tsv is None)]]
        removed = stack.enter_context(output(outputs.removed)) if outputs.removed else None

        joined = 0

        def keep(source: str, target: str) -> None:
            nonlocal joined
            fit = field if outputs.tsv is not None else one_line
            texts = fit(source), fit(target)
            joined += texts != (source, target)
            for write, text in zip(whole, ["\t".join(texts)] if outputs.tsv is not None else texts, strict=True):
                write(text + "\n")

        account = clean(doctor, wish, keep, lambda line: None if removed is None else removed(line + "\n"))
    said = [
        f"looked for: {', '.join(kind.value for kind in Kind if kind in wish.drop) or 'nothing'}",
        *account.report(),
    ]
    if joined:
        said.append(f"{joined:,} of the kept had tabs or line breaks inside, which are spaces now")
    _say(said, outputs, console)


def _say(said: Sequence[str], outputs: Outputs, console: Console) -> None:
    for sentence in said:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    if outputs.report is not None:
        with output(outputs.report) as write:
            write("".join(f"{sentence}\n" for sentence in said))
