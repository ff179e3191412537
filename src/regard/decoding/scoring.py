"""The log-probabilities of given targets."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.special_tokens import PAD

CHUNK = 2**24  # logits computed at a time: 64 MiB of float32


@torch.inference_mode()
def score_tokens(model: Seq2Seq, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
    """Return the log-probability (R,) of each of the R real target tokens, row by row, in float32 or better.

    Args:
        source: (B, S).
        target_in: (B, T) the target after BOS.
        target_out: (B, T) the same target shifted left by one, with EOS at its end. PAD positions are ignored.
    """
    is_real = target_out.ne(PAD)
    features = model.features(source, target_in).features[is_real]  # (R, F), one row for each real token
    tokens = target_out[is_real]  # (R,)
    rows = max(1, CHUNK // model.decoder.vocabulary_size)
    chunks: list[Tensor] = []
    for feature_chunk, token_chunk in zip(torch.split(features, rows), torch.split(tokens, rows), strict=True):
        logits = model.decoder.readout(feature_chunk)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        chunks.append(logits.gather(1, token_chunk[:, None]).squeeze(1) - logits.logsumexp(1))
    return torch.cat(chunks)


@torch.inference_mode()
def score_targets(model: Seq2Seq, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
    """Return the log-probability (B,) of each target, EOS included. The arguments are those of `score_tokens`."""
    sentences = target_out.ne(PAD).nonzero()[:, 0]  # (R,)
    scores = score_tokens(model, source, target_in, target_out)
    return scores.new_zeros(len(source)).index_add(0, sentences, scores)
