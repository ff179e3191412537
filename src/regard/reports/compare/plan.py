"""What to compare, and the systems and the test set of a comparison before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from regard.checkpoints.run_folder import RunFolder
from regard.config.placeholders import Placeholders
from regard.console import say
from regard.corpus.paths import CorpusPaths, check_files
from regard.errors import ConfigError
from regard.evaluation.metrics import are_short
from regard.plugins.registry import plugin_values
from regard.reports.compare import systems as systems_module
from regard.reports.compare.measure import TestConditions
from regard.reports.compare.seeds import BLEU, EXACT
from regard.reports.compare.systems import ComparedSystem, choose_test_conditions
from regard.reports.compare.training import reject_other_recipe


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
        placeholders: The values of the recipe's placeholders.
        test: Files of the test set; without files, the corpus' test split or the dev set.
        tokenized: The test set is already split into tokens, and BLEU counts those.
        jobs: How many systems are trained at a time, each in its own process with its share of the cores.
    """

    recipe: Path | None = None
    corpus: str | None = None
    architectures: str = "all"
    minutes: float | None = None
    seeds: int = 1
    runs: Sequence[Path] = ()
    overrides: Sequence[str] = ()
    placeholders: Placeholders = field(default_factory=dict)
    test: CorpusPaths = field(default_factory=CorpusPaths)
    tokenized: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class Plan:
    """A comparison before its systems are trained.

    Attributes:
        request: What to compare.
        out: Its folder.
        systems: Its systems.
        conditions: Its test set, and how the systems are tested.
        name: The values of the placeholders, such as `tur`; empty without placeholders.
    """

    request: ComparisonRequest
    out: Path
    systems: Sequence[ComparedSystem]
    conditions: TestConditions
    name: str = ""

    def name_of(self, system: ComparedSystem) -> str:
        """Return the name of a system in messages, such as `tur, modern`."""
        return f"{self.name}, {system.name}" if self.name else system.name


def make_plan(request: ComparisonRequest, out: Path, console: Console) -> Plan:
    """Choose the systems and read the test set. What cannot be trained is an error before anything is trained.

    Raises:
        ConfigError: The request, the recipe or an override is not valid.
        DataError: A file of the corpus is missing, or the test set cannot be read.
        CheckpointError: A run cannot be read, or was trained with another recipe.
    """
    _require_folder(out)
    systems = _choose_systems(request, out)
    for system in systems:
        if system.train:
            reject_other_recipe(system)
            if not RunFolder(system.folder).recipe.is_file():
                check_files(system.config.data)
    conditions = choose_test_conditions(
        systems, request.test, tokenized=request.tokenized, report=partial(say, console=console)
    )
    return Plan(request, out, systems, conditions, ", ".join(request.placeholders.values()))


def _require_folder(out: Path) -> None:
    """Raise ConfigError if the output, or a folder that it would be in, is a file."""
    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise ConfigError("the output must be a folder, but this is a file", where=path, fix="name another output")


def _choose_systems(request: ComparisonRequest, out: Path) -> list[ComparedSystem]:
    is_given = [bool(origin) for origin in (request.recipe, request.corpus, request.runs)]
    if sum(is_given) != 1:
        raise ConfigError(
            "it is not clear what to compare" if any(is_given) else "there is nothing to compare",
            fix="give either a recipe, a corpus or finished runs",
        )
    if request.jobs < 1:
        raise ConfigError(f"{request.jobs} trainings at a time are too few", where="jobs", fix="give 1 or more")
    if request.placeholders and request.recipe is None:
        raise ConfigError("only a recipe has placeholders", where="placeholders", fix="give a recipe")
    if request.runs:
        if request.architectures != "all" or request.minutes is not None or request.seeds != 1 or request.jobs != 1:
            fix = "leave out architectures, minutes, seeds and jobs"
            raise ConfigError("finished runs are not trained", where="runs", fix=fix)
        return systems_module.systems_from_runs(request.runs, request.overrides)
    names = systems_module.select_architectures(request.architectures)
    if request.recipe is not None:
        systems = systems_module.systems_from_recipe(
            request.recipe, names, request.overrides, request.minutes, out, request.placeholders
        )
    else:
        corpus = request.corpus or ""
        systems = systems_module.systems_from_corpus(corpus, names, request.overrides, request.minutes, out)
    if request.seeds == 1:
        return systems
    return systems_module.with_seeds(systems, request.seeds, has_test_files=bool(request.test.files()))


def choose_metric(plans: Sequence[Plan]) -> str:
    """Return the metric that suits the task.

    It is exact match if the recipe selects checkpoints by it, or if no reference has four words; the metric of a
    plugin if the recipe selects by that; and BLEU otherwise.
    """
    selected = plans[0].systems[0].config.train.metric
    if selected in plugin_values("metrics"):
        return selected
    conditions = [plan.conditions for plan in plans]
    is_short = all(are_short(part.test_set.references, part.target_language) for part in conditions)
    return EXACT if selected == "exact" or is_short else BLEU
