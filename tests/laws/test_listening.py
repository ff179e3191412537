"""Laws of listening: it changes nothing, and what is heard is what the model attends by."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.nn.attention_recorder import AttentionRecorder, record_attention
from regard.special_tokens import PAD


def test_listening_changes_nothing(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    plain = model(sources, targets)
    with record_attention():
        heard = model(sources, targets)
    torch.testing.assert_close(heard, plain)


def test_heads_of_all_layers_make_up_what_the_model_says_it_attends_to(
    model: Seq2Seq, sources: Tensor, targets: Tensor
) -> None:
    with record_attention() as heard:
        output = model.features(sources, targets, with_attention=True)
    if not heard.source_attention:  # of one layer and one head, or of none
        return
    assert output.attention is not None
    every = torch.stack([layer.mean(1) for layer in heard.source_attention]).mean(0)
    torch.testing.assert_close(every, output.attention)


def test_all_that_is_heard_is_a_distribution_over_what_may_be_seen(
    model: Seq2Seq, sources: Tensor, targets: Tensor
) -> None:
    with record_attention() as encoder:
        memory = model.encode(sources)
    with record_attention() as decoder:
        model.decoder(targets, memory, with_attention=model.decoder.has_attention)
    real = sources.ne(PAD)
    for layer in encoder.self_attention:
        _is_distribution(layer, real[:, None, None, :].expand_as(layer))
    for layer in decoder.source_attention:
        _is_distribution(layer, real[:, None, None, :].expand_as(layer))
    for layer in decoder.self_attention:
        _is_distribution(layer, torch.ones_like(layer, dtype=torch.bool).tril())
    assert not encoder.source_attention


def _is_distribution(weights: Tensor, seen: Tensor) -> None:
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert weights[~seen].eq(0).all()


def test_nobody_hears_afterwards(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    with record_attention() as heard:
        pass
    model(sources, targets)
    assert heard == AttentionRecorder()
