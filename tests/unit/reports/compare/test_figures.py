import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray
from tests.unit.reports.made_up import lineage, system, three

from regard.reports.compare import figures
from regard.reports.compare.complexity import THEORY
from regard.reports.compare.figures import (
    DARK,
    LIGHT,
    Theme,
    alignments,
    quality_by_length,
    quality_by_time,
    shown,
    step_time,
    styles,
    to_png,
    to_svg,
)
from regard.reports.compare.results import Attended, LengthBin

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
    looks = styles([system(name) for name in THEORY])
    return [
        compute_attention_maps.dark if theme == DARK else compute_attention_maps.light
        for compute_attention_maps in looks
    ]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart(theme: Theme, vision: str) -> None:
    lab = _lab(_linear(_colours(theme)) @ VISION[vision].T)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert apart.min() > 19


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_stand_out_from_the_page(theme: Theme) -> None:
    (page,), lines = (_linear(colours) @ TO_XYZ[1] + 0.05 for colours in ([theme.paper], _colours(theme)))
    assert (np.maximum(lines / page, page / lines) >= 3).all()


def test_a_system_keeps_its_colour_in_any_company() -> None:
    alone = styles([system("gnmt2016")])[0]
    assert styles([system("modern"), system("gnmt2016"), system("cho2014")])[1] == alone


def test_a_second_of_a_kind_and_the_unknown_get_colours_of_their_own() -> None:
    looks = styles([system("mine"), system("luong2015"), system("luong2015/local"), system("theirs")])
    assert len({compute_attention_maps.light for compute_attention_maps in looks}) == 4
    assert looks[1] == styles([system("luong2015")])[0]
    assert len(styles([system("modern") for _ in range(30)])) == 30


def test_dashes_are_for_systems_that_do_not_attend() -> None:
    figure = quality_by_time(three(), LIGHT)
    assert figure is not None
    assert [line.is_dashed() for line in figure.axes[0].lines] == [True, False, False]
    assert figure.legends[0].get_title().get_text() == "dashed: without attention"


def test_nothing_is_drawn_of_nothing() -> None:
    bare = lineage(system("cho2014", attends=False, curve=(), lengths=(), step_times=()))
    assert quality_by_time(bare, LIGHT) is None
    assert quality_by_length(bare, LIGHT) is None
    assert step_time(bare, LIGHT) is None
    assert alignments(bare, 0, LIGHT) is None


def _drawn(figure: Figure | None) -> dict[str, list[tuple[float, float]]]:
    assert figure is not None
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        for line in figure.axes[0].lines
        if not str(line.get_label()).startswith("_")
    }


def test_lines_are_the_numbers() -> None:
    assert _drawn(quality_by_time(three(), LIGHT))["cho2014"] == [(1, 5), (2, 10), (3, 15), (4, 20)]
    assert _drawn(quality_by_length(three(), LIGHT))["cho2014"] == [(0, 20), (1, 12.5), (2, 5)]
    assert _drawn(quality_by_length(three(), LIGHT))["transformer2017"] == []
    assert _drawn(step_time(three(), LIGHT))["bahdanau2014"] == [(16, 32), (32, 64), (64, 128)]


def test_a_system_that_lacks_a_length_keeps_the_others_in_place() -> None:
    late = LengthBin(shortest=21, longest=30, sentences=9, bleu=8.0, chrf=9.0)
    figure = quality_by_length(lineage(system("modern", lengths=(late,)), system("gnmt2016")), LIGHT)
    assert _drawn(figure)["modern"] == [(2, 8)]
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1–10\n(99)", "11–20\n(59)", "21–30\n(9)"]


def test_step_times_are_drawn_on_logarithmic_scales() -> None:
    figure = step_time(lineage(system("modern")), LIGHT)
    assert figure is not None
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")


def test_there_is_a_map_for_each_system_that_attends() -> None:
    figure = alignments(three(), 0, LIGHT)
    assert figure is not None
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in maps] == ["bahdanau2014", "transformer2017"]
    assert np.allclose(np.asarray(maps[0].images[0].get_array())[1], [0, 0, 0.1, 0.9])
    assert [label.get_text() for label in maps[0].get_xticklabels()] == ["▁a", "日", "$x", "␣"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_pictures_are_not_blank(theme: Theme, tmp_path: Path) -> None:
    for draw in (quality_by_time, quality_by_length, step_time, lambda a, b: alignments(a, 0, b)):
        figure = draw(three(), theme)
        assert figure is not None
        to_png(figure, tmp_path / "a.png")
        picture = imread(tmp_path / "a.png")[..., :3]
        assert np.allclose(picture[0, 0], to_rgb(theme.paper), atol=0.01)
        assert (np.abs(picture - picture[0, 0]).max(axis=-1) > 0.3).mean() > 0.01


def test_svg_keeps_foreign_letters_and_is_always_the_same() -> None:
    first, second = (
        to_svg(figure) for figure in (alignments(three(), 0, LIGHT), alignments(three(), 0, LIGHT)) if figure
    )
    assert first == second
    written = {text.text for text in ElementTree.fromstring(first).iter("{http://www.w3.org/2000/svg}text")}
    assert {"▁a", "日", "$x", "␣", "�"} <= written
    assert not re.search(r"(href|src)=\"(?!#|data:)", first)


def test_maps_of_very_long_sentences_are_of_bounded_size(tmp_path: Path) -> None:
    long = Attended(source_tokens=("x" * 200,) * 400, target_tokens=("y",) * 300, weights=((1 / 400,) * 400,) * 300)
    figure = alignments(lineage(system("modern", attended=(long, long))), 0, LIGHT)
    assert figure is not None
    to_png(figure, tmp_path / "a.png")
    assert max(imread(tmp_path / "a.png").shape) < 4000


def test_tokens_are_made_visible() -> None:
    assert [shown(a) for a in (" ", "\x00a\n", "a\u200db", "日")] == ["␣", "�a�", "a\u200db", "日"]


def test_fonts_that_have_been_installed_since_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "new.ttf"
    shutil.copy(font_manager.findfont("DejaVu Sans"), new)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    known = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), str(new)])
    figures._families.cache_clear()
    try:
        assert figures.unwritable("a\U0010fffd") == {"\U0010fffd"}
        assert str(new) in {font.fname for font in known}
        assert str(tmp_path / "broken.ttf") not in {font.fname for font in known}
    finally:
        figures._families.cache_clear()
