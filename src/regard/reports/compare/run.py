"""Comparison of several systems: train them with the same budget or take finished runs, test them, write the report.

OUT/runs/NAME            the folder of each run
OUT/systems/NAME.json    what was measured of each system, so that it is measured only once
OUT/report.json, OUT/index.html, OUT/*.png
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.chrf import CHRF

from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_table
from regard.config.schema import RunConfig
from regard.console import progress_bar, say, track
from regard.corpus.paths import CorpusPaths
from regard.errors import CheckpointError, ConfigError, TrainingError
from regard.evaluation.bootstrap import SAMPLES, SEED, paired_bootstrap
from regard.evaluation.metrics import bleu_metric, plugin_scores
from regard.files import write_atomic
from regard.inference.translator import Translation
from regard.reports.compare import systems as systems_module
from regard.reports.compare.measure import (
    Measurement,
    TestConditions,
    choose_samples,
    load_measurement,
    measure_run,
    measurement_key,
)
from regard.reports.compare.page import write_page
from regard.reports.compare.results import ComparisonReport, ScoredSystem
from regard.reports.compare.seeds import summarize_seeds
from regard.reports.compare.systems import ComparedSystem, choose_test_conditions
from regard.runs.train import read_recipe, resume, train
from regard.runtime import choose_device, handle_signals


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare.

    Exactly one of `recipe`, `corpus` and `runs` is given.

    Attributes:
        recipe: Train systems with this recipe.
        corpus: Train systems on this built-in corpus.
        architectures: Architectures to train: `all`, or a comma-separated list.
        minutes: Training time of each system; None for that of the recipe or the corpus.
        seeds: How many systems of each architecture to train, with the seed of the recipe and those that follow it.
        runs: Compare these finished runs.
        overrides: Changes of the recipe, as `section.key=value`.
        test: Files of the test set; without files, the corpus' test split or the dev set.
        tokenized: The test set is already split into tokens, and BLEU counts those.
    """

    recipe: Path | None = None
    corpus: str | None = None
    architectures: str = "all"
    minutes: float | None = None
    seeds: int = 1
    runs: Sequence[Path] = ()
    overrides: Sequence[str] = ()
    test: CorpusPaths = field(default_factory=CorpusPaths)
    tokenized: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a comparison has measured, and the errors of the systems that are left out because their training failed."""

    report: ComparisonReport
    failures: Mapping[str, TrainingError]


def compare(request: ComparisonRequest, out: Path, console: Console) -> Path:
    """Train and measure the systems that are not trained or measured yet, and write the report.

    Ctrl-C and SIGTERM raise KeyboardInterrupt; the same request then continues where it stopped. A system whose
    training fails is left out of the report, and its TrainingError is raised after the report is written.

    Returns:
        The path of the page.

    Raises:
        ConfigError, DataError, CheckpointError, TrainingError: See their messages.
    """
    outcome = measure_systems(request, out, console)
    page = write_report(outcome.report, out, console)
    for error in outcome.failures.values():
        raise error
    return page


def measure_systems(request: ComparisonRequest, out: Path, console: Console) -> Outcome:
    """Train and measure the systems that are not trained or measured yet, as `compare` does, and write no report."""
    systems = _choose_systems(request, out)
    conditions = choose_test_conditions(
        systems, request.test, tokenized=request.tokenized, report=partial(say, console=console)
    )
    test_set = conditions.test_set
    say(f"{len(systems)} systems, tested on {len(test_set):,} pairs: {test_set.name}", console)
    measurements: dict[str, Measurement] = {}
    failures: dict[str, TrainingError] = {}
    # SIGTERM raises KeyboardInterrupt; the trainer handles both signals itself, and saves a checkpoint first.
    with handle_signals([signal.SIGTERM], signal.default_int_handler):
        for index, system in enumerate(systems):
            console.rule(_heading(systems, index), align="left")
            try:
                train_system(system, console)
            except TrainingError as error:
                say(f"{system.name} is left out of the report: {error}", console)
                failures[system.name] = error
                continue
            measurements[system.name] = _measure(system, conditions, out, console)
        if not measurements:
            raise next(iter(failures.values()))
        report = _make_report(request, systems, conditions, measurements)
        for summary in report.seeds:
            say(summary.describe(), console)
        return Outcome(report, failures)


def write_report(report: ComparisonReport, out: Path, console: Console) -> Path:
    """Write OUT/report.json, OUT/index.html and its pictures. Return the path of the page."""
    console.rule("report", align="left")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "report.json", report.model_dump_json() + "\n")
    return write_page(report, out)


def _choose_systems(request: ComparisonRequest, out: Path) -> list[ComparedSystem]:
    is_given = [bool(origin) for origin in (request.recipe, request.corpus, request.runs)]
    if sum(is_given) != 1:
        raise ConfigError(
            "it is not clear what to compare" if any(is_given) else "there is nothing to compare",
            fix="give either a recipe, a corpus or finished runs",
        )
    if request.runs:
        if request.architectures != "all" or request.minutes is not None or request.seeds != 1:
            fix = "leave out architectures, minutes and seeds"
            raise ConfigError("finished runs are not trained", where="runs", fix=fix)
        return systems_module.systems_from_runs(request.runs, request.overrides)
    names = systems_module.select_architectures(request.architectures)
    if request.recipe is not None:
        systems = systems_module.systems_from_recipe(request.recipe, names, request.overrides, request.minutes, out)
    else:
        corpus = request.corpus or ""
        systems = systems_module.systems_from_corpus(corpus, names, request.overrides, request.minutes, out)
    return systems if request.seeds == 1 else systems_module.with_seeds(systems, request.seeds)


def _heading(systems: Sequence[ComparedSystem], index: int) -> str:
    """Return which system this is, and how much training remains, that of this system included."""
    untrained = [system for system in systems[index:] if system.train and RunFolder(system.folder).finished is None]
    minutes = sum(system.config.train.max_minutes or 0.0 for system in untrained)
    remaining = f"; at most {_format_minutes(minutes)} of training remaining" if untrained else ""
    return f"{index + 1} of {len(systems)}: {systems[index].name}{remaining}"


def _format_minutes(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def train_system(system: ComparedSystem, console: Console) -> None:
    """Train a system, or resume its training. Do nothing if it is trained already.

    Raises:
        CheckpointError: The folder has a run with another recipe.
        KeyboardInterrupt: The training was interrupted.
    """
    run = RunFolder(system.folder)
    if not system.train:
        if run.finished is None:
            say(f"{system.folder} is not finished; its best checkpoint is used", console)
        return
    if not run.recipe.is_file():
        result = train(system.config, system.folder, console=console)
    else:
        _reject_other_recipe(system, run)
        if run.finished is not None:
            say("already trained", console)
            return
        result = resume(system.folder, console=console)
    if result.end == "interrupted":
        raise KeyboardInterrupt


def _reject_other_recipe(system: ComparedSystem, run: RunFolder) -> None:
    existing, requested = _flatten(read_recipe(run.recipe)), _flatten(system.config)
    if requested["train.precision"] == "auto":  # resolved when a run starts
        requested["train.precision"] = existing.get("train.precision")
    for key in sorted(existing.keys() | requested.keys()):
        if existing.get(key) != requested.get(key):
            raise CheckpointError(
                f"the folder has a run with another recipe: {key} is {existing.get(key)!r}, not {requested.get(key)!r}",
                where=run.path,
                fix="choose another folder for the report, or delete the run",
            )


def _flatten(config: RunConfig) -> dict[str, object]:
    return {f"{section}.{key}": value for section, keys in to_table(config).items() for key, value in keys.items()}


def _measure(system: ComparedSystem, conditions: TestConditions, out: Path, console: Console) -> Measurement:
    """Load the measurement of a system, or measure it and save the measurement."""
    file = out / "systems" / f"{system.name}.json"
    measurement = load_measurement(file, measurement_key(system.folder, conditions))
    if measurement is None:
        measurement = measure_run(
            system.name,
            system.folder,
            conditions,
            samples=choose_samples(conditions.test_set),
            device=_device_of(system),
            track=partial(_track_translations, console, len(conditions.test_set)),
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, measurement.model_dump_json() + "\n")
    results = measurement.facts
    say(
        f"{results.name}: {100 * results.exact:.1f}% of the test set translated exactly; {results.steps:,} steps in "
        f"{results.minutes:.1f} min; {results.sentences_per_second:,.0f} sentences/s",
        console,
    )
    return measurement


def _track_translations(console: Console, total: int, translations: Iterable[Translation]) -> Iterator[Translation]:
    with progress_bar(console) as bar:
        yield from track(translations, "testing", total, bar=bar)


def _device_of(system: ComparedSystem) -> str:
    return system.config.train.device if system.train else "auto"


def _make_report(
    request: ComparisonRequest,
    systems: Sequence[ComparedSystem],
    conditions: TestConditions,
    measurements: Mapping[str, Measurement],
) -> ComparisonReport:
    """Return the report, with scores of each system compared to the best."""
    test_set, first = conditions.test_set, systems[0]
    metrics: dict[str, Metric] = {
        "bleu": bleu_metric(
            test_set.references, target_language=conditions.target_language, tokenized=conditions.tokenized
        ),
        "chrf": CHRF(),
    }
    hypotheses = {name: measurement.hypotheses for name, measurement in measurements.items()}
    scores = {name: paired_bootstrap(hypotheses, test_set.references, metric) for name, metric in metrics.items()}
    scored = [
        ScoredSystem(
            **dict(measurement.facts),
            bleu=scores["bleu"][name],
            chrf=scores["chrf"][name],
            plugin_scores=plugin_scores(measurement.hypotheses, test_set.references),
        )
        for name, measurement in measurements.items()
    ]
    return ComparisonReport(
        title=_title(request, first.config),
        date=date.today().isoformat(),
        machine=describe_machine(_device_of(first)),
        minutes=first.config.train.max_minutes if first.train else None,
        test=test_set.name,
        test_pairs=len(test_set),
        beam_size=conditions.search.beam_size,
        signatures={name: f"{metric.get_signature()}|bs:{SAMPLES}|seed:{SEED}" for name, metric in metrics.items()},
        samples=choose_samples(test_set),
        systems=tuple(scored),
        seeds=summarize_seeds(scored) if request.seeds > 1 else (),
    )


def _title(request: ComparisonRequest, config: RunConfig) -> str:
    """Return for example "numbers, en to de"."""
    name = request.corpus or (request.recipe.stem if request.recipe else config.data.corpus or "finished runs")
    source, target = config.data.source_language, config.data.target_language
    is_on_dev = not request.test.files() and config.data.corpus is None
    return name + (f", {source} to {target}" if source and target else "") + (", on the dev set" if is_on_dev else "")


def describe_machine(device_name: str) -> str:
    """Return for example "2 cores (x86_64), cpu, torch 2.9.1"."""
    device = choose_device(device_name)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} {'core' if cores == 1 else 'cores'} ({platform.machine()}), {name}, torch {torch.__version__}"
