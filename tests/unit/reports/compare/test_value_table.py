from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests.unit.reports import fake_reports

from regard.config.recipe import read_config
from regard.corpus.paths import CorpusPaths
from regard.errors import ConfigError, DataError, TrainingError
from regard.evaluation.test_set import TestSet
from regard.models import ARCHITECTURES
from regard.reports.compare.jobs import Results
from regard.reports.compare.measure import TestConditions
from regard.reports.compare.plan import ComparisonRequest, Plan, choose_metric, make_plan
from regard.reports.compare.results import ComparisonReport
from regard.reports.compare.systems import ComparedSystem
from regard.reports.compare.value_page import write_value_page
from regard.reports.compare.value_table import ValueTable, make_rows

Scores = dict[str, tuple[float, ...]]


def report(scores: Scores) -> ComparisonReport:
    """Return a report whose systems have these shares of exact translations, in percent, a seed each."""
    systems = [
        fake_reports.system(f"{name}-seed{seed}", exact=value / 100)
        for name, values in scores.items()
        for seed, value in enumerate(values, start=1)
    ]
    return fake_reports.report(*systems)


def table(**values: Scores | None) -> ValueTable:
    reports = {value: None if scores is None else report(scores) for value, scores in values.items()}
    rows, means = make_rows(reports, {value: value for value in values})
    return ValueTable(
        title="inflection <22>",
        date="2026-11-30",
        machine="2 cores",
        budget="20,000 steps",
        seeds=2,
        beam_size=5,
        placeholders=("language",),
        metric="exact %",
        metrics=("BLEU", "chrF", "exact %"),
        systems=("cho2014", "modern"),
        rows=rows,
        means=means,
        failures={},
    )


def test_the_last_row_is_the_mean_over_the_values_and_its_deviation_over_the_seeds() -> None:
    both = table(ang={"cho2014": (10, 20), "modern": (50, 60)}, tur={"cho2014": (30, 20), "modern": (70, 90)})
    assert str(both).splitlines() == [
        "exact % by language       cho2014         modern",
        "ang                  15.00 ± 7.07   55.00 ± 7.07",
        "tur                  25.00 ± 7.07  80.00 ± 14.14",
        "mean                 20.00 ± 0.00  67.50 ± 10.61",
    ]
    assert ValueTable.model_validate_json(both.model_dump_json()) == both


def test_a_single_value_has_no_mean() -> None:
    assert len(str(table(ang={"cho2014": (10, 20), "modern": (50, 60)})).splitlines()) == 2


def test_a_system_without_a_result_has_no_mean() -> None:
    lines = str(table(ang={"cho2014": (10, 20), "modern": (50, 60)}, tur={"modern": (70, 90)})).splitlines()
    assert [line.split()[1:] for line in lines[2:]] == [["–", "80.00", "±", "14.14"], ["–", "67.50", "±", "10.61"]]
    lines = str(table(ang={"cho2014": (10, 20), "modern": (50, 60)}, tur=None)).splitlines()
    assert [line.split()[1:] for line in lines[2:]] == [["–", "–"], ["–", "–"]]


def test_a_missing_seed_leaves_the_mean_without_deviation() -> None:
    lines = str(table(ang={"modern": (50, 60)}, tur={"modern": (70,)})).splitlines()
    assert [line.split()[2:] for line in lines[2:]] == [["70.00"], ["62.50"]]


def test_the_page_has_a_table_for_each_metric_and_links_to_the_comparisons(tmp_path: Path) -> None:
    page = write_value_page(
        table(ang={"cho2014": (10, 20), "modern": (50, 60)}, tur=None).model_copy(
            update={"failures": {"tur": "no <file>"}}
        ),
        tmp_path,
    ).read_text(encoding="utf-8")
    assert "inflection &lt;22&gt;" in page and "20,000 steps for each system, 2 seeds" in page
    assert page.count('href="ang/index.html"') == 3 and "tur/index.html" not in page
    assert page.count("<table>") == 3 and page.count("<details>") == 2 and page.count('class="mean"') == 3
    assert "<td class=best>55.00<small>± 7.07</small></td>" in page
    assert "tur: no &lt;file&gt;" in page


@pytest.mark.parametrize(
    ("metric", "reference", "expected"),
    [
        ("exact", "a dog runs in the snow", "exact %"),
        ("chrf", "a dog runs in the snow", "BLEU"),
        ("loss", "wācan", "exact %"),
        ("bleu", "one two three", "exact %"),
    ],
)
def test_the_metric_suits_the_task(metric: str, reference: str, expected: str, tmp_path: Path) -> None:
    recipe = tmp_path / "a.toml"
    recipe.write_text(f'data.file = "a.tsv"\nmodel.architecture = "cho2014"\ntrain.metric = "{metric}"\n')
    config = read_config(recipe, ARCHITECTURES)
    conditions = TestConditions(TestSet("test", ("x",), (reference,)), "", config.search)
    systems = [ComparedSystem("cho2014", tmp_path, config, train=True)]
    assert choose_metric([Plan(ComparisonRequest(), tmp_path, systems, conditions)]) == expected


def test_a_missing_file_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = tmp_path / "a.toml"
    recipe.write_text('data.file = "{language}.tsv"\nmodel.architecture = "cho2014"\n')
    (tmp_path / "test.tsv").write_text("a\tb\n")
    request = ComparisonRequest(
        recipe=recipe,
        architectures="cho2014",
        placeholders={"language": "tur"},
        test=CorpusPaths(data=tmp_path / "test.tsv"),
    )
    with pytest.raises(DataError, match="no such file") as caught:
        make_plan(request, tmp_path / "out", Console(quiet=True))
    assert caught.value.where == str(tmp_path / "tur.tsv")
    (tmp_path / "tur.tsv").write_text("a\tb\n")
    plan = make_plan(request, tmp_path / "out", Console(quiet=True))
    assert (plan.name, plan.name_of(plan.systems[0])) == ("tur", "tur, cho2014")
    for wrong, message in (
        (replace(request, recipe=None, corpus="dates"), "only a recipe has placeholders"),
        (replace(request, jobs=0), "too few"),
        (replace(request, placeholders={}), "has no value"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_plan(wrong, tmp_path / "out", Console(quiet=True))


def test_a_comparison_needs_a_measurement() -> None:
    failed = Results(failures={"modern": TrainingError("the loss is not finite")})
    with pytest.raises(TrainingError, match="not finite"):
        failed.require_measurements()
    with pytest.raises(DataError, match="empty"):
        Results(error=DataError("the file is empty")).require_measurements()
