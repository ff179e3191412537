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


def found(sentences: list[SearchInput], **options: object) -> list[tuple[int, ...]]:
    config = SearchConfig.model_validate({"beam_size": 4, **options})
    several = search(MODEL, sentences, config, top_beams=1, with_attention=False, shortlist=TABLE)
    return [best.tokens for (best,) in several]


def test_a_batch_has_the_tokens_of_its_sentences_and_each_sentence_its_own() -> None:
    choice = TABLE.choose([[5, 4], [], [6]], [[], [13], []], 14)
    assert choice.tokens.tolist() == [0, 1, 2, 3, 4, 6, 9, 10, 11, 13]
    own = [choice.tokens[row].tolist() for row in choice.allowed]
    assert own == [[0, 1, 2, 3, 6, 9, 11], [0, 1, 2, 3, 11, 13], [0, 1, 2, 3, 4, 10, 11]]


def test_one_sentence_pays_for_no_bar() -> None:
    choice = TABLE.choose([[5, 4]], [[]], 14)
    memory = MODEL.encode(torch.tensor([[5, 4, 2]]))
    decoder = ShortlistDecoder(MODEL.decoder, choice.tokens)
    assert decoder.init_state(ShortlistMemory.of(memory, choice)).logit_mask is None
    with pytest.raises(TypeError, match="needs a ShortlistMemory"):
        decoder.init_state(memory)


def test_what_is_wished_may_be_said_by_that_sentence_alone() -> None:
    plain = [SearchInput([5, 4]), SearchInput([6]), SearchInput([4, 4, 6])]
    wished = [
        SearchInput([5, 4], TokenConstraints(require=((12, 13),))),
        SearchInput([6], TokenConstraints(prefix=(7, 8))),
        SearchInput([4, 4, 6]),
    ]
    first, second, third = found(wished)
    assert any(first[place : place + 2] == (12, 13) for place in range(len(first)))
    assert second[:2] == (7, 8)
    assert {*first} <= {3, 6, 9, 11, 12, 13}
    assert {*second} <= {3, 4, 7, 8, 10, 11}
    assert third == found(plain)[2]
    assert [found([one])[0] for one in wished] == [first, second, third]


def test_what_is_forbidden_is_not_said_and_what_is_out_of_reach_is_no_matter() -> None:
    (free,) = found([SearchInput([6, 5])])
    assert len(free) > 1
    assert found([SearchInput([6, 5], TokenConstraints(forbid=((12,), (free[0], 13))))]) == [free]
    (other,) = found([SearchInput([6, 5], TokenConstraints(forbid=(free[:2], (12,))))])
    assert free[:2] not in list(pairwise(other))


def test_other_strategies_still_know_no_constraints() -> None:
    with pytest.raises(DecodingError, match="does not support constraints"):
        found([SearchInput([5], TokenConstraints(forbid=((6,),)))], strategy="sample")


def test_only_a_linear_layer_is_narrowed() -> None:
    with pytest.raises(TypeError, match="expected a linear layer, got ReLU"):
        select_outputs(nn.ReLU(), torch.tensor([0]))
