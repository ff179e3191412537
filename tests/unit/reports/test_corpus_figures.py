from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from tests.end_to_end.helpers import write_lines
from tests.unit.corpus_checks.synthetic import sentences

from regard.corpus.parallel_text import ParallelText
from regard.corpus_checks.inspection import CorpusInspector, CorpusReport
from regard.reports.corpus.figures import draw_length_pairs, draw_positions
from regard.reports.theme import LIGHT, Theme


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> CorpusReport:
    """Return a report with one kind of fault: the figure of positions has its smallest height."""
    folder = tmp_path_factory.mktemp("corpus")
    sources, targets = zip(*sentences(60), strict=True)
    targets = ("", *targets[1:])
    paths: list[Path] = [write_lines(folder / name, texts) for name, texts in (("a", sources), ("b", targets))]
    return CorpusInspector(ParallelText(*paths), {}, ("", "")).inspect()


@pytest.mark.parametrize("draw", [draw_length_pairs, draw_positions])
def test_no_grid_crosses_the_cells_and_no_label_is_cut_off(
    report: CorpusReport, draw: Callable[[CorpusReport, Theme], Figure]
) -> None:
    figure = draw(report, LIGHT)
    figure.draw_without_rendering()
    cells, scale = figure.axes
    assert not any(line.get_visible() for axis in (cells.xaxis, cells.yaxis) for line in axis.get_gridlines())
    label, picture = scale.yaxis.label.get_window_extent(), figure.bbox
    assert picture.x0 <= label.x0 and label.x1 <= picture.x1
    assert picture.y0 <= label.y0 and label.y1 <= picture.y1
