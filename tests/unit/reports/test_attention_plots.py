from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from regard.attention.matrix import AttentionMatrix, attention_matrix
from regard.inference.translator import Translation
from regard.reports.attention_plots import draw_attention_maps
from regard.reports.theme import LIGHT, save_png, to_svg


def _translation(attention: np.ndarray | None, *, finished: bool = True) -> Translation:
    return Translation("ab", -1.0, -1.0, ("a", "b"), ("x", "</s>"), attention, finished=finished)


def _matrix(rows: int = 3, columns: int = 4, *, sharp: bool = False) -> AttentionMatrix:
    weights = np.eye(rows, columns) if sharp else np.full((rows, columns), 1 / columns)
    return AttentionMatrix(
        source_tokens=tuple("▁" * columns),
        target_tokens=tuple("b" * rows),
        weights=tuple(tuple(map(float, row)) for row in weights),
    )


def test_attention_of_a_finished_translation_ends_with_eos() -> None:
    matrix = attention_matrix(_translation(np.full((3, 2), 0.5)))
    assert matrix is not None
    assert (matrix.source_tokens, matrix.target_tokens) == (("x", "</s>"), ("a", "b", "</s>"))
    assert matrix.weights == ((0.5, 0.5),) * 3


def test_attention_of_a_cut_translation_has_no_eos() -> None:
    matrix = attention_matrix(_translation(np.full((2, 2), 1 / 3), finished=False))
    assert matrix is not None
    assert matrix.target_tokens == ("a", "b")
    assert matrix.weights == ((0.3333, 0.3333),) * 2


def test_a_translation_without_attention_has_no_matrix() -> None:
    assert attention_matrix(_translation(None)) is None


def test_a_picture_shows_the_weights(tmp_path: Path) -> None:
    pictures = []
    for name in ("sharp", "flat"):
        save_png(draw_attention_maps([(name, _matrix(sharp=name == "sharp"))], LIGHT), tmp_path / f"{name}.png")
        pictures.append(imread(tmp_path / f"{name}.png"))
    sharp, flat = pictures
    assert sharp.shape[0] > 200
    assert sharp.shape[1] > 300
    assert sharp.shape == flat.shape
    assert np.abs(sharp - flat).mean() > 0.01


def test_a_short_map_is_not_stretched_to_the_height_of_a_long_one() -> None:
    short, long = (
        AttentionMatrix(source_tokens=("a",) * 9, target_tokens=("b",) * rows, weights=((1 / 9,) * 9,) * rows)
        for rows in (3, 40)
    )
    figure = draw_attention_maps([("short", short), ("long", long)], LIGHT)
    figure.draw_without_rendering()
    heights = [axes.get_window_extent().height / rows for axes, rows in zip(figure.axes, (3, 40), strict=False)]
    assert heights[0] == pytest.approx(heights[1], rel=0.5)
    assert figure.axes[0].get_window_extent().y1 == pytest.approx(figure.axes[1].get_window_extent().y1)
    assert [axes.get_ylabel() for axes in figure.axes[:2]] == ["target", "target"]


def test_maps_are_below_each_other_in_one_column(tmp_path: Path) -> None:
    heights = []
    for number in (1, 2):
        panels = [(str(panel), _matrix()) for panel in range(number)]
        save_png(draw_attention_maps(panels, LIGHT, max_columns=1), tmp_path / "a.png")
        heights.append(imread(tmp_path / "a.png").shape[0])
    assert heights[1] > heights[0]


def test_svg_has_all_letters_as_text_and_is_reproducible() -> None:
    matrix = AttentionMatrix(
        source_tokens=("▁a", "日", "$x", " "), target_tokens=("▁ein", "\x07"), weights=((0.25,) * 4,) * 2
    )
    first, second = (to_svg(draw_attention_maps([("x", matrix)], LIGHT)) for _ in range(2))
    assert first == second
    texts = {text.text for text in ElementTree.fromstring(first).iter("{http://www.w3.org/2000/svg}text")}
    assert {"▁a", "日", "$x", "␣", "�", "source", "target"} <= texts
    assert not re.search(r"(href|src)=\"(?!#|data:)", first)


def test_maps_of_very_long_sentences_have_a_bounded_size(tmp_path: Path) -> None:
    matrix = AttentionMatrix(
        source_tokens=("x" * 200,) * 400, target_tokens=("y",) * 300, weights=((1 / 400,) * 400,) * 300
    )
    save_png(draw_attention_maps([("x", matrix)], LIGHT), tmp_path / "a.png")
    assert max(imread(tmp_path / "a.png").shape) < 4000
