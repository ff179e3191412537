"""Train one system of a comparison, and measure it: what is done already is not done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import read_config, to_table
from regard.config.schema import RunConfig
from regard.console import progress_bar, say, track
from regard.errors import CheckpointError
from regard.files import write_atomic
from regard.inference.translator import Translation
from regard.models import ARCHITECTURES
from regard.reports.compare.measure import (
    Measurement,
    TestConditions,
    choose_samples,
    load_measurement,
    measure_run,
    measurement_key,
)
from regard.reports.compare.systems import ComparedSystem
from regard.reports.compare.timing import LENGTHS
from regard.runs.train import resume, train


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
        reject_other_recipe(system)
        if run.finished is not None:
            say("already trained", console)
            return
        result = resume(system.folder, console=console)
    if result.is_stopped:
        raise KeyboardInterrupt


def reject_other_recipe(system: ComparedSystem) -> None:
    """Raise CheckpointError if the folder of a system has a run with another recipe."""
    run = RunFolder(system.folder)
    if not run.recipe.is_file():
        return
    existing, requested = _flatten(read_config(run.recipe, ARCHITECTURES)), _flatten(system.config)
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


def load_results(system: ComparedSystem, conditions: TestConditions, out: Path) -> Measurement | None:
    """Return the measurement of a system that is trained and measured under these conditions already, or None."""
    if system.train and RunFolder(system.folder).finished is None:
        return None
    try:
        key = measurement_key(system.folder, conditions)
    except CheckpointError:  # it has none
        return None
    return load_measurement(_measurement_file(system, out), key)


def measure_system(system: ComparedSystem, conditions: TestConditions, out: Path, console: Console) -> Measurement:
    """Load the measurement of a system, or measure it and save the measurement.

    Raises:
        CheckpointError: The run has no checkpoint or no log.
    """
    file = _measurement_file(system, out)
    measurement = load_measurement(file, measurement_key(system.folder, conditions))
    if measurement is None:
        measurement = measure_run(
            system.name,
            system.folder,
            conditions,
            samples=choose_samples(conditions.test_set),
            device=device_of(system),
            step_lengths=LENGTHS if system.is_timed else (),
            track=partial(_track_translations, console, len(conditions.test_set)),
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, measurement.model_dump_json() + "\n")
    say(describe_measurement(measurement), console)
    return measurement


def _measurement_file(system: ComparedSystem, out: Path) -> Path:
    return out / "systems" / f"{system.name}.json"


def describe_measurement(measurement: Measurement) -> str:
    """Return for example `modern: 61.2% of the test set translated exactly; 900 steps in 1.0 min; 310 sentences/s`."""
    results = measurement.facts
    return (
        f"{results.name}: {100 * results.exact:.1f}% of the test set translated exactly; {results.steps:,} steps in "
        f"{results.minutes:.1f} min; {results.sentences_per_second:,.0f} sentences/s"
    )


def _track_translations(console: Console, total: int, translations: Iterable[Translation]) -> Iterator[Translation]:
    with progress_bar(console) as bar:
        yield from track(translations, "testing", total, bar=bar)


def device_of(system: ComparedSystem) -> str:
    """Return the device on which a system is trained and measured."""
    return system.config.train.device if system.train else "auto"
