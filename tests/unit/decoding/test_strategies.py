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
EMPTY_IS_LIKELY = table_script({(): {EOS: 0.9, A: 0.1}, (A,): {EOS: 0.8, A: 0.2}, (A, A): {EOS: 1.0}}, V)


class ScriptedEncoder(Encoder):
    """Return the memory that a scripted decoder reads."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        return scripted_memory([int(row.sum()) for row in mask])


@pytest.mark.parametrize(
    ("config", "tokens"),
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
def test_a_beam_finds_the_empty_target_only_if_it_is_allowed(config: SearchConfig, tokens: tuple[int, ...]) -> None:
    model = Seq2Seq(ScriptedEncoder(), ScriptedDecoder(EMPTY_IS_LIKELY, V))
    ((best, *_),) = search(model, [SearchInput((A, B))], config, top_beams=1, with_attention=False)
    assert best.tokens == tokens
    assert best.finished and best.score > -100


@pytest.mark.parametrize(
    ("changes", "max_tokens"),
    [
        ({}, 2 * 3 + 20),
        ({"max_length_factor": 1.0, "max_length_addend": 50}, 3 + 50),
        ({"max_length_factor": 0.5, "max_length_addend": 2}, 1 + 2),
        ({"max_length_factor": 0.0, "max_length_addend": 1}, 1),
    ],
)
@pytest.mark.parametrize("strategy", ["beam", "diverse", "lookahead", "sample", "mbr"])
def test_a_translation_is_cut_at_the_length_limit_of_the_recipe(
    strategy: str, changes: dict[str, float], max_tokens: int
) -> None:
    config = SearchConfig.model_validate({"strategy": strategy, "beam_size": 2, "groups": 2, **changes})

    def script(sentence: int, prefix: tuple[int, ...]) -> list[float]:
        return [-99.0, -99.0, -99.0, 1.0, 0.0]

    model = Seq2Seq(ScriptedEncoder(), ScriptedDecoder(script, V))
    ((best, *_),) = search(model, [SearchInput((A, B, A))], config, top_beams=1, with_attention=False)
    assert len(best.tokens) == max_tokens
    assert not best.finished
