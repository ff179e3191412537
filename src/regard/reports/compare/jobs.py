"""Train and measure the systems of comparisons, one after another or several at a time.

Each of several jobs is a process with its share of the cores. It prints into OUT/logs/NAME.log, and leaves its run and
its measurement in the folder of the comparison, so that a stopped command continues. Ctrl-C stops the jobs by SIGTERM,
after which each saves a checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NoReturn

import torch
from rich.console import Console

from regard import errors
from regard.checkpoints.run_folder import RunFolder
from regard.console import say
from regard.errors import RegardError, TrainingError
from regard.inference.workers import end_with_parent, processors
from regard.plugins.loading import load_plugin
from regard.plugins.registry import plugin_sources
from regard.reports.compare.measure import Measurement, TestConditions
from regard.reports.compare.plan import Plan
from regard.reports.compare.systems import ComparedSystem
from regard.reports.compare.training import describe_measurement, load_results, measure_system, train_system
from regard.runtime import handle_signals

INTERRUPTED = 130  # exit status


@dataclass
class Results:
    """What was measured in a comparison.

    Attributes:
        measurements: The measurement of each system, by name, in the order of the systems.
        failures: The errors of systems that are left out because their training failed.
        error: The error of what all its systems need, such as the corpus; the comparison is then left out.
    """

    measurements: dict[str, Measurement] = field(default_factory=dict)
    failures: dict[str, TrainingError] = field(default_factory=dict)
    error: RegardError | None = None

    def require_measurements(self) -> None:
        """Raise the error of the comparison, or the first error of its systems if all have failed."""
        if self.error is not None:
            raise self.error
        if not self.measurements:
            raise next(iter(self.failures.values()))


@dataclass(frozen=True)
class _Task:
    """A system to train and measure."""

    plan: Plan
    system: ComparedSystem
    results: Results

    @property
    def name(self) -> str:
        return self.plan.name_of(self.system)

    @property
    def minutes(self) -> float | None:
        """The longest remaining training, in minutes: 0 if there is none, None if the time has no limit."""
        if not self.system.train or RunFolder(self.system.folder).finished is not None:
            return 0.0
        return self.system.config.train.max_minutes

    def load(self) -> bool:
        """Load what was measured by an earlier command. Return whether there is such a measurement."""
        measurement = load_results(self.system, self.plan.conditions, self.plan.out)
        if measurement is not None:
            self.results.measurements[self.system.name] = measurement
        return measurement is not None

    def fail(self, error: RegardError, console: Console) -> None:
        """Record an error of this system, or one that its comparison has as a whole."""
        if isinstance(error, TrainingError):
            say(f"{self.name} is left out of the report: {error}", console)
            self.results.failures[self.system.name] = error
        elif self.results.error is None:
            self.results.error = error
            if self.plan.name:
                say(f"{self.plan.name} is left out of the table: {error}", console)


def train_and_measure(plans: Sequence[Plan], jobs: int, console: Console) -> list[Results]:
    """Train and measure the systems of several comparisons that are not trained or measured yet.

    A system whose training fails is left out. Any other error ends its comparison; the others go on.

    Args:
        plans: The comparisons.
        jobs: How many systems are trained at a time.
        console: Where to print.

    Returns:
        What was measured in each of the comparisons.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    results = [Results() for _ in plans]
    tasks = [
        _Task(plan, system, result) for plan, result in zip(plans, results, strict=True) for system in plan.systems
    ]
    # SIGTERM raises KeyboardInterrupt; the trainer handles both signals itself, and saves a checkpoint first.
    with handle_signals([signal.SIGTERM], signal.default_int_handler):
        if jobs == 1:
            _work_in_turn(tasks, console)
        else:
            _work_at_a_time(tasks, jobs, console)
    for plan, result in zip(plans, results, strict=True):  # jobs end in another order
        result.measurements = {
            system.name: result.measurements[system.name]
            for system in plan.systems
            if system.name in result.measurements
        }
    return results


def _work_in_turn(tasks: Sequence[_Task], console: Console) -> None:
    for index, task in enumerate(tasks):
        if task.results.error is not None:
            continue
        remaining = _describe_remaining(tasks[index:], jobs=1)
        console.rule(f"{index + 1} of {len(tasks)}: {task.name}{remaining}", align="left")
        try:
            train_system(task.system, console)
            measurement = measure_system(task.system, task.plan.conditions, task.plan.out, console)
            task.results.measurements[task.system.name] = measurement
        except RegardError as error:
            task.fail(error, console)


