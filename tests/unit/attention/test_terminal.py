from __future__ import annotations

import numpy as np
from rich.cells import cell_len

from regard.attention.terminal import drawn

WEIGHTS = np.array([[0.9, 0.06, 0.04], [0.1, 0.3, 0.6]], dtype=np.float32)


def test_a_map_with_what_has_most() -> None:
    assert list(drawn(["ja", "猫"], ["one", "two", "three"], WEIGHTS, 60)) == [
        "    1 2 3",
        "ja  █ ░    one 90%, two 6%",
        "猫  ░ ▒ ▓  three 60%, two 30%, one 10%",
        "",
        "1 one  2 two  3 three",
    ]


def test_where_a_map_does_not_fit_there_is_none() -> None:
    assert list(drawn(["ja", "猫"], ["one", "two", "three"], WEIGHTS, 20)) == [
        "ja  one 90%, two 6%",
        "猫  three 60%, two 30%, one 10%",
    ]


def test_a_long_legend_is_broken() -> None:
    columns = ["word"] * 12
    lines = list(drawn(["a"], columns, np.full((1, 12), 1 / 12, dtype=np.float32), 76))
    assert all(cell_len(line) <= 76 for line in lines)
    assert sum(line.count("word") for line in lines[3:]) == 12
