"""Laws of the attention recorder: it changes no output, and it records the weights that the model attends with."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.nn.attention_recorder import AttentionRecorder, record_attention
from regard.special_tokens import PAD


def test_recording_changes_no_output(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    plain = model(sources, targets)
    with record_attention():
        recorded = model(sources, targets)
    torch.testing.assert_close(recorded, plain)


def test_the_mean_over_layers_and_heads_is_the_attention_of_the_model(
    model: Seq2Seq, sources: Tensor, targets: Tensor
) -> None:
    with record_attention() as recorder:
        output = model.features(sources, targets, with_attention=True)
    if not recorder.source_attention:  # a single layer with one head, or no attention
        return
    assert output.attention is not None
    mean = torch.stack([layer.mean(1) for layer in recorder.source_attention]).mean(0)
    torch.testing.assert_close(mean, output.attention)


def test_recorded_weights_are_distributions_over_visible_positions(
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


def _is_distribution(weights: Tensor, visible: Tensor) -> None:
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert weights[~visible].eq(0).all()


def test_nothing_is_recorded_after_the_context(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    with record_attention() as recorder:
        pass
    model(sources, targets)
    assert recorder == AttentionRecorder()
