from __future__ import annotations

import pytest
import torch
from tests.doubles import ScriptedDecoder, scripted_memory, table_script
from torch import Tensor, nn

from regard.config.schema import SearchConfig
from regard.contract import Encoder, Memory, Seq2Seq
from regard.decoding.strategies import SearchInput, search
from regard.special_tokens import EOS

A, B, V = 3, 4, 5
SILENT = table_script({(): {EOS: 0.9, A: 0.1}, (A,): {EOS: 0.8, A: 0.2}, (A, A): {EOS: 1.0}}, V)


class Source(Encoder):
    """Leaves behind what a scripted decoder reads."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        return scripted_memory([int(row.sum()) for row in mask])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SearchConfig(), (A,)),
        (SearchConfig(allow_empty=True), ()),
        (SearchConfig(length_penalty=0.0), (A,)),
        (SearchConfig(length_norm="average"), (A,)),
        (SearchConfig(strategy="diverse", beam_size=2, groups=2), (A,)),
        (SearchConfig(strategy="diverse", beam_size=2, groups=2, allow_empty=True), ()),
        (SearchConfig(strategy="exact"), (A,)),
        (SearchConfig(strategy="exact", allow_empty=True), ()),
        (SearchConfig(beam_size=1), ()),
        (SearchConfig(beam_size=1, allow_empty=True), ()),
        (SearchConfig(strategy="lookahead", lookahead_depth=1, lookahead_width=1), ()),
    ],
)
def test_a_beam_says_nothing_at_all_only_where_it_may(config: SearchConfig, said: tuple[int, ...]) -> None:
    model = Seq2Seq(Source(), ScriptedDecoder(SILENT, V))
    ((best, *_),) = search(model, [SearchInput((A, B))], config, top_beams=1, with_attention=False)
    assert best.tokens == said
    assert best.finished and best.score > -100


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 2 * 3 + 20),
        ({"max_length_factor": 1.0, "max_length_addend": 50}, 3 + 50),
        ({"max_length_factor": 0.5, "max_length_addend": 2}, 1 + 2),
        ({"max_length_factor": 0.0, "max_length_addend": 1}, 1),
    ],
)
@pytest.mark.parametrize("strategy", ["beam", "diverse", "lookahead", "sample", "mbr"])
def test_a_translation_has_at_most_as_many_tokens_as_the_recipe_allows(
    strategy: str, changes: dict[str, float], most: int
) -> None:
    config = SearchConfig.model_validate({"strategy": strategy, "beam_size": 2, "groups": 2, **changes})

    def script(sentence: int, prefix: tuple[int, ...]) -> list[float]:
        return [-99.0, -99.0, -99.0, 1.0, 0.0]

    model = Seq2Seq(Source(), ScriptedDecoder(script, V))
    ((best, *_),) = search(model, [SearchInput((A, B, A))], config, top_beams=1, with_attention=False)
    assert len(best.tokens) == most
    assert not best.finished