def _describe_remaining(tasks: Sequence[_Task], jobs: int) -> str:
    """Return how much training remains at most; nothing if there is none, or if its time has no limit."""
    minutes = [task.minutes for task in tasks if task.results.error is None]
    if None in minutes or not any(minutes):
        return ""
    return f"; at most {_format_minutes(sum(part or 0.0 for part in minutes) / jobs)} of training remaining"


def _format_minutes(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


# Several at a time


@dataclass(frozen=True)
class _Job:
    """A task in its own process. `errors` receives the error with which it fails."""

    task: _Task
    process: SpawnProcess
    errors: Connection
    log: Path

    def finish(self, console: Console) -> str:
        """Take the result of the process, which has ended. Return a line that describes it; empty if it failed."""
        self.process.join()
        status = self.process.exitcode
        try:
            kind, message, where, fix = self.errors.recv()
            self.task.fail(getattr(errors, kind, RegardError)(message, where=where, fix=fix), console)
        except EOFError:  # it has sent no error
            if status == 0 and self.task.load():
                measurement = self.task.results.measurements[self.task.system.name]
                return self.task.name.removesuffix(self.task.system.name) + describe_measurement(measurement)
            if status == INTERRUPTED:
                end = "because of a signal"
            else:
                end = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
            fix = f"see {self.log}; if memory is short, use fewer jobs"
            self.task.fail(TrainingError(f"its process has ended {end}", fix=fix), console)
        finally:
            self.errors.close()
        return ""


def _work_at_a_time(tasks: Sequence[_Task], jobs: int, console: Console) -> None:
    waiting = deque(task for task in tasks if not task.load())
    total, threads = len(waiting), max(1, processors() // jobs)
    if total < len(tasks):
        say(f"{len(tasks) - total} of {len(tasks)} systems are trained and measured already", console)
    if total:
        share = f"{threads} {'thread' if threads == 1 else 'threads'} each"
        say(f"training {jobs} systems at a time, {share}; their messages are in the folders `logs`", console)
    running: list[_Job] = []
    with console.status("") as spinner, _stopped_at_the_end(running, console):
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.popleft()
                if task.results.error is None:
                    running.append(_start(task, threads))
            spinner.update(f"training {'; '.join(job.task.name for job in running)}")
            connection.wait([job.process.sentinel for job in running])
            for job in [job for job in running if not job.process.is_alive()]:
                running.remove(job)
                if line := job.finish(console):
                    remaining = _describe_remaining([*waiting, *(rest.task for rest in running)], jobs)
                    say(f"{line}  ({total - len(waiting) - len(running)} of {total}{remaining})", console)


@contextmanager
def _stopped_at_the_end(running: list[_Job], console: Console) -> Iterator[None]:
    """After Ctrl-C or an error inside, stop the running jobs, and wait until they have saved their checkpoints."""
    try:
        yield
    finally:
        if running:
            say(f"stopping {len(running)} trainings; each saves a checkpoint", console)
        try:
            for job in running:
                job.process.terminate()
            for job in running:
                job.process.join()
        except KeyboardInterrupt:  # once more: at once
            for job in running:
                job.process.kill()
                job.process.join()
            raise


def _start(task: _Task, threads: int) -> _Job:
    log = task.plan.out / "logs" / f"{task.system.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (task.system, task.plan.conditions, task.plan.out, log, sender, threads, plugin_sources())
    process = context.Process(target=_run, args=arguments, name=task.name)
    process.start()
    sender.close()
    return _Job(task, process, receiver, log)


def _run(
    system: ComparedSystem,
    conditions: TestConditions,
    out: Path,
    log: Path,
    sender: Connection,
    threads: int,
    plugins: Sequence[str],
) -> NoReturn:
    """Train and measure a system in this process, which the parent started for it, and end it."""
    os.setpgrp()  # the terminal sends its signals to the parent only, which stops this process
    end_with_parent()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    try:
        with handle_signals([signal.SIGTERM], signal.default_int_handler):
            for plugin in plugins:
                load_plugin(plugin)
            train_system(system, console)
            measure_system(system, conditions, out, console)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except RegardError as error:
        say(f"error: {error}", console)
        sender.send((type(error).__name__, error.message, error.where, error.fix))
        sys.exit(1)
    sys.exit(0)
