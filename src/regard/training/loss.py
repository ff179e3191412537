"""The loss: cross-entropy with label smoothing, computed so that (B T, V) is never held whole."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.nn import native
from regard.nn.native_training import cross_entropy

ROWS = 512  # target positions whose logits exist at one time


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Sums over rows; its backward turns the logits into their gradient in place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        normaliser = logits.logsumexp(-1)
        likelihood = normaliser - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        loss = (1 - smoothing) * likelihood.sum()
        if smoothing:
            loss = loss + smoothing * (normaliser - logits.mean(-1)).sum()
        ctx.save_for_backward(logits, targets, normaliser)
        ctx.smoothing = smoothing
        ctx.mark_non_differentiable(likelihood)
        return loss, likelihood

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, normaliser = ctx.saved_tensors
        change = logits.sub_(normaliser.unsqueeze(-1)).exp_()  # the softmax
        if ctx.smoothing:
            change.sub_(ctx.smoothing / change.size(-1))
        change.scatter_add_(-1, targets.unsqueeze(-1), change.new_full((len(targets), 1), ctx.smoothing - 1))
        return change.mul_(gradient), None, None


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Logits (R, V) and targets (R,) to the summed loss, and each target's negative log-probability (R,).

    The loss is (1 - smoothing) times the negative log-probability of the target plus smoothing
    times its mean over the vocabulary (Szegedy et al. 2015; Vaswani et al. 2017, section 5.4). Its
    backward overwrites the logits, which therefore must be nobody else's.
    """
    loss, likelihood = _SmoothedCrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-untyped-call]
    return loss, likelihood


def backward_in_chunks(
    readout: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor, *, smoothing: float, scale: float
) -> float:
    """Features (R, F) of real target positions: backward of scale x summed loss, and the summed loss itself.

    The output layer goes ROWS positions at a time, forward and backward at once, so that logits and
    their gradients never exist for a whole batch. The rest of the model gets its gradient through
    features in one backward at the end.
    """
    cut = features.detach().requires_grad_()
    total: Tensor | float = 0.0
    for rows, goal in zip(torch.split(cut, ROWS), torch.split(targets, ROWS), strict=True):
        total = total + _backward(readout(rows), goal, smoothing, scale)
    if features.requires_grad:  # not where all but the output layer is frozen
        features.backward(cut.grad)
    return float(total)


def _backward(logits: Tensor, targets: Tensor, smoothing: float, scale: float) -> Tensor | float:
    """Backward of scale x summed loss from logits (R, V), which are used up, and the summed loss."""
    if native.knows(logits):
        gradient = logits.detach()  # the same numbers: no layer needs what it gave for its own gradient
        total = cross_entropy(gradient, targets, smoothing, scale)
        torch.autograd.backward(logits, gradient)
        return total
    loss, _ = smoothed_cross_entropy(logits, targets, smoothing)
    (loss * scale).backward()
    return loss.detach()


@torch.no_grad()
def negative_log_likelihood(readout: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> float:
    """Features (R, F) and targets (R,) to the summed negative log-probability, without smoothing; in nats."""
    total = 0.0
    for rows, goal in zip(torch.split(features, ROWS), torch.split(targets, ROWS), strict=True):
        total += float(torch.nn.functional.cross_entropy(readout(rows), goal, reduction="sum"))
    return total
