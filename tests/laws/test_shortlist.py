"""Every search strategy respects a shortlist; regard.testing checks beam search for every architecture."""

from __future__ import annotations

from typing import Any

import pytest
from tests.laws.cases import CASES

from regard.testing.shortlists import VOCABULARY, check_full_shortlist, check_short_shortlist

STRATEGIES: list[dict[str, Any]] = [
    {"beam_size": 1},
    {"beam_size": 4, "no_repeat": 1},
    {"strategy": "diverse", "beam_size": 4, "groups": 2},
    {"strategy": "lookahead", "lookahead_depth": 2, "lookahead_width": 3},
    {"strategy": "exact", "beam_size": 2, "exact_steps": 50},
    {"strategy": "mbr", "candidates": "beam", "beam_size": 3},
    {"strategy": "sample", "temperature": 2.0, "top_k": 5},
]


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
@pytest.mark.parametrize("name", ["luong2015/general", "modern"])
def test_every_strategy_respects_the_shortlist(name: str, options: dict[str, Any]) -> None:
    model = CASES[name].model(VOCABULARY)
    check_full_shortlist(model, options)
    check_short_shortlist(model, options)
