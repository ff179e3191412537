"""Laws of the source: padding and the rest of the batch have no effect, and attention goes to real positions."""

from __future__ import annotations

import torch
from torch import nn

from regard.special_tokens import PAD
from regard.testing.assertions import (
    ATTENTION,
    TARGET,
    assert_close,
    assert_distribution,
    require,
    widen_features,
)
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS


@law("a translation depends on the longest sentence of its batch: mask padding before softmax, mean, or recurrence")
def padding_has_no_effect(case: Case) -> None:
    """More padding after the sources changes neither features nor attention."""
    model, width = case.model(), SOURCES.shape[1]
    plain = model.features(SOURCES, TARGETS, with_attention=True)
    padded = model.features(nn.functional.pad(SOURCES, (0, 3), value=PAD), TARGETS, with_attention=True)
    expected = widen_features(plain.features, like=padded.features)
    assert_close(padded.features, expected, "the features with and without 3 more columns of padding", TARGET)
    if padded.attention is None or plain.attention is None:
        return
    names = "the attentions with and without 3 more columns of padding"
    assert_close(padded.attention[..., :width], plain.attention, names, ATTENTION)
    require(bool(padded.attention[..., width:].eq(0).all()), "some attention goes to columns of padding")


@law("a sentence gets another translation in another batch: results cannot be repeated")
def a_row_does_not_depend_on_its_batch(case: Case) -> None:
    """A sentence alone, without padding, has the logits that it has in a batch."""
    model = case.model()
    together = model(SOURCES, TARGETS)
    for row, source in enumerate(SOURCES):
        alone = model(source[source.ne(PAD)][None], TARGETS[row : row + 1])
        assert_close(alone[0], together[row], f"the logits of sentence {row} alone and in a batch", TARGET[1:])


@law("the model cannot translate what it does not read")
def every_source_token_has_an_effect(case: Case) -> None:
    """A change of any source token changes the logits of its row, and of no other row."""
    model = case.model()
    before = model(SOURCES, TARGETS)
    for position in range(SOURCES.shape[1]):
        is_real = SOURCES[:, position].ne(PAD)
        changed = SOURCES.clone()
        changed[:, position] = torch.where(is_real, torch.where(SOURCES[:, position].eq(5), 6, 5), PAD)
        difference = (model(changed, TARGETS) - before).abs().flatten(1).amax(1)  # (B,)
        for row, (change, real) in enumerate(zip(difference.tolist(), is_real.tolist(), strict=True)):
            where = f"the logits of row {row} change by {change:.3g} with source token {position}"
            require(change > 1e-6 if real else change == 0, f"{where}, {'its own' if real else 'of other rows'}")


@law("attention maps, alignments and coverage are wrong")
def attention_is_a_distribution(case: Case) -> None:
    """If the decoder has attention, its weights sum to 1 over the real positions of the source, and are 0 elsewhere."""
    model = case.model()
    attention = model.features(SOURCES, TARGETS, with_attention=True).attention
    has_attention = model.decoder.has_attention
    require(
        (attention is not None) == has_attention,
        f"has_attention is {has_attention}, and with_attention=True returns {'no' if attention is None else 'an'}"
        " attention",
    )
    if attention is None:
        return
    shape = (*TARGETS.shape, SOURCES.shape[1])
    require(attention.shape == shape, f"attention has shape {tuple(attention.shape)} instead of (B, T, S) = {shape}")
    is_real = SOURCES.ne(PAD)[:, None].expand_as(attention)
    assert_distribution(attention, is_real, "attention", ATTENTION)
