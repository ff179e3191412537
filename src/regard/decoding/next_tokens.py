"""What all searches share in a step: check length limits, rank next tokens, drop finished sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.contract import Memory
from regard.decoding.logits_processors import LogitsProcessor, PrefixTokens
from regard.errors import DecodingError
from regard.nn.kernels import native
from regard.special_tokens import EOS

DROP_SHARE = 8  # shrink the batch, which copies all state, once 1 / DROP_SHARE of its sentences are finished
BLOCK = 64  # logits in a block of `blockwise_topk`


def check_length_limits(max_lengths: Sequence[int] | Tensor, memory: Memory) -> Tensor:
    """Return the length limits as a tensor (B,). Raises DecodingError unless each sentence has a limit >= 1."""
    limits = torch.as_tensor(max_lengths, dtype=torch.long, device=memory.mask.device)
    sentences = memory.mask.shape[0]
    if limits.shape != (sentences,):
        raise DecodingError(
            f"there are {limits.numel()} length limits for {sentences} sentences",
            fix="give one limit for each sentence",
        )
    if limits.lt(1).any():
        raise DecodingError(f"a length limit is {int(limits.min())}", fix="make every limit 1 or more")
    return limits


def select_unfinished(is_done: Tensor) -> Tensor | None:
    """Return the indices of unfinished sentences, given is_done (b,); None while too few are done to drop them."""
    count = int(is_done.sum())
    if count == 0 or count * DROP_SHARE < len(is_done):
        return None
    return is_done.logical_not().nonzero().squeeze(1)


def best_tokens(logits: Tensor, count: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities and ids, both (N, k), of the most probable next tokens, best first.

    PAD and BOS are never returned, but they keep their share of the probability.

    Args:
        logits: (N, V). They are overwritten: float32 and float64 logits serve as the buffer of the computation. A
            decoder's `step` hands its logits over for this purpose.
        count: The number of tokens; k is this or all that there are, if fewer.
        step: The number of the step, for the error message.

    Raises:
        DecodingError: If the best log-probability of a row is not finite.
    """
    count = min(count, logits.shape[1] - EOS)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    values, ids = (
        native.best_tokens(logits, EOS, count) if native.supports_inference(logits) else _best_tokens(logits, count)
    )
    if not math.isfinite(values[:, 0].sum()):  # finite if and only if every row is
        raise not_finite(step)
    return values, ids


def _best_tokens(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    excluded = logits[:, :EOS].logsumexp(1, keepdim=True)  # (N, 1) PAD and BOS: the ids below EOS
    logits[:, :EOS] = -math.inf
    values, ids = blockwise_topk(logits, count)
    best = values[:, :1].clone()
    rest = logits.sub_(best).exp_().sum(1, keepdim=True).log_().add_(best)  # (N, 1) logsumexp without PAD and BOS
    return values.sub_(torch.logaddexp(rest, excluded)), ids


def log_probabilities(logits: Tensor, step: int) -> Tensor:
    """Return the log-probabilities (N, V) of the next tokens, in float32 or better; minus infinity for PAD and BOS.

    PAD and BOS keep their share of the probability. Raises DecodingError, which names the step, if the best
    log-probability of a row is not finite.
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
    scores[:, :EOS] = -math.inf
    if not scores[:, EOS].isfinite().all() and not scores.amax(1).isfinite().all():  # one finite score is enough
        raise not_finite(step)
    return scores


def best_processed_tokens(
    logits: Tensor, count: int, step: int, prefixes: PrefixTokens, processor: LogitsProcessor
) -> tuple[Tensor, Tensor]:
    """Return what `best_tokens` does after the processor, followed by its forced tokens: (N, k + forced).

    A row may have no possible token: all its values are then minus infinity. Raises DecodingError as `best_tokens`.
    """
    scores = processor(log_probabilities(logits, step), prefixes)
    values, ids = blockwise_topk(scores, min(count, scores.shape[1] - EOS))
    forced = processor.forced_tokens(prefixes)
    if forced is None:
        return values, ids
    is_repeated = forced.lt(0) | (forced[:, :, None] == ids[:, None]).any(2)
    is_repeated |= (forced[:, :, None] == forced[:, None]).tril(-1).any(2)
    forced_values = scores.gather(1, forced.clamp_min(0)).masked_fill(is_repeated, -math.inf)
    return torch.cat((values, forced_values), 1), torch.cat((ids, forced.clamp_min(0)), 1)


def not_finite(step: int) -> DecodingError:
    """Return the error about scores that are not finite."""
    return DecodingError(
        f"the model's scores at step {step} are not finite",
        fix="check the training log: the weights have probably diverged; use an earlier checkpoint",
    )


def blockwise_topk(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of each row (N, V), largest first, and their indices: both (N, count).

    A long row is divided into blocks. The largest values can only be in the `count` blocks with the largest maxima,
    so only those are searched, which halves the time.
    """
    width = values.shape[1]
    blocks = width // BLOCK
    if blocks < 4 * count:
        top = values.topk(count, dim=1)
        return top.values, top.indices
    body = values[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK))  # (N, blocks, BLOCK)
    chosen = body.amax(2).topk(count, dim=1).indices  # (N, count)
    inside = body.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)  # (N, count * BLOCK)
    pool = torch.cat((inside, values[:, blocks * BLOCK :]), 1)
    largest, position = pool.topk(count, dim=1)
    in_block = chosen.gather(1, (position // BLOCK).clamp_max(count - 1)) * BLOCK + position % BLOCK
    in_tail = position - count * BLOCK + blocks * BLOCK
    return largest, torch.where(position < count * BLOCK, in_block, in_tail)
