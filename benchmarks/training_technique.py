"""Measure what training technique is worth: each architecture, trained as its paper did and as `regard train` does.

    OMP_NUM_THREADS=1 python benchmarks/training_technique.py --out FOLDER [--minutes 10] [--seeds 1 2 3]
                                       [--tasks captions phones] [--architectures NAME...] [--data FOLDER]

For each task, architecture and seed, two runs with the same sizes, tokens, corpus and minutes of one core:

- `paper`: recipes/papers/NAME-small.toml, with a schedule of epochs or steps fitted to the steps that the time allows;
- `regard`: what `regard train --architecture NAME` chooses (Muon, 1/sqrt(step), a running mean of the weights).

Tasks: `captions` is Multi30k from German to English, lowercased and tokenized by its authors, measured by BLEU of these
tokens on test_2016_flickr. `phones` is SIGMORPHON 2021's American English, from letters to phones, measured by exact
match on its test set. Both are translated with beam 5 and [search] as `regard train` has it.

The script trains the runs that are not finished, continues those that were interrupted, tests each once with
`regard compare`, writes results.json and a page per task to FOLDER, and prints the table. The mean and the standard
deviation are over the seeds; the interval is the mean over the seeds of 95% bootstrap intervals over the test set.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import ROOT, corpus_folder, count, exit_on_error, fail, print_machine
from rich.console import Console
from train_cpu import pin_to_cores

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.config.optimization import OptimizationConfig
from regard.config.recipe import parse_config, read_config, resolve_paths, to_table
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.console import say
from regard.errors import TrainingError
from regard.files import write_atomic
from regard.models import ARCHITECTURES
from regard.reports.compare.systems import ComparedSystem, systems_from_runs
from regard.reports.compare.training import train_system
from regard.runs.auto_recipe import choose_recipe, steps_per_epoch
from regard.runs.plan import expected_vocabulary_sizes
from regard.runs.recipe_inputs import inspect_corpus, mean_length
from regard.runs.step_timing import measure_step
from regard.runs.time_budget import STEP_SHARE

DATA = corpus_folder("multi30k").parent
PROCEDURES = ("paper", "regard")
NAMES = [name for name in ARCHITECTURES if name != "modern"]
MANY_STEPS = 10**9  # the limit is the time


@dataclass(frozen=True)
class Task:
    """A corpus and what is measured on it.

    Attributes:
        test: The files of the test set: its two sides, or a single file.
        metric: The score, and the metric that chooses the best checkpoint.
        data: [data], or None for that of the recipes.
        tokenizer: [tokenizer], or None for that of the recipes.
    """

    test: tuple[str, ...]
    metric: str
    data: dict[str, Any] | None = None
    tokenizer: TokenizerConfig | None = None


TASKS = {
    "captions": Task(
        tuple(f"multi30k/tok/test_2016_flickr.lc.norm.tok.{language}.gz" for language in ("de", "en")), "bleu"
    ),
    "phones": Task(
        ("g2p/test.tsv",),
        "exact",
        {"file": "g2p/train.tsv", "dev_file": "g2p/dev.tsv", "source_column": "1", "target_column": "2"},
        TokenizerConfig(kind="character", target_kind="word", joint=False),
    ),
}


@dataclass(frozen=True)
class Row:
    """The test results of a run: value and bounds of a 95% interval, from 0 to 100. None if its training failed."""

    task: str
    architecture: str
    procedure: str
    seed: int
    steps: int = 0
    minutes: float = 0.0
    bleu: tuple[float, float, float] | None = None
    exact: tuple[float, float, float] | None = None


def paper_recipe(name: str, task: Task, data: Path, minutes: float, seed: int) -> RunConfig:
    """Return the small recipe of a paper for a task, with a schedule that fits the time."""
    config = read_config(ROOT / "recipes" / "papers" / f"{name}-small.toml", ARCHITECTURES)
    paths = task_data(task, config.data, data)
    config = config.model_copy(
        update={"data": paths, "tokenizer": task.tokenizer or config.tokenizer, "search": SearchConfig()}
    )
    inputs = inspect_corpus(paths, gpu=False)
    length = mean_length(inputs, config.tokenizer)
    timing = measure_step(config, expected_vocabulary_sizes(config.tokenizer), length, say)
    steps = max(1, int(STEP_SHARE * 60 * minutes / timing.seconds))
    train = stretch(config.train, steps_per_epoch(inputs, config.tokenizer, config.train), steps)
    changes = {"max_minutes": minutes, "seed": seed, "precision": timing.precision, "metric": task.metric}
    return checked(config.model_copy(update={"train": train.model_copy(update=changes)}))


def task_data(task: Task, from_recipe: DataConfig, data: Path) -> DataConfig:
    """Return [data] of a task, with the files in the folder of corpora."""
    table = task.data or from_recipe.model_dump(exclude_defaults=True)
    files = {"source", "target", "dev_source", "dev_target", "file", "dev_file"}
    paths = {
        key: str(data / str(value).rpartition("/data/")[2]) if key in files else value for key, value in table.items()
    }
    return DataConfig.model_validate(paths)


def stretch(train: TrainConfig, epoch_steps: int, steps: int) -> TrainConfig:
    """Return [train] with its schedule, checkpoints included, stretched to `steps` steps, and without other limits.

    `inverse_sqrt` remains as it is, because it does not depend on the number of steps. With a warm-up of a quarter, as
    short as the runs are, the tiny Transformer does not learn.
    """
    epochs = math.inf if train.max_epochs is None else train.max_epochs
    scale = steps / min(train.max_steps, epochs * epoch_steps)
    checkpoints = epoch_steps if train.checkpoint_each_epoch else train.checkpoint_every
    second = train.second_stage
    if second is not None:
        changes = {"after_steps": max(1, round(scale * second.after_steps))}
        second = second.model_copy(update=stretched(second, epoch_steps, scale) | changes)
    changes = stretched(train, epoch_steps, scale) | {
        "second_stage": second,
        "max_steps": MANY_STEPS,
        "max_epochs": None,
        "checkpoint_every": max(1, round(scale * checkpoints)),
        "checkpoint_each_epoch": False,
    }
    return train.model_copy(update=changes)


def stretched(stage: OptimizationConfig, epoch_steps: int, scale: float) -> dict[str, Any]:
    """Return the changed keys of a stage of training whose schedule is stretched by a factor."""
    if stage.schedule == "halving":
        assert stage.halving_start is not None and stage.halving_interval is not None
        unit = scale * (epoch_steps if stage.halving_unit == "epochs" else 1)
        return {
            "halving_start": unit * stage.halving_start,
            "halving_interval": unit * stage.halving_interval,
            "halving_unit": "steps",
        }
    return {}


def regard_recipe(paper: RunConfig) -> RunConfig:
    """Return the recipe that `regard train` chooses for the architecture, tokens, corpus and time of a paper's recipe.

    The sizes and the dropout are those of the paper's recipe, too.
    """
    table = to_table(paper)
    overrides = [f"tokenizer.{key}={json.dumps(value)}" for key, value in table["tokenizer"].items()]
    overrides += [f"model.architecture={paper.model.architecture}", f"train.metric={paper.train.metric}"]
    overrides += [f"train.max_minutes={paper.train.max_minutes}", f"train.seed={paper.train.seed}"]
    config, plan = choose_recipe(paper.data, overrides, gpu=False, say=say)
    for line in plan:
        say(line)
    return checked(config.model_copy(update={"model": paper.model, "search": paper.search}))


def checked(config: RunConfig) -> RunConfig:
    """Return a recipe with absolute paths, validated again."""
    return parse_config(to_table(resolve_paths(config)), ARCHITECTURES, where="the benchmark's recipe")


def run_folder(out: Path, task: str, name: str, procedure: str, seed: int) -> Path:
    return out / task / name / f"{procedure}-seed{seed}"


def recipes(folders: dict[str, Path], paper: partial[RunConfig]) -> Iterator[tuple[str, RunConfig]]:
    """Yield the recipe of each procedure; of a run that has started, its own."""
    chosen: RunConfig | None = None
    for procedure, folder in folders.items():
        if RunFolder(folder).recipe.is_file():
            yield procedure, read_config(RunFolder(folder).recipe, ARCHITECTURES)
            continue
        chosen = chosen or paper()
        yield procedure, chosen if procedure == "paper" else regard_recipe(chosen)


def train_all(options: argparse.Namespace, task: str, seed: int, console: Console) -> list[Row]:
    """Train the runs of a task and a seed that are not trained. Return the rows of those whose training failed."""
    failures = []
    for name in options.architectures:
        folders = {procedure: run_folder(options.out, task, name, procedure, seed) for procedure in PROCEDURES}
        if all(RunFolder(folder).finished is not None for folder in folders.values()):
            continue
        paper = partial(paper_recipe, name, TASKS[task], options.data, options.minutes, seed)
        for procedure, config in recipes(folders, paper):
            console.rule(f"{task}: {name}, {procedure}, seed {seed}", align="left")
            try:
                train_system(ComparedSystem(name, folders[procedure], config, train=True), console)
            except TrainingError as error:
                say(f"training failed: {error}", console)
                failures.append(Row(task, name, procedure, seed))
    return failures


def measure(options: argparse.Namespace, task: str, failures: Sequence[Row], console: Console) -> list[Row]:
    """Test all runs of a task with `regard compare`, which measures each run only once."""
    failed = {(row.architecture, row.procedure, row.seed) for row in failures}
    runs = [
        run_folder(options.out, task, name, procedure, seed)
        for name in options.architectures
        for procedure in PROCEDURES
        for seed in options.seeds
        if (name, procedure, seed) not in failed
    ]
    files = [options.data / file for file in TASKS[task].test]
    test = {"test_data": files[0]} if len(files) == 1 else {"test_source": files[0], "test_reference": files[1]}
    tokenized = TASKS[task].metric == "bleu"
    report_folder = options.out / task / "report"
    comparison = regard.compare(runs=runs, tokenized=tokenized, output=report_folder, console=console, **test)
    folders = {system.name: system.folder for system in systems_from_runs(runs, [])}
    rows = []
    for system in comparison.report.systems:
        folder, bleu, exact = folders[system.name], system.bleu, system.exact_interval
        procedure, _, seed = folder.name.rpartition("-seed")
        rows.append(
            Row(
                *(task, folder.parent.name, procedure, int(seed), system.steps, system.minutes),
                bleu=(bleu.value, bleu.low, bleu.high),
                exact=(100 * exact.value, 100 * exact.low, 100 * exact.high),
            )
        )
    return rows


def print_table(rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Print a Markdown table with a row per architecture and two columns per task."""
    units = {"bleu": "BLEU", "exact": "exact %"}
    heads = [f"{task}, {units[TASKS[task].metric]}: {procedure}" for task in options.tasks for procedure in PROCEDURES]
    print(f"| architecture | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for name in options.architectures:
        cells = [
            describe([row for row in rows if (row.task, row.architecture, row.procedure) == (task, name, procedure)])
            for task in options.tasks
            for procedure in PROCEDURES
        ]
        print(f"| `{name}` | {' | '.join(cells)} |")
    means = [
        statistics.mean(score(row)[0] for row in rows if (row.task, row.procedure) == (task, procedure))
        for task in options.tasks
        for procedure in PROCEDURES
    ]
    print(f"| mean | {' | '.join(f'{value:.2f}' for value in means)} |")


def score(row: Row) -> tuple[float, float, float]:
    """Return the score of a row's task, with its interval; zeros if its training failed."""
    return getattr(row, TASKS[row.task].metric) or (0.0, 0.0, 0.0)


def describe(rows: Sequence[Row]) -> str:
    """Return for example `38.20 ± 0.31 (36.9 to 39.5)`."""
    finished = [row for row in rows if row.bleu is not None]
    if not finished:
        return "training failed"
    values, lows, highs = zip(*(score(row) for row in finished), strict=True)
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    failed = f", {len(rows) - len(finished)} failed" if len(finished) < len(rows) else ""
    interval = f"{statistics.mean(lows):.1f} to {statistics.mean(highs):.1f}"
    return f"{statistics.mean(values):.2f}{deviation} ({interval}){failed}"


def run(options: argparse.Namespace) -> None:
    if not options.data.is_dir():
        fail(f"{options.data}: there is no such folder")
    for task in options.tasks:
        for file in TASKS[task].test:
            if not (options.data / file).is_file():
                fail(f"{options.data / file}: there is no such file")
    torch.set_num_threads(1)
    pin_to_cores(1)
    console = Console(stderr=True)
    rows: list[Row] = []
    for task in options.tasks:
        failures = [row for seed in options.seeds for row in train_all(options, task, seed, console)]
        rows += failures + measure(options, task, failures, console)
    write_atomic(options.out / "results.json", json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print_machine()
    print(f"{options.minutes:g} minutes of one core a run, seeds {', '.join(map(str, options.seeds))}.\n")
    print_table(rows, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=count, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--architectures", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--data", type=Path, default=DATA)
    with exit_on_error():
        try:
            run(parser.parse_args())
        except KeyboardInterrupt:
            print("stopped; the same command continues", file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()
