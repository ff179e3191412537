"""One recipe for several values of its placeholders: a comparison for each of them, and one table.

OUT/VALUE/               the comparison of a value, as `run` writes it
OUT/report.json, OUT/index.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from rich.console import Console

from regard.config.placeholders import Placeholders, combine_values, fill_placeholders
from regard.console import say
from regard.errors import ConfigError, RegardError
from regard.files import write_atomic
from regard.reports.compare.jobs import Results, train_and_measure
from regard.reports.compare.plan import ComparisonRequest, Plan, choose_metric, make_plan
from regard.reports.compare.results import ComparisonReport
from regard.reports.compare.run import describe_machine, make_report, write_report
from regard.reports.compare.seeds import split_seed, system_scores
from regard.reports.compare.training import device_of
from regard.reports.compare.value_page import write_value_page
from regard.reports.compare.value_table import ValueTable, make_rows


def compare_values(
    request: ComparisonRequest, values: Mapping[str, Sequence[str]], out: Path, console: Console
) -> tuple[Path, ValueTable]:
    """Compare systems for each value of the placeholders, and write the table.

    Ctrl-C and SIGTERM raise KeyboardInterrupt; the same request then continues where it stopped. What fails is left
    out of the table, which names it.

    Args:
        request: The comparison, without values of placeholders. Paths of its test set may have placeholders.
        values: The values of each placeholder.
        out: The folder for the table and the comparisons.
        console: Where to print.

    Returns:
        The path of the page, and the table.

    Raises:
        ConfigError, DataError, CheckpointError: A value cannot be compared; nothing was trained.
        RegardError: All comparisons have failed.
    """
    if request.recipe is None:
        raise ConfigError("only a recipe has placeholders", where="--with", fix="give a recipe")
    combinations = combine_values(values)
    _refuse_shared_folders([_folder_name(placeholders) for placeholders in combinations])
    plans = [_plan_value(request, placeholders, out, console) for placeholders in combinations]
    say(f"{len(plans)} values, {len(plans[0].systems)} systems each", console)
    results = train_and_measure(plans, request.jobs, console)
    reports: dict[str, ComparisonReport | None] = {}
    errors: dict[str, RegardError] = {}
    for plan, result in zip(plans, results, strict=True):
        reports[plan.name] = _write_comparison(plan, result, console)
        errors |= {f"{plan.name}, {name}": error for name, error in result.failures.items()}
        if result.error is not None:
            errors[plan.name] = result.error
    if not any(reports.values()):
        raise next(iter(errors.values()))
    table = _make_table(request, values, plans, reports, errors)
    write_atomic(out / "report.json", table.model_dump_json() + "\n")
    page = write_value_page(table, out)
    for name, error in errors.items():
        say(f"{name} is left out: {error}", console)
    return page, table


def _folder_name(placeholders: Placeholders) -> str:
    return "-".join(placeholders.values())


def _refuse_shared_folders(names: Sequence[str]) -> None:
    """Raise ConfigError if two combinations of values would write to the same folder."""
    if shared := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(
            f"two combinations of values would share the folder {shared[0]}",
            where="--with",
            fix="write values without `-`, or compare them by two commands",
        )


def _plan_value(request: ComparisonRequest, placeholders: Placeholders, out: Path, console: Console) -> Plan:
    def fill(path: Path | None) -> Path | None:
        return None if path is None else Path(fill_placeholders(str(path), placeholders))

    test = request.test
    filled = replace(test, source=fill(test.source), target=fill(test.target), data=fill(test.data))
    request = replace(request, placeholders=placeholders, test=filled)
    return make_plan(request, out / _folder_name(placeholders), console)


def _write_comparison(plan: Plan, results: Results, console: Console) -> ComparisonReport | None:
    """Write the comparison of a value and return its report, or None if all of it has failed."""
    if results.error is not None or not results.measurements:
        return None
    report = make_report(plan, results.measurements)
    write_report(report, plan.out, console, heading=f"report: {plan.name}")
    return report


def _make_table(
    request: ComparisonRequest,
    values: Mapping[str, Sequence[str]],
    plans: Sequence[Plan],
    reports: Mapping[str, ComparisonReport | None],
    errors: Mapping[str, RegardError],
) -> ValueTable:
    first = next(report for report in reports.values() if report is not None)
    rows, means = make_rows(reports, {plan.name: plan.out.name for plan in plans})
    return ValueTable(
        title=request.recipe.stem if request.recipe else "",
        date=date.today().isoformat(),
        machine=describe_machine(device_of(plans[0].systems[0]), request.jobs),
        budget=first.budget,
        seeds=request.seeds,
        beam_size=first.beam_size,
        placeholders=tuple(values),
        metric=choose_metric(plans),
        metrics=tuple(system_scores(first.systems[0])),
        systems=tuple(dict.fromkeys(split_seed(system.name)[0] for system in plans[0].systems)),
        rows=rows,
        means=means,
        failures={name: error.message for name, error in errors.items()},
    )
