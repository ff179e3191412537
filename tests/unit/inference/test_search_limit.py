"""The length limit of a search by default: twice the source's tokens, its EOS not counted, and 20."""

from __future__ import annotations

import pytest
import torch
from tests.doubles import ScriptedDecoder, scripted_memory
from torch import Tensor, nn

from regard.config.schema import SearchConfig
from regard.contract import Encoder, Memory, Seq2Seq
from regard.decoding.strategies import SearchInput, search

VOCABULARY = 5


class Lengths(Encoder):
    """Returns a memory with as many positions as the source has."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        return scripted_memory([int(row.sum()) for row in mask])


def endless(number: int, prefix: tuple[int, ...]) -> list[float]:
    """Two tokens, of which a beam of two is full, and hardly ever EOS."""
    return [-50.0, -50.0, -50.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "config",
    [
        SearchConfig(beam_size=2),
        SearchConfig(beam_size=1),
        SearchConfig(strategy="diverse", beam_size=2, groups=2),
        SearchConfig(strategy="lookahead", lookahead_depth=1),
        SearchConfig(strategy="sample"),
    ],
    ids=lambda config: f"{config.strategy}-{config.beam_size}",
)
def test_each_sentence_has_its_own_limit(config: SearchConfig) -> None:
    model = Seq2Seq(Lengths(), ScriptedDecoder(endless, VOCABULARY))
    sources = [(3,) * length for length in (4, 0, 11, 1)]
    results = search(model, [SearchInput(source) for source in sources], config, top_beams=1, with_attention=False)
    assert [len(best.tokens) for best, *_ in results] == [28, 20, 42, 22]
    assert not any(best.finished for best, *_ in results)
