"""Cross-entropy with label smoothing, computed in chunks: logits for all B x T positions never exist at once."""

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

CHUNK_ROWS = 2048  # target positions per chunk; with fewer, adding up the gradients takes longer


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Summed over rows. The backward turns the logits into their gradient in place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        log_normalizer = logits.logsumexp(-1)  # (R,)
        nll = log_normalizer - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # (R,)
        loss = (1 - smoothing) * nll.sum()
        if smoothing:
            loss = loss + smoothing * (log_normalizer - logits.mean(-1)).sum()
        ctx.save_for_backward(logits, targets, log_normalizer)
        ctx.smoothing = smoothing
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, log_normalizer = ctx.saved_tensors
        logits_grad = logits.sub_(log_normalizer.unsqueeze(-1)).exp_()  # softmax
        if ctx.smoothing:
            logits_grad.sub_(ctx.smoothing / logits_grad.size(-1))
        at_targets = logits_grad.new_full((len(targets), 1), ctx.smoothing - 1)
        logits_grad.scatter_add_(-1, targets.unsqueeze(-1), at_targets)
        return logits_grad.mul_(gradient), None, None


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the summed loss, (), and the negative log-probability of each target, (R,).

    The loss is (1 - smoothing) times the negative log-probability of the target, plus smoothing times the mean
    negative log-probability over the vocabulary (Szegedy et al. 2015; Vaswani et al. 2017, section 5.4).

    Args:
        logits: Logits (R, V); backward overwrites them.
        targets: Target tokens (R,).
        smoothing: The label smoothing, in [0, 1).
    """
    loss, nll = _SmoothedCrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-untyped-call]
    return loss, nll


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed over rows. The forward computes the gradients of features and parameters as well, chunk by chunk."""

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
        features_grad = torch.empty_like(features)
        parameter_grads: list[Tensor | None] = [None] * len(parameters)
        chunks = (torch.split(tensor, CHUNK_ROWS) for tensor in (features.detach(), targets, features_grad))
        for rows, chunk_targets, rows_grad in zip(*chunks, strict=True):
            loss, (grad, *grads) = _loss_and_gradients(readout, rows, chunk_targets, smoothing, parameters)
            total = total + loss
            rows_grad.copy_(grad)
            parameter_grads = [
                new if old is None else old.add_(new) for old, new in zip(parameter_grads, grads, strict=True)
            ]
        ctx.save_for_backward(features_grad, *parameter_grads)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if grad is None else grad.mul_(gradient) for grad in ctx.saved_tensors)


def chunked_cross_entropy(
    readout: Callable[[Tensor], Tensor],
    parameters: Iterable[Tensor],
    features: Tensor,
    targets: Tensor,
    *,
    smoothing: float,
) -> Tensor:
    """Return the summed loss of the features of R target positions, ().

    The output layer runs forward and backward over CHUNK_ROWS positions at a time, so that logits and their gradients
    never exist for a whole batch. The backward of the loss only scales the gradients computed here; under
    torch.no_grad, computing them is a waste.

    Args:
        readout: The output layer: features (r, F) to logits (r, V).
        parameters: The parameters that `readout` may use; more than these do no harm.
        features: Features (R, F), without padding.
        targets: Target tokens (R,).
        smoothing: The label smoothing, in [0, 1).
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    loss: Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        readout, smoothing, targets, features, *trained
    )
    return loss


def _loss_and_gradients(
    readout: Callable[[Tensor], Tensor], rows: Tensor, targets: Tensor, smoothing: float, parameters: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the summed loss of rows (r, F), and its gradients by the rows and by each parameter, None if unused."""
    with torch.enable_grad():
        rows = rows.requires_grad_()
        logits = readout(rows)  # (r, V)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        if native.supports(logits):
            gradient = logits.detach()  # overwrites the logits: no layer needs its own output for its gradient
            total = torch.tensor(cross_entropy(gradient, targets, smoothing), dtype=torch.float64)
            return total, torch.autograd.grad(logits, (rows, *parameters), gradient, allow_unused=True)
        loss, _ = smoothed_cross_entropy(logits, targets, smoothing)
        return loss.detach(), torch.autograd.grad(loss, (rows, *parameters), allow_unused=True)


class ModelWithLoss(nn.Module):
    """A model with its loss: a single module to wrap in DDP or FSDP."""

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(
        self, source: Tensor, target_in: Tensor, target_out: Tensor, target_tokens: int | None = None
    ) -> Tensor:
        """Return the summed loss over the target tokens of a batch, ().

        Args:
            source: Source tokens (B, S).
            target_in: Decoder input (B, T), which begins with BOS.
            target_out: Expected tokens (B, T); padding does not count.
            target_tokens: The number of tokens in `target_out` without padding, if it is known; this spares a GPU a
                synchronization.
        """
        decoder = self.model.decoder
        features = self.model.features(source, target_in).features  # (B, T, F)
        packing = Packing.of(target_out.ne(PAD), target_tokens)
        features = packing.pack(features).squeeze(0)  # (R, F)
        targets = target_out.flatten()[packing.indices]  # (R,)
        return chunked_cross_entropy(decoder.readout, decoder.parameters(), features, targets, smoothing=self.smoothing)


@torch.no_grad()
def negative_log_likelihood(readout: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> float:
    """Return the summed negative log-probability of targets (R,) given their features (R, F), in nats."""
    total = 0.0
    for rows, chunk_targets in zip(torch.split(features, CHUNK_ROWS), torch.split(targets, CHUNK_ROWS), strict=True):
        total += float(torch.nn.functional.cross_entropy(readout(rows), chunk_targets, reduction="sum"))
    return total
