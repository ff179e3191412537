from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.reports import fake_reports

from regard.errors import ConfigError
from regard.reports.compare.page import write_page
from regard.reports.compare.seeds import name_with_seed, summarize_seeds
from regard.reports.compare.systems import systems_from_corpus, with_seeds


def test_the_mean_and_the_deviation_of_each_architecture() -> None:
    system = fake_reports.report_on_three().systems[0]
    values = {"modern": (20.0, 22.0, 27.0), "cho2014": (10.0,)}
    systems = [
        system.model_copy(
            update={
                "name": name_with_seed(name, seed),
                "bleu": replace(system.bleu, value=value),
                "exact": value / 100,
            }
        )
        for name, scores in values.items()
        for seed, value in enumerate(scores)
    ]
    modern, cho2014 = summarize_seeds(systems)
    assert (modern.name, modern.count, str(modern.scores["BLEU"])) == ("modern", 3, "23.00 ± 3.61")
    assert str(modern.scores["exact %"]) == "23.00 ± 3.61"
    assert (cho2014.name, cho2014.count, str(cho2014.scores["BLEU"])) == ("cho2014", 1, "10.00")
    assert cho2014.describe().startswith("cho2014, 1 seed: BLEU 10.00, chrF ")


def test_the_page_has_a_table_of_means_only_with_several_seeds(tmp_path: Path) -> None:
    report = fake_reports.report_on_three()
    named = [system.model_copy(update={"name": f"{system.name}-seed1"}) for system in report.systems]
    with_table = report.model_copy(update={"seeds": summarize_seeds(named)})
    assert "over seeds" not in write_page(report, tmp_path / "one").read_text(encoding="utf-8")
    page = write_page(with_table, tmp_path / "several").read_text(encoding="utf-8")
    assert "standard deviation over seeds" in page


def test_each_seed_would_have_another_test_set(tmp_path: Path) -> None:
    systems = systems_from_corpus("dates", ["modern"], [], 1.0, tmp_path)
    with pytest.raises(ConfigError, match="another test set"):
        with_seeds(systems, 2, has_test_files=False)
    seeded = with_seeds(systems, 2, has_test_files=True)
    assert [(system.config.train.seed, system.is_timed) for system in seeded] == [(1, True), (2, False)]
