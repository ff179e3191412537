"""Laws of the source: padding and the rest of the batch have no effect, and attention sums to 1 over real positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.special_tokens import PAD


def test_padding_has_no_effect(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    width = sources.shape[1]
    plain = model.features(sources, targets, with_attention=True)
    padded = model.features(nn.functional.pad(sources, (0, 3), value=PAD), targets, with_attention=True)
    torch.testing.assert_close(padded.features, plain.features)
    if not model.decoder.has_attention:
        return
    assert plain.attention is not None and padded.attention is not None
    torch.testing.assert_close(padded.attention[..., :width], plain.attention)
    assert padded.attention[..., width:].eq(0).all()


def test_a_row_does_not_depend_on_the_batch(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    together = model(sources, targets)
    for row, source in enumerate(sources):
        alone = model(source[source.ne(PAD)][None], targets[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


def test_every_source_token_has_an_effect(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    before = model(sources, targets)
    for position in range(sources.shape[1]):
        real = sources[:, position].ne(PAD)
        changed = sources.clone()
        changed[:, position] = torch.where(real, torch.where(sources[:, position].eq(5), 6, 5), PAD)
        difference = (model(changed, targets) - before).abs().flatten(1).amax(1)
        assert difference[real].gt(1e-6).all()
        assert difference[~real].eq(0).all()


def test_attention_is_a_distribution_over_real_positions(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    attention = model.features(sources, targets, with_attention=True).attention
    assert (attention is not None) == model.decoder.has_attention
    if attention is None:
        return
    assert attention.shape == (*targets.shape, sources.shape[1])
    assert attention.ge(0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones_like(attention[..., 0]))
    padding = sources.eq(PAD)[:, None].expand_as(attention)
    assert padding.any()
    assert attention[padding].eq(0).all()
