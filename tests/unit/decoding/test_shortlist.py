from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from tests.doubles import tiny_model
from torch import nn

from regard.config.schema import SearchConfig
from regard.decoding.shortlist import Shortlist, ShortlistDecoder, ShortlistMemory
from regard.decoding.strategies import SearchInput, TokenConstraints, search
from regard.errors import DecodingError
from regard.nn.output_layer import select_outputs

TABLE = Shortlist(
    torch.tensor([[0, 0]] * 4 + [[6, 0], [6, 9], [4, 10], [0, 0]], dtype=torch.int32),
    torch.tensor([11], dtype=torch.int32),
)
MODEL = tiny_model(7, source=8, target=14)


def translate(sentences: list[SearchInput], **options: object) -> list[tuple[int, ...]]:
    config = SearchConfig.model_validate({"beam_size": 4, **options})
    results = search(MODEL, sentences, config, top_beams=1, with_attention=False, shortlist=TABLE)
    return [best.tokens for (best,) in results]


def test_a_batch_has_the_tokens_of_all_its_sentences_and_a_mask_for_each_sentence() -> None:
    choice = TABLE.choose([[5, 4], [], [6]], [[], [13], []], 14)
    assert choice.tokens.tolist() == [0, 1, 2, 3, 4, 6, 9, 10, 11, 13]
    allowed = [choice.tokens[row].tolist() for row in choice.allowed]
    assert allowed == [[0, 1, 2, 3, 6, 9, 11], [0, 1, 2, 3, 11, 13], [0, 1, 2, 3, 4, 10, 11]]


def test_a_single_sentence_needs_no_mask() -> None:
    choice = TABLE.choose([[5, 4]], [[]], 14)
    memory = MODEL.encode(torch.tensor([[5, 4, 2]]))
    decoder = ShortlistDecoder(MODEL.decoder, choice.tokens)
    assert decoder.init_state(ShortlistMemory.of(memory, choice)).logit_mask is None
    with pytest.raises(TypeError, match="needs a ShortlistMemory"):
        decoder.init_state(memory)


def test_required_tokens_are_allowed_in_their_sentence_alone() -> None:
    plain = [SearchInput([5, 4]), SearchInput([6]), SearchInput([4, 4, 6])]
    constrained = [
        SearchInput([5, 4], TokenConstraints(require=((12, 13),))),
        SearchInput([6], TokenConstraints(prefix=(7, 8))),
        SearchInput([4, 4, 6]),
    ]
    first, second, third = translate(constrained)
    assert any(first[place : place + 2] == (12, 13) for place in range(len(first)))
    assert second[:2] == (7, 8)
    assert {*first} <= {3, 6, 9, 11, 12, 13}
    assert {*second} <= {3, 4, 7, 8, 10, 11}
    assert third == translate(plain)[2]
    assert [translate([sentence])[0] for sentence in constrained] == [first, second, third]


def test_forbidden_phrases_are_avoided_and_those_outside_the_shortlist_are_ignored() -> None:
    (unconstrained,) = translate([SearchInput([6, 5])])
    assert len(unconstrained) > 1
    assert translate([SearchInput([6, 5], TokenConstraints(forbid=((12,), (unconstrained[0], 13))))]) == [unconstrained]
    (constrained,) = translate([SearchInput([6, 5], TokenConstraints(forbid=(unconstrained[:2], (12,))))])
    assert unconstrained[:2] not in list(pairwise(constrained))


def test_constraints_are_an_error_with_strategies_that_do_not_support_them() -> None:
    with pytest.raises(DecodingError, match="does not support constraints"):
        translate([SearchInput([5], TokenConstraints(forbid=((6,),)))], strategy="sample")


def test_selecting_outputs_requires_a_linear_layer() -> None:
    with pytest.raises(TypeError, match="expected a linear layer, got ReLU"):
        select_outputs(nn.ReLU(), torch.tensor([0]))
