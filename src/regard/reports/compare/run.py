"""Comparison of several systems: train them with the same budget or take finished runs, test them, write the report.

OUT/runs/NAME            the folder of each run
OUT/systems/NAME.json    what was measured of each system, so that it is measured only once
OUT/logs/NAME.log        what the training printed, if several systems are trained at a time
OUT/report.json, OUT/index.html, OUT/*.png
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from operator import eq
from pathlib import Path

import torch
from rich.console import Console
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.chrf import CHRF

from regard.config.schema import RunConfig, TrainConfig
from regard.console import say
from regard.errors import TrainingError
from regard.evaluation.bootstrap import SAMPLES, SEED, compare_shares, paired_bootstrap
from regard.evaluation.metrics import bleu_metric, plugin_scores
from regard.files import write_atomic
from regard.reports.compare.jobs import train_and_measure
from regard.reports.compare.measure import Measurement, choose_samples
from regard.reports.compare.page import write_page
from regard.reports.compare.plan import ComparisonRequest, Plan, choose_metric, make_plan
from regard.reports.compare.results import ComparisonReport, ScoredSystem
from regard.reports.compare.seeds import EXACT, summarize_seeds
from regard.reports.compare.training import device_of
from regard.runtime import choose_device


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
    plan = make_plan(request, out, console)
    test_set = plan.conditions.test_set
    say(f"{len(plan.systems)} systems, tested on {len(test_set):,} pairs: {test_set.name}", console)
    (results,) = train_and_measure([plan], request.jobs, console)
    results.require_measurements()
    report = make_report(plan, results.measurements)
    for summary in report.seeds:
        say(summary.describe(), console)
    return Outcome(report, results.failures)


def write_report(report: ComparisonReport, out: Path, console: Console, heading: str = "report") -> Path:
    """Write OUT/report.json, OUT/index.html and its pictures. Return the path of the page."""
    console.rule(heading, align="left")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "report.json", report.model_dump_json() + "\n")
    return write_page(report, out)


def make_report(plan: Plan, measurements: Mapping[str, Measurement]) -> ComparisonReport:
    """Return the report, with scores of each system compared to the best."""
    request, conditions = plan.request, plan.conditions
    test_set, first = conditions.test_set, plan.systems[0]
    metrics: dict[str, Metric] = {
        "bleu": bleu_metric(
            test_set.references, target_language=conditions.target_language, tokenized=conditions.tokenized
        ),
        "chrf": CHRF(),
    }
    hypotheses = {name: measurement.hypotheses for name, measurement in measurements.items()}
    scores = {name: paired_bootstrap(hypotheses, test_set.references, metric) for name, metric in metrics.items()}
    references = test_set.references
    shares = compare_shares({name: list(map(eq, lines, references)) for name, lines in hypotheses.items()})
    scored = [
        ScoredSystem(
            **dict(measurement.facts),
            bleu=scores["bleu"][name],
            chrf=scores["chrf"][name],
            exact_interval=shares[name],
            plugin_scores=plugin_scores(measurement.hypotheses, test_set.references),
        )
        for name, measurement in measurements.items()
    ]
    return ComparisonReport(
        title=_title(request, first.config),
        date=date.today().isoformat(),
        machine=describe_machine(device_of(first), request.jobs),
        minutes=first.config.train.max_minutes if first.train else None,
        limit=_describe_limit(first.config.train) if first.train else "",
        test=test_set.name,
        test_pairs=len(test_set),
        beam_size=conditions.search.beam_size,
        metric="exact match"
        if choose_metric([plan]) == EXACT and all(system.has_dev_exact for system in scored)
        else "BLEU",
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


def _describe_limit(train: TrainConfig) -> str:
    """Return what ends training if no time is set, such as "at most 20,000 steps"."""
    if train.max_minutes is not None:
        return ""
    epochs = "" if train.max_epochs is None else f" or {train.max_epochs:g} epochs"
    return f"at most {train.max_steps:,} steps{epochs}"


def describe_machine(device_name: str, jobs: int = 1) -> str:
    """Return for example "2 cores (x86_64), cpu, torch 2.9.1", and how many systems were trained at a time."""
    device = choose_device(device_name)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counted = f"{cores} {'core' if cores == 1 else 'cores'} ({platform.machine()})"
    several = f"; {jobs} trainings at a time" if jobs > 1 else ""
    return f"{counted}, {name}, torch {torch.__version__}{several}"
