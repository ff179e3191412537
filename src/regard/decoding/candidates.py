"""What all searches do alike at every step: check what they were asked, and rank the next tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.contract import Memory
from regard.decoding.logits_processors import Guide, Written
from regard.errors import DecodingError
from regard.nn.kernels import native
from regard.special_tokens import EOS

DROP_SHARE = 8  # the finished are dropped, which moves all that is kept, once they are an eighth of a batch
BLOCK = 64  # logits of which one maximum is taken


def checked_limits(max_lengths: Sequence[int] | Tensor, memory: Memory) -> Tensor:
    """The length limits as a tensor (B,). Raises DecodingError unless there is one >= 1 for each sentence."""
    limits = torch.as_tensor(max_lengths, dtype=torch.long, device=memory.mask.device)
    sentences = memory.mask.shape[0]
    if limits.shape != (sentences,):
        raise DecodingError(f"{limits.numel()} length limits for {sentences} sentences", fix="give one a sentence")
    if limits.lt(1).any():
        raise DecodingError(f"a length limit is {int(limits.min())}", fix="let every limit be 1 or more")
    return limits


def kept_sentences(over: Tensor) -> Tensor | None:
    """Which sentences (b,) to go on with; None, all of them, while too few are over for a drop to pay."""
    gone = int(over.sum())
    if gone == 0 or gone * DROP_SHARE < len(over):
        return None
    return over.logical_not().nonzero().squeeze(1)


def best_tokens(logits: Tensor, count: int, step: int) -> tuple[Tensor, Tensor]:
    """The most probable next tokens of each row of logits (N, V), best first: log-probabilities and ids (N, k).

    k is `count`, or as many tokens as there are. PAD and BOS keep their share of the probability but
    are never among them. The logits are used up. Raises DecodingError, naming the step, where a row has no number
    for its best.
    """
    count = min(count, logits.shape[1] - EOS)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    values, ids = (
        native.best_tokens(logits, EOS, count) if native.supports_inference(logits) else _best_tokens(logits, count)
    )
    if not math.isfinite(values[:, 0].sum()):  # which it is if all are
        raise _not_numbers(step)
    return values, ids


def _best_tokens(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    never = logits[:, :EOS].logsumexp(1, keepdim=True)  # PAD and BOS are the ids before EOS
    logits[:, :EOS] = -math.inf
    values, ids = largest(logits, count)
    best = values[:, :1].clone()
    rest = logits.sub_(best).exp_().sum(1, keepdim=True).log_().add_(best)
    return values.sub_(torch.logaddexp(rest, never)), ids


def log_probabilities(logits: Tensor, step: int) -> Tensor:
    """Those of the next tokens, (N, V) as the logits, in float32 or better; minus infinity for PAD and BOS.

    These two keep their share of the probability all the same. Raises DecodingError, naming the step, where a row
    has no number for its best.
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
    scores[:, :EOS] = -math.inf
    if not scores.amax(1).isfinite().all():
        raise _not_numbers(step)
    return scores


def guided_tokens(logits: Tensor, count: int, step: int, written: Written, guide: Guide) -> tuple[Tensor, Tensor]:
    """As best_tokens, by what a guide makes of the log-probabilities; what it wants comes behind them: (N, k + wanted).

    A row may have no token at all: minus infinities. Raises DecodingError where a score is not a number.
    """
    scores = guide(log_probabilities(logits, step), written)
    values, ids = largest(scores, min(count, scores.shape[1] - EOS))
    wanted = guide.wanted(written)
    if wanted is None:
        return values, ids
    repeated = wanted.lt(0) | (wanted[:, :, None] == ids[:, None]).any(2)
    repeated |= (wanted[:, :, None] == wanted[:, None]).tril(-1).any(2)
    extra = scores.gather(1, wanted.clamp_min(0)).masked_fill(repeated, -math.inf)
    return torch.cat((values, extra), 1), torch.cat((ids, wanted.clamp_min(0)), 1)


def _not_numbers(step: int) -> DecodingError:
    return DecodingError(
        f"at step {step} the model's scores are not numbers",
        fix="look at the training log: the weights have probably diverged; take an earlier checkpoint",
    )


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row (N, V), largest first, and where they are: both (N, count).

    In a long row they are looked for in those blocks alone that have the largest maxima, half the work.
    """
    width = values.shape[1]
    blocks = width // BLOCK
    if blocks < 4 * count:
        top = values.topk(count, dim=1)
        return top.values, top.indices
    body = values[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK))
    chosen = body.amax(2).topk(count, dim=1).indices  # (N, count)
    inside = body.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    pool = torch.cat((inside, values[:, blocks * BLOCK :]), 1)
    found, where = pool.topk(count, dim=1)
    block = chosen.gather(1, (where // BLOCK).clamp_max(count - 1)) * BLOCK + where % BLOCK
    behind = where - count * BLOCK + blocks * BLOCK
    return found, torch.where(where < count * BLOCK, block, behind)
