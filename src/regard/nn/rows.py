"""Weights of a model for one of the same sizes but with more tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from regard.nn.convolution import WeightNormLinear
from regard.special_tokens import SPECIAL


@torch.no_grad()
def copy_with_new_rows(old: nn.Module, new: nn.Module, parts: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Copy old's parameters into new, whose vocabularies are larger.

    A table, an output layer's matrix and its bias have a row a token: old rows stay as they are, and a new one is the
    mean of the rows of the tokens that it takes the place of (Gee et al. 2022), or of all ordinary tokens where it was
    unknown (Hewitt 2021). parts: those tokens for each new one, by the first name of a parameter's path.
    """
    given = dict(old.named_parameters())
    for name, tensor in new.named_parameters():
        rows = given[name]
        if rows.shape == tensor.shape:
            tensor.copy_(rows)
        else:
            tensor.copy_(torch.cat([rows, _means(rows, parts[name.partition(".")[0]])]))
    for (name, before), after in zip(old.named_modules(), new.modules(), strict=True):
        if isinstance(before, WeightNormLinear) and isinstance(after, WeightNormLinear):
            known = len(before.direction)
            if known < len(after.direction):  # the mean of rows of W, of which direction and magnitude are made
                means = _means(before.weight(), parts[name.partition(".")[0]])
                after.direction[known:] = means
                after.magnitude[known:] = means.norm(dim=1)


def _means(rows: Tensor, parts: Sequence[Sequence[int]]) -> Tensor:
    """The mean of some rows (V, ...) for each of the new ones (M, ...)."""
    ordinary = rows[len(SPECIAL) :].mean(0)
    return torch.stack([rows[list(ids)].mean(0) if ids else ordinary for ids in parts])
