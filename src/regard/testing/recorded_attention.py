"""Laws of the attention recorder: it changes no output, and it records the weights that the model attends with."""

from __future__ import annotations

import torch

from regard.nn.attention_recorder import AttentionRecorder, record_attention
from regard.special_tokens import PAD
from regard.testing.assertions import ATTENTION, TARGET, assert_close, assert_distribution, require
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS

HEADS = ("row", "head", "target position", "source position")


@law("the output shown next to attention maps is not the output without them")
def recording_changes_no_output(case: Case) -> None:
    """The logits are the same while attention is recorded, and nothing is recorded after that."""
    model = case.model()
    plain = model(SOURCES, TARGETS)
    with record_attention():
        recorded = model(SOURCES, TARGETS)
    assert_close(recorded, plain, "the logits with and without a recorder", TARGET)
    with record_attention() as recorder:
        pass
    model(SOURCES, TARGETS)
    require(recorder == AttentionRecorder(), "attention is recorded after the recorder's context")


@law("attention maps of layers and heads do not add up to the attention that the decoder returns")
def recorded_heads_average_to_the_attention(case: Case) -> None:
    """If layers record their heads, the mean over them is the attention that the decoder returns."""
    with record_attention() as recorder:
        output = case.model().features(SOURCES, TARGETS, with_attention=True)
    if not recorder.source_attention:  # a single layer with one head, or no attention
        return
    mean = torch.stack([layer.mean(1) for layer in recorder.source_attention]).mean(0)
    assert_close(mean, output.attention, "the mean of the recorded heads and the decoder's attention", ATTENTION)


@law("attention maps show weights on padding or on target tokens that come later")
def recorded_heads_are_distributions(case: Case) -> None:
    """Each recorded head sums to 1 over the positions that it may attend to, and is 0 elsewhere."""
    model = case.model()
    with record_attention() as encoder:
        memory = model.encode(SOURCES)
    with record_attention() as decoder:
        model.decoder(TARGETS, memory, with_attention=model.decoder.has_attention)
    is_real = SOURCES.ne(PAD)[:, None, None, :]
    for name, layers in (
        ("the encoder's self-attention", encoder.self_attention),
        ("source attention", decoder.source_attention),
    ):
        for number, layer in enumerate(layers):
            assert_distribution(layer, is_real.expand_as(layer), f"{name} in layer {number}", HEADS)
    for number, layer in enumerate(decoder.self_attention):
        visible = torch.ones_like(layer, dtype=torch.bool).tril()
        assert_distribution(layer, visible, f"the decoder's self-attention in layer {number}", HEADS)
    require(not encoder.source_attention, "the encoder records attention of a decoder")
