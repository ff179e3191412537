"""transformer2017 against Hugging Face's MarianMTModel with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.doubles import as_batch
from tests.parity.weights import HEADS, HIDDEN, LAYERS, VOCABULARY, WIDTH, tiny_transformer
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.decoding.greedy import greedy_search
from regard.decoding.length_penalty import no_penalty
from regard.special_tokens import BOS, EOS, PAD

transformers = pytest.importorskip("transformers")

POSITIONS = 32
STEPS = 12
SOURCE = as_batch([[4, 5, 2], [8, 7, 3, 12, 6, 2], [2], [6, 6, 10, 9, 2]])
TARGET_IN = as_batch([[1, 4, 11, 5, 3], [1, 7], [1, 9, 9, 4], [1]])


def linears(ours: nn.Linear, *theirs: nn.Linear) -> None:
    """One matrix of ours over as many of theirs as there are."""
    for mine, name in ((ours.weight, "weight"), (ours.bias, "bias")):
        for part, linear in zip(mine.chunk(len(theirs)), theirs, strict=True):
            getattr(linear, name).copy_(part)


def copy_attention(ours: Any, theirs: Any) -> None:
    linears(ours.query, theirs.q_proj)
    linears(ours.key_value, theirs.k_proj, theirs.v_proj)
    linears(ours.output, theirs.out_proj)


def copy_layer(ours: Any, theirs: Any) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    linears(ours.attention_norm, theirs.self_attn_layer_norm)
    linears(ours.ff[0], theirs.fc1)
    linears(ours.ff[2], theirs.fc2)
    linears(ours.ff_norm, theirs.final_layer_norm)
    if hasattr(theirs, "encoder_attn"):
        copy_attention(ours.source_attention, theirs.encoder_attn)
        linears(ours.source_norm, theirs.encoder_attn_layer_norm)


def marian() -> Any:
    config = transformers.MarianConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=LAYERS + 1,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN,
        activation_function="relu",
        dropout=0.0,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        max_position_embeddings=POSITIONS,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        forced_eos_token_id=None,
        decoder_start_token_id=BOS,
    )
    return transformers.MarianMTModel(config).double().eval()


@pytest.fixture(scope="module")
def models() -> tuple[Seq2Seq, Any]:
    """Ours, and Marian's with its weights."""
    ours: Any = tiny_transformer(joint=True).eval().requires_grad_(False)
    theirs = marian().requires_grad_(False)
    theirs.model.shared.weight.copy_(ours.encoder.embedding.table.weight)
    for stack, their_stack in ((ours.encoder, theirs.model.encoder), (ours.decoder, theirs.model.decoder)):
        # Marian's table has all sines before all cosines; the paper's, which is ours, has them by turns
        their_stack.embed_positions.weight.copy_(stack.embedding.positions.table[:POSITIONS])
        for layer, their_layer in zip(stack.layers, their_stack.layers, strict=True):
            copy_layer(layer, their_layer)
    return ours, theirs


def test_logits_under_teacher_forcing_are_marians(models: tuple[Seq2Seq, Any]) -> None:
    ours, theirs = models
    assert theirs.lm_head.weight.data_ptr() == theirs.model.encoder.embed_tokens.weight.data_ptr()
    assert not theirs.final_logits_bias.any()
    expected = theirs(input_ids=SOURCE, attention_mask=SOURCE.ne(PAD).long(), decoder_input_ids=TARGET_IN).logits
    real = TARGET_IN.ne(PAD)
    torch.testing.assert_close(ours(SOURCE, TARGET_IN)[real], expected[real], rtol=0, atol=1e-10)


def outputs(generated: Tensor) -> Iterator[tuple[int, ...]]:
    """Rows that begin with BOS, to their tokens before EOS."""
    for row in generated.tolist():
        tokens = row[1:]
        yield tuple(tokens[: tokens.index(EOS)] if EOS in tokens else tokens)


def test_greedy_says_what_marian_generates(models: tuple[Seq2Seq, Any]) -> None:
    ours, theirs = models
    generated = theirs.generate(
        input_ids=SOURCE,
        attention_mask=SOURCE.ne(PAD).long(),
        num_beams=1,
        do_sample=False,
        use_cache=True,
        max_new_tokens=STEPS,
        suppress_tokens=[PAD, BOS],  # as our searches do
    )
    hypotheses = greedy_search(ours.decoder, ours.encode(SOURCE), [STEPS] * len(SOURCE), penalty=no_penalty)
    expected = list(outputs(generated))
    assert [hypothesis.tokens for hypothesis in hypotheses] == expected
    assert len(set(expected)) == len(SOURCE), "the model says the same of two sources: too little is compared"
    assert {hypothesis.finished for hypothesis in hypotheses} == {True, False}
