from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray
from tests.unit.reports.fake_reports import report, report_on_three, system

from regard.evaluation.by_length import LengthBin
from regard.reports.compare.complexity import COMPLEXITY
from regard.reports.compare.figures import (
    choose_styles,
    draw_quality_by_length,
    draw_quality_by_time,
    draw_sample_attention,
    draw_step_time,
)
from regard.reports.theme import DARK, LIGHT, Theme, save_png

Reals = NDArray[np.float64]

# How dichromats see linear RGB (Machado, Oliveira, Fernandes 2009, severity 1).
VISION = {
    "all three": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
}
TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def _linear(colours: list[str]) -> Reals:
    rgb = np.array([to_rgb(colour) for colour in colours])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: Reals) -> Reals:
    xyz = np.clip(linear, 0, 1) @ TO_XYZ.T / np.array([0.9505, 1.0, 1.0888])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def _colours(theme: Theme) -> list[str]:
    styles = choose_styles([system(name) for name in COMPLEXITY])
    return [
        compute_attention_maps.dark if theme == DARK else compute_attention_maps.light
        for compute_attention_maps in styles
    ]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("vision", VISION)
def test_colours_are_distinguishable(theme: Theme, vision: str) -> None:
    lab = _lab(_linear(_colours(theme)) @ VISION[vision].T)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert distances.min() > 19


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_contrast_with_the_page(theme: Theme) -> None:
    (page,), lines = (_linear(colours) @ TO_XYZ[1] + 0.05 for colours in ([theme.paper], _colours(theme)))
    assert (np.maximum(lines / page, page / lines) >= 3).all()


def test_a_system_has_the_same_colour_in_every_report() -> None:
    alone = choose_styles([system("gnmt2016")])[0]
    assert choose_styles([system("modern"), system("gnmt2016"), system("cho2014")])[1] == alone


def test_variants_and_unknown_systems_have_distinct_colours() -> None:
    styles = choose_styles([system("mine"), system("luong2015"), system("luong2015/local"), system("theirs")])
    assert len({compute_attention_maps.light for compute_attention_maps in styles}) == 4
    assert styles[1] == choose_styles([system("luong2015")])[0]
    assert len(choose_styles([system("modern") for _ in range(30)])) == 30


def test_systems_without_attention_have_dashed_lines() -> None:
    figure = draw_quality_by_time(report_on_three(), LIGHT)
    assert figure is not None
    assert [line.is_dashed() for line in figure.axes[0].lines] == [True, False, False]
    assert figure.legends[0].get_title().get_text() == "dashed: without attention"


def test_a_figure_without_data_is_none() -> None:
    bare = report(system("cho2014", attends=False, curve=(), lengths=(), step_times=()))
    assert draw_quality_by_time(bare, LIGHT) is None
    assert draw_quality_by_length(bare, LIGHT) is None
    assert draw_step_time(bare, LIGHT) is None
    assert draw_sample_attention(bare, 0, LIGHT) is None


def _drawn(figure: Figure | None) -> dict[str, list[tuple[float, float]]]:
    assert figure is not None
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        for line in figure.axes[0].lines
        if not str(line.get_label()).startswith("_")
    }


def test_lines_show_the_numbers() -> None:
    assert _drawn(draw_quality_by_time(report_on_three(), LIGHT))["cho2014"] == [(1, 5), (2, 10), (3, 15), (4, 20)]
    assert _drawn(draw_quality_by_length(report_on_three(), LIGHT))["cho2014"] == [(0, 20), (1, 12.5), (2, 5)]
    assert _drawn(draw_quality_by_length(report_on_three(), LIGHT))["transformer2017"] == []
    exact = report(system("modern"), metric="exact match")
    scores = [score for _, score in _drawn(draw_quality_by_length(exact, LIGHT))["modern"]]
    assert scores == pytest.approx([40, 27.5, 15])
    assert _drawn(draw_step_time(report_on_three(), LIGHT))["bahdanau2014"] == [(16, 32), (32, 64), (64, 128)]


def test_markers_on_the_frame_are_whole() -> None:
    figure = draw_quality_by_time(report_on_three(), LIGHT)
    assert figure is not None
    assert not any(line.get_clip_on() for line in figure.axes[0].get_lines())


def test_a_missing_length_does_not_shift_the_others() -> None:
    late = LengthBin(shortest=21, longest=30, sentences=9, bleu=8.0, chrf=9.0, exact=0.1)
    figure = draw_quality_by_length(report(system("modern", lengths=(late,)), system("gnmt2016")), LIGHT)
    assert _drawn(figure)["modern"] == [(2, 8)]
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1–10\n(99)", "11–20\n(59)", "21–30\n(9)"]


def test_step_times_are_drawn_on_logarithmic_scales() -> None:
    figure = draw_step_time(report(system("modern")), LIGHT)
    assert figure is not None
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")


def test_each_system_with_attention_has_a_map() -> None:
    figure = draw_sample_attention(report_on_three(), 0, LIGHT)
    assert figure is not None
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in maps] == ["bahdanau2014", "transformer2017"]
    assert np.allclose(np.asarray(maps[0].images[0].get_array())[1], [0, 0, 0.1, 0.9])
    assert [label.get_text() for label in maps[0].get_xticklabels()] == ["▁a", "日", "$x", "␣"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_pictures_are_not_blank(theme: Theme, tmp_path: Path) -> None:
    for draw in (
        draw_quality_by_time,
        draw_quality_by_length,
        draw_step_time,
        lambda a, b: draw_sample_attention(a, 0, b),
    ):
        figure = draw(report_on_three(), theme)
        assert figure is not None
        save_png(figure, tmp_path / "a.png")
        picture = imread(tmp_path / "a.png")[..., :3]
        assert np.allclose(picture[0, 0], to_rgb(theme.paper), atol=0.01)
        assert (np.abs(picture - picture[0, 0]).max(axis=-1) > 0.3).mean() > 0.01
