"""The lineage side by side: systems trained under one budget, or finished runs, tested alike, on one page.

OUT/runs/NAME        a run's folder each
OUT/systems/NAME.json  what was measured of it, so that it is measured once
OUT/report.json, OUT/index.html, OUT/*.png
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.chrf import CHRF

from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_table
from regard.config.schema import RunConfig
from regard.corpus.paths import CorpusPaths
from regard.errors import CheckpointError, ConfigError, TrainingError
from regard.evaluation.bootstrap import SAMPLES, SEED, paired_bootstrap
from regard.evaluation.metrics import bleu_metric
from regard.files import write_atomic
from regard.inference.translator import Translation
from regard.reports.compare import systems as contenders
from regard.reports.compare.measure import Exam, Measured, kept, key_of, measure_run
from regard.reports.compare.page import write_page
from regard.reports.compare.results import Lineage, Score, System
from regard.reports.compare.systems import Contender
from regard.runs.train import read_recipe, resume, train
from regard.runtime import choose_device


@dataclass(frozen=True)
class Request:
    """What is to be compared.

    Systems to be trained come from a recipe or from an embedded corpus; `runs` are finished ones instead.
    minutes: of training for each; None leaves it to the recipe or the corpus.
    """

    recipe: Path | None = None
    corpus: str | None = None
    architectures: str = "all"
    minutes: float | None = None
    runs: Sequence[Path] = ()
    overrides: Sequence[str] = ()
    test: CorpusPaths = field(default_factory=CorpusPaths)
    tokenized: bool = False


def compare(request: Request, out: Path, console: Console) -> Path:
    """Train what is not trained yet, measure what is not measured yet, and write the report; its page's path.

    Ctrl-C or SIGTERM ends it with KeyboardInterrupt, and the same request goes on from there. A system
    whose training fails is left out, and its TrainingError raised after the others' report is written.
    Raises ConfigError, DataError, CheckpointError, TrainingError.
    """
    found = _contenders(request, out)
    exam = contenders.exam_of(found, request.test, tokenized=request.tokenized, say=partial(_say, console))
    _say(console, f"{len(found)} systems, tested on {exam.name}: {len(exam.sources):,} pairs")
    measured: dict[str, Measured] = {}
    failed: list[TrainingError] = []
    with _terminated_as_interrupted():
        for place, contender in enumerate(found):
            console.rule(_heading(found, place), align="left")
            try:
                _train(contender, console)
            except TrainingError as error:
                _say(console, f"{contender.name} is left out: {error}")
                failed.append(error)
                continue
            measured[contender.name] = _measure(contender, exam, out, console)
        if not measured:
            raise failed[0]
        console.rule("the report", align="left")
        lineage = _lineage(request, found, exam, measured)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "report.json", lineage.model_dump_json() + "\n")
        page = write_page(lineage, out)
    if failed:
        raise failed[0]
    return page


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _contenders(request: Request, out: Path) -> list[Contender]:
    given = [bool(one) for one in (request.recipe, request.corpus, request.runs)]
    if sum(given) != 1:
        raise ConfigError(
            "it is not clear what to compare" if any(given) else "there is nothing to compare",
            where="regard compare",
            fix="give one of a recipe, --corpus and --runs",
        )
    if request.runs:
        if request.architectures != "all" or request.minutes is not None:
            raise ConfigError(
                "finished runs are not trained", where="--runs", fix="leave out --architectures and --minutes"
            )
        return contenders.from_runs(request.runs, request.overrides)
    names = contenders.chosen(request.architectures)
    if request.recipe is not None:
        return contenders.from_recipe(request.recipe, names, request.overrides, request.minutes, out)
    return contenders.from_corpus(request.corpus or "", names, request.overrides, request.minutes, out)


def _heading(found: Sequence[Contender], place: int) -> str:
    """Which system of how many, and how much training there is to come, this one's included."""
    to_train = [one for one in found[place:] if one.train and not _has_ended(one)]
    minutes = sum(one.config.train.max_minutes or 0.0 for one in to_train)
    left = f"; at most {_clock(minutes)} of training to come" if to_train else ""
    return f"{place + 1} of {len(found)}: {found[place].name}{left}"


