"""The probability that a model gives to a target that is known."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.special_tokens import PAD

CHUNK = 2**24  # logits held at a time: 64 MiB of float32


@torch.inference_mode()
def forced_scores(model: Seq2Seq, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
    """The log-probability (B,) of each target, its EOS included, in float32 or better.

    source (B, S); target_in (B, T) begins with BOS; target_out (B, T) is the same one to the left, ends in
    EOS, and is padded with PAD, which counts for nothing.
    """
    real = target_out.ne(PAD)
    features = model.features(source, target_in).features[real]  # (R, F), one row a token
    tokens = target_out[real]
    sentences = real.nonzero()[:, 0]
    rows = max(1, CHUNK // model.decoder.vocabulary_size)
    scores: list[Tensor] = []
    for some, wanted in zip(torch.split(features, rows), torch.split(tokens, rows), strict=True):
        logits = model.decoder.readout(some)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        scores.append(logits.gather(1, wanted[:, None]).squeeze(1) - logits.logsumexp(1))
    every = torch.cat(scores)
    return every.new_zeros(len(source)).index_add(0, sentences, every)
