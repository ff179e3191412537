"""The loss: cross-entropy with label smoothing, computed so that (B T, V) is never held whole."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.contract import Seq2Seq
from regard.nn.kernels import native
from regard.nn.kernels.autograd import cross_entropy
from regard.nn.packing import Packing
from regard.special_tokens import PAD

ROWS = 2048  # target positions whose logits exist at one time; with fewer, adding up the gradients takes longer


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


class _ReadInChunks(torch.autograd.Function):
    """Features to the summed loss; the gradients of features and parameters are worked out on the way forward."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: Callable[[Tensor], Tensor],
        smoothing: float,
        targets: Tensor,
        features: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        total = torch.zeros((), device=features.device)
        change = torch.empty_like(features)
        sums: list[Tensor | None] = [None] * len(parameters)
        parts = (torch.split(each, ROWS) for each in (features.detach(), targets, change))
        for rows, goal, changed in zip(*parts, strict=True):
            loss, (of_rows, *of_parameters) = _gradients(readout, rows, goal, smoothing, parameters)
            total = total + loss
            changed.copy_(of_rows)
            sums = [new if old is None else old.add_(new) for old, new in zip(sums, of_parameters, strict=True)]
        ctx.save_for_backward(change, *sums)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if sum_ is None else sum_.mul_(gradient) for sum_ in ctx.saved_tensors)


def chunked_cross_entropy(
    readout: Callable[[Tensor], Tensor],
    parameters: Iterable[Tensor],
    features: Tensor,
    targets: Tensor,
    *,
    smoothing: float,
) -> Tensor:
    """Features (R, F) of real target positions, and the R tokens behind them, to their summed loss, ().

    parameters: those that `readout` may use, and others. The output layer goes ROWS positions at a time, forward and
    backward at once, so that logits and their gradients never exist for a whole batch; what it found for each
    parameter is handed on in the backward of the loss. Without gradients, say under torch.no_grad, this is waste.
    """
    learnt = [parameter for parameter in parameters if parameter.requires_grad]
    loss: Tensor = _ReadInChunks.apply(readout, smoothing, targets, features, *learnt)  # type: ignore[no-untyped-call]
    return loss


def _gradients(
    readout: Callable[[Tensor], Tensor], rows: Tensor, targets: Tensor, smoothing: float, parameters: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The summed loss of rows (R, F), and its gradients: of the rows and of each parameter, None where it has none."""
    with torch.enable_grad():
        rows = rows.requires_grad_()
        logits = readout(rows).float()
        if native.supports(logits):
            gradient = logits.detach()  # the same numbers: no layer needs what it gave for its own gradient
            total = torch.tensor(cross_entropy(gradient, targets, smoothing), dtype=torch.float64)
            return total, torch.autograd.grad(logits, (rows, *parameters), gradient, allow_unused=True)
        loss, _ = smoothed_cross_entropy(logits, targets, smoothing)
        return loss.detach(), torch.autograd.grad(loss, (rows, *parameters), allow_unused=True)


class ModelWithLoss(nn.Module):
    """A model with its loss: all that a process computes of a batch, in one forward and one backward."""

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(self, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
        """Source (B, S), target_in and target_out (B, T) of a batch to the summed loss of its real targets, ()."""
        real, decoder = Packing.of(target_out.ne(PAD)), self.model.decoder
        features = real.pack(self.model.features(source, target_in).features).squeeze(0)  # (R, F)
        targets = target_out.flatten()[real.indices]
        return chunked_cross_entropy(decoder.readout, decoder.parameters(), features, targets, smoothing=self.smoothing)


@torch.no_grad()
def negative_log_likelihood(readout: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> float:
    """Features (R, F) and targets (R,) to the summed negative log-probability, without smoothing; in nats."""
    total = 0.0
    for rows, goal in zip(torch.split(features, ROWS), torch.split(targets, ROWS), strict=True):
        total += float(torch.nn.functional.cross_entropy(readout(rows), goal, reduction="sum"))
    return total