def _clock(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _has_ended(contender: Contender) -> bool:
    return RunFolder(contender.folder).finished is not None


def _train(contender: Contender, console: Console) -> None:
    """To the end of its training, from wherever it stands."""
    run = RunFolder(contender.folder)
    if not contender.train:
        if run.finished is None:
            _say(console, f"{contender.folder} does not say that its training has ended; it is taken as it is")
        return
    if not run.recipe.is_file():
        result = train(contender.config, contender.folder, console=console)
    else:
        _refuse_another(contender, run)
        if run.finished is not None:
            _say(console, "trained before")
            return
        result = resume(contender.folder, console=console)
    if result.end == "interrupted":
        raise KeyboardInterrupt


def _refuse_another(contender: Contender, run: RunFolder) -> None:
    there, wanted = _flat(read_recipe(run.recipe)), _flat(contender.config)
    if wanted["train.precision"] == "auto":  # which is settled when a run begins
        wanted["train.precision"] = there.get("train.precision")
    different = sorted(key for key in there.keys() | wanted.keys() if there.get(key) != wanted.get(key))
    if different:
        key = different[0]
        raise CheckpointError(
            f"the run there is of another recipe: {key} is {there.get(key)!r}, not {wanted.get(key)!r}",
            where=run.path,
            fix="choose another --out, or delete that run",
        )


def _flat(config: RunConfig) -> dict[str, object]:
    return {f"{section}.{key}": value for section, keys in to_table(config).items() for key, value in keys.items()}


def _measure(contender: Contender, exam: Exam, out: Path, console: Console) -> Measured:
    """From its file, or by testing it."""
    file = out / "systems" / f"{contender.name}.json"
    found = kept(file, key_of(contender.folder, exam))
    if found is None:
        device = contender.config.train.device if contender.train else "auto"

        def watch(translations: Iterable[Translation]) -> Iterator[Translation]:
            columns = (SpinnerColumn(), TextColumn("testing"), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
                yield from bar.track(translations, total=len(exam.sources))

        found = measure_run(contender.name, contender.folder, exam, device=device, watch=watch)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, found.model_dump_json() + "\n")
    facts = found.facts
    _say(
        console,
        f"{facts.name}: {100 * facts.exact:.1f}% of the test set right to the letter; {facts.steps:,} steps in "
        f"{facts.minutes:.1f} min; {facts.sentences_per_second:,.0f} sentences/s",
    )
    return found


def _lineage(request: Request, found: Sequence[Contender], exam: Exam, measured: Mapping[str, Measured]) -> Lineage:
    """All of it together, with the scores that need the others to be judged by."""
    language = exam.target_language
    metrics: dict[str, Metric] = {
        "bleu": bleu_metric(exam.references, target_language=language, tokenized=exam.tokenized),
        "chrf": CHRF(),
    }
    hypotheses = {name: one.hypotheses for name, one in measured.items()}
    sure = {name: paired_bootstrap(hypotheses, exam.references, metric) for name, metric in metrics.items()}
    systems = [
        System(
            **{field: getattr(one.facts, field) for field in type(one.facts).model_fields},
            **{metric: Score.model_validate(of[name], from_attributes=True) for metric, of in sure.items()},
        )
        for name, one in measured.items()
    ]
    return Lineage(
        title=_title(request, found[0].config),
        date=date.today().isoformat(),
        machine=_machine(found[0]),
        minutes=found[0].config.train.max_minutes if found[0].train else None,
        test=exam.name,
        test_pairs=len(exam.sources),
        beam_size=exam.search.beam_size,
        signatures={name: f"{metric.get_signature()}|bs:{SAMPLES}|seed:{SEED}" for name, metric in metrics.items()},
        samples=exam.samples(),
        systems=tuple(systems),
    )


def _title(request: Request, config: RunConfig) -> str:
    """`numbers, en to de`."""
    what = request.corpus or (request.recipe.stem if request.recipe else config.data.corpus or "finished runs")
    source, target = config.data.source_language, config.data.target_language
    on_dev = not request.test.files() and config.data.corpus is None
    return what + (f", {source} to {target}" if source and target else "") + (", on its dev set" if on_dev else "")


def _machine(contender: Contender) -> str:
    device = choose_device(contender.config.train.device if contender.train else "auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores ({platform.machine()}), {name}, torch {torch.__version__}"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does; the trainer, which saves first, has its own way with both."""

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
