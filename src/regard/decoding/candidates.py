"""What all searches do alike at every step: check what they were asked, and rank the next tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.contract import Memory
from regard.errors import DecodingError
from regard.symbols import EOS


def checked_limits(max_lengths: Sequence[int] | Tensor, memory: Memory) -> Tensor:
    """The length limits as a tensor (B,). Raises DecodingError unless there is one >= 1 for each sentence."""
    limits = torch.as_tensor(max_lengths, dtype=torch.long, device=memory.mask.device)
    sentences = memory.mask.shape[0]
    if limits.shape != (sentences,):
        raise DecodingError(f"{limits.numel()} length limits for {sentences} sentences", fix="give one a sentence")
    if limits.lt(1).any():
        raise DecodingError(f"a length limit is {int(limits.min())}", fix="let every limit be 1 or more")
    return limits


def best_tokens(logits: Tensor, count: int, step: int) -> tuple[Tensor, Tensor]:
    """The most probable next tokens of each row of logits (N, V), best first: log-probabilities and ids (N, k).

    k is `count`, or as many tokens as there are. PAD and BOS keep their share of the probability but
    are never among them. Raises DecodingError, naming the step, where a row has no number for its best.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    producible = logits[:, EOS:]  # PAD and BOS are the ids before EOS
    values, ids = producible.topk(min(count, producible.shape[1]), dim=1)
    values = values - logits.logsumexp(1, keepdim=True)
    if not values[:, 0].isfinite().all():
        raise DecodingError(
            f"at step {step} the model's scores are not numbers",
            fix="look at the training log: the weights have probably diverged; take an earlier checkpoint",
        )
    return values, ids + EOS
