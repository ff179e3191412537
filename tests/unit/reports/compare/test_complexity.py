import pytest

from regard.models import ARCHITECTURES
from regard.reports.compare.complexity import COMPLEXITY, find_architecture, fit_growth
from regard.reports.compare.results import StepTime


def _times(*pairs: tuple[int, float]) -> list[StepTime]:
    return [StepTime(length=length, milliseconds=milliseconds) for length, milliseconds in pairs]


def test_every_architecture_has_a_row() -> None:
    assert [name for name in ARCHITECTURES if name not in COMPLEXITY] == []


def test_rows_agree_with_table_1() -> None:
    recurrent, convolution, attention = COMPLEXITY["cho2014"], COMPLEXITY["convs2s2017"], COMPLEXITY["transformer2017"]
    assert (recurrent.work, recurrent.sequential, recurrent.path) == ("O(n·d²)", "O(n)", "O(n)")
    assert (convolution.work, convolution.sequential, convolution.path) == ("O(k·n·d²)", "O(1)", "O(n/k)")
    assert COMPLEXITY["bytenet2016"].path == "O(log_k n)"
    assert (attention.work, attention.sequential, attention.path) == ("O(n²·d)", "O(1)", "O(1)")


def test_attention_shortens_the_path_from_source_to_target() -> None:
    assert {name for name, row in COMPLEXITY.items() if row.across != "O(1)"} == {
        "cho2014",
        "sutskever2014",
        "bytenet2016",
    }


@pytest.mark.parametrize(
    ("name", "known"), [("luong2015/dot", "luong2015"), ("modern-small", "modern"), ("lstm", None), ("", None)]
)
def test_a_variant_has_the_row_of_its_architecture(name: str, known: str | None) -> None:
    assert find_architecture(name) == known


def test_growth_is_fitted_to_the_longer_lengths() -> None:
    flat_then_steep = [(n, max(50.0, 0.01 * n**1.5)) for n in (8, 16, 32, 512, 1024, 2048)]
    assert fit_growth(_times(*flat_then_steep)) == pytest.approx(1.5)
    assert fit_growth(_times(*reversed(flat_then_steep))) == pytest.approx(1.5)


def test_growth_needs_two_lengths() -> None:
    assert fit_growth([]) is None
    assert fit_growth(_times((64, 3.0), (64, 4.0))) is None
    assert fit_growth(_times((1, 3.0), (64, 4.0))) is None
    assert fit_growth(_times((32, 0.0), (64, 4.0))) is None
