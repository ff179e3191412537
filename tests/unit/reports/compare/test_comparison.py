import pytest
from tests.unit.reports.fake_reports import report, system

from regard.reports.compare.api import Comparison


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            "BLEU",
            """\
system  parameters  BLEU  95% interval  chrF  exact %  minutes  sentences/s
modern   6,612,345  30.0  28.5 to 31.2  50.0     25.0      9.5         87.6""",
        ),
        (
            "exact match",
            """\
system  parameters  exact %  95% interval  chrF  BLEU  minutes  sentences/s
modern   6,612,345     25.0  24.0 to 27.0  50.0  30.0      9.5         87.6""",
        ),
    ],
)
def test_the_interval_is_that_of_the_metric_of_the_report(metric: str, expected: str) -> None:
    comparison = Comparison(report(system("modern", exact=0.25), metric=metric), page=None, failures={})
    assert str(comparison) == expected
    (row,) = comparison.rows
    assert [row[name] for name in ("exact_low", "exact", "exact_high")] == pytest.approx([24, 25, 27])
