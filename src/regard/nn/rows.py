"""Copy the weights of a model into one of the same sizes with a larger vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from regard.nn.convolution import WeightNormLinear
from regard.special_tokens import SPECIAL


@torch.no_grad()
def copy_with_new_rows(old: nn.Module, new: nn.Module, parts: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Copy the parameters of `old` into `new`, whose vocabularies are larger.

    An embedding, an output layer's matrix and its bias have a row per token. Old rows are copied. The row of a new
    token is the mean of the rows of the tokens that it replaces (Gee et al. 2022), or if there are none, of all
    ordinary tokens (Hewitt 2021).

    Args:
        old: The model to copy from.
        new: The model to copy to.
        parts: The replaced tokens of each new token, by the first name in a parameter's path (encoder or decoder).
    """
    old_parameters = dict(old.named_parameters())
    for name, parameter in new.named_parameters():
        rows = old_parameters[name]
        if rows.shape == parameter.shape:
            parameter.copy_(rows)
        else:
            parameter.copy_(torch.cat([rows, _mean_rows(rows, parts[name.partition(".")[0]])]))
    for (name, old_module), new_module in zip(old.named_modules(), new.modules(), strict=True):
        if isinstance(old_module, WeightNormLinear) and isinstance(new_module, WeightNormLinear):
            old_size = len(old_module.direction)
            if old_size < len(new_module.direction):  # the means are of rows of W, not of direction and magnitude
                means = _mean_rows(old_module.weight(), parts[name.partition(".")[0]])
                new_module.direction[old_size:] = means
                new_module.magnitude[old_size:] = means.norm(dim=1)


def _mean_rows(rows: Tensor, parts: Sequence[Sequence[int]]) -> Tensor:
    """Return the mean (M, ...) of the rows (V, ...) that each of M new tokens replaces."""
    ordinary = rows[len(SPECIAL) :].mean(0)
    return torch.stack([rows[list(ids)].mean(0) if ids else ordinary for ids in parts])
