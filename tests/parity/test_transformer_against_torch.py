"""transformer2017 against torch.nn.Transformer with the same weights, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.doubles import as_batch, start_with_bos
from tests.parity.weights import HEADS, HIDDEN, LAYERS, WIDTH, tiny_transformer
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.special_tokens import PAD

SOURCE = as_batch([[4, 5, 2], [8, 7, 3, 12, 6, 2], [2]])
TARGET_IN, TARGET_OUT = start_with_bos([[4, 11, 5, 3], [7], [9, 9, 4]])


def reference() -> nn.Transformer:
    """Post-norm layers without a norm after the last one, as in the paper."""
    sizes: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "dtype": torch.float64}
    encoder_layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, **sizes)
    decoder_layer = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, **sizes)
    encoder = nn.TransformerEncoder(encoder_layer, LAYERS + 1, enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(decoder_layer, LAYERS)
    return nn.Transformer(WIDTH, custom_encoder=encoder, custom_decoder=decoder, **sizes)


def attention_pairs(ours: Any, theirs: Any) -> Iterator[tuple[list[Tensor], Tensor]]:
    yield [ours.query.weight, ours.key_value.weight], theirs.in_proj_weight
    yield [ours.query.bias, ours.key_value.bias], theirs.in_proj_bias
    yield [ours.output.weight], theirs.out_proj.weight
    yield [ours.output.bias], theirs.out_proj.bias


def plain_pairs(pairs: list[tuple[Any, Any]]) -> Iterator[tuple[list[Tensor], Tensor]]:
    for ours, theirs in pairs:
        yield [ours.weight], theirs.weight
        yield [ours.bias], theirs.bias


def layer_pairs(ours: Any, theirs: Any) -> Iterator[tuple[list[Tensor], Tensor]]:
    yield from attention_pairs(ours.attention, theirs.self_attn)
    yield from plain_pairs([(ours.attention_norm, theirs.norm1)])
    yield from plain_pairs([(ours.ff[0], theirs.linear1), (ours.ff[2], theirs.linear2)])
    if isinstance(theirs, nn.TransformerDecoderLayer):
        yield from attention_pairs(ours.source_attention, theirs.multihead_attn)
        yield from plain_pairs([(ours.source_norm, theirs.norm2), (ours.ff_norm, theirs.norm3)])
    else:
        yield from plain_pairs([(ours.ff_norm, theirs.norm2)])


def same_weights(ours: Seq2Seq, theirs: nn.Transformer) -> list[tuple[list[Tensor], Tensor]]:
    """Parts of ours that, one upon another, are one of theirs; every parameter of theirs once."""
    pairs: list[tuple[list[Tensor], Tensor]] = []
    for our_layers, their_layers in (
        (ours.encoder.layers, theirs.encoder.layers),
        (ours.decoder.layers, theirs.decoder.layers),
    ):
        for our_layer, their_layer in zip(our_layers, their_layers, strict=True):  # type: ignore[arg-type]
            pairs.extend(layer_pairs(our_layer, their_layer))
    assert {id(theirs_) for _, theirs_ in pairs} == {id(parameter) for parameter in theirs.parameters()}
    return pairs


def embed(table: Tensor, tokens: Tensor) -> Tensor:
    """Embeddings times sqrt(d) plus the sinusoid, value by value."""
    rows = [
        [
            (math.cos if column % 2 else math.sin)(position / 10000 ** (2 * (column // 2) / WIDTH))
            for column in range(WIDTH)
        ]
        for position in range(tokens.size(1))
    ]
    return table[tokens] * math.sqrt(WIDTH) + torch.tensor(rows, dtype=torch.float64)


def reference_logits(model: nn.Transformer, source_table: Tensor, target_table: Tensor) -> Tensor:
    out: Tensor = model(
        embed(source_table, SOURCE),
        embed(target_table, TARGET_IN),
        tgt_mask=torch.ones(TARGET_IN.size(1), TARGET_IN.size(1)).triu(1).bool(),
        src_key_padding_mask=SOURCE.eq(PAD),
        memory_key_padding_mask=SOURCE.eq(PAD),
    )
    return out @ target_table.t()


@pytest.mark.parametrize("joint", [True, False])
def test_logits_and_gradients_are_those_of_torch(joint: bool) -> None:
    ours: Any = tiny_transformer(joint=joint)
    theirs = reference()
    pairs = same_weights(ours, theirs)
    with torch.no_grad():
        for parts, weight in pairs:
            weight.copy_(torch.cat(parts))
    our_tables = [ours.encoder.embedding.table.weight, ours.decoder.embedding.table.weight]
    assert (our_tables[0] is our_tables[1]) == joint
    target_table = our_tables[1].detach().clone().requires_grad_()
    source_table = target_table if joint else our_tables[0].detach().clone().requires_grad_()

    logits, expected = ours(SOURCE, TARGET_IN), reference_logits(theirs, source_table, target_table)
    real = TARGET_OUT.ne(PAD)
    torch.testing.assert_close(logits[real], expected[real], rtol=0, atol=1e-10)

    for scores in (logits, expected):
        F.cross_entropy(scores[real], TARGET_OUT[real]).backward()
    for parts, weight in pairs:
        gradient = torch.cat([part.grad for part in parts if part.grad is not None])
        torch.testing.assert_close(gradient, weight.grad, rtol=0, atol=1e-10)
    for table, copied in zip(our_tables, (source_table, target_table), strict=True):
        # no PAD is read where it counts, so its row's gradient through the output layer is the same on both sides
        torch.testing.assert_close(table.grad, copied.grad, rtol=0, atol=1e-10)
