from __future__ import annotations

import numpy as np
from rich.cells import cell_len

from regard.attention.terminal import draw_map

WEIGHTS = np.array([[0.9, 0.06, 0.04], [0.1, 0.3, 0.6]], dtype=np.float32)


def test_a_map_lists_the_highest_weights_of_each_row() -> None:
    assert list(draw_map(["ja", "猫"], ["one", "two", "three"], WEIGHTS, 60)) == [
        "    1 2 3",
        "ja  █ ░    one 90%, two 6%",
        "猫  ░ ▒ ▓  three 60%, two 30%, one 10%",
        "",
        "1 one  2 two  3 three",
    ]


def test_a_map_that_does_not_fit_is_left_out() -> None:
    assert list(draw_map(["ja", "猫"], ["one", "two", "three"], WEIGHTS, 20)) == [
        "ja  one 90%, two 6%",
        "猫  three 60%, two 30%, one 10%",
    ]


def test_a_long_legend_is_wrapped() -> None:
    columns = ["word"] * 12
    lines = list(draw_map(["a"], columns, np.full((1, 12), 1 / 12, dtype=np.float32), 76))
    assert all(cell_len(line) <= 76 for line in lines)
    assert sum(line.count("word") for line in lines[3:]) == 12
