from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from regard.errors import DataError
from regard.inference.translator import Translation
from regard.reports.compare.attention_figure import draw_attention


def _translation(attention: np.ndarray | None) -> Translation:
    return Translation("ab", -1.0, -1.0, ("a", "b"), ("x", " ", "y", "</s>"), attention)


def test_a_picture_shows_the_weights(tmp_path: Path) -> None:
    sharp = np.eye(3, 4)
    flat = np.full((3, 4), 0.25)
    for name, attention in (("sharp", sharp), ("flat", flat)):
        draw_attention([(name, _translation(attention))], tmp_path / f"{name}.png")
    one, other = imread(tmp_path / "sharp.png"), imread(tmp_path / "flat.png")
    assert one.shape[0] > 200
    assert one.shape[1] > 300
    assert one.shape == other.shape
    assert np.abs(one - other).mean() > 0.01


def test_two_systems_stand_one_above_the_other(tmp_path: Path) -> None:
    attention = np.full((3, 4), 0.25)
    draw_attention([("one", _translation(attention))], tmp_path / "one.png")
    draw_attention([("one", _translation(attention)), ("two", _translation(attention))], tmp_path / "two.png")
    assert imread(tmp_path / "two.png").shape[0] > imread(tmp_path / "one.png").shape[0]


def test_without_attention_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no attention"):
        draw_attention([("mute", _translation(None))], tmp_path / "mute.png")
    assert not (tmp_path / "mute.png").exists()
