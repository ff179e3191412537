"""Weights that are judged and kept in the place of the latest ones: a mean over the last checkpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from regard.training.parallel import parted, whole

Weights = Mapping[str, Tensor]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's parameters by name, whole; all processes have to ask for it."""
    return {name: whole(parameter.detach()).clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Copy weights into a model's parameters."""
    for name, parameter in model.named_parameters():
        parameter.copy_(parted(weights[name], parameter))


def mean_of(sets: Iterable[Weights]) -> dict[str, Tensor]:
    """The mean of several checkpoints' weights (Vaswani et al. 2017, section 6.1)."""
    all_sets = list(sets)
    if len(all_sets) == 1:
        return dict(all_sets[0])
    return {name: torch.stack([weights[name] for weights in all_sets]).mean(0) for name in all_sets[0]}


class Window:
    """The weights of the last few checkpoints."""

    def __init__(self, size: int) -> None:
        self._sets: deque[Weights] = deque(maxlen=size)

    def add(self, weights: Weights) -> None:
        """A checkpoint's."""
        self._sets.append(weights)

    def mean(self, newest: Weights | None = None) -> dict[str, Tensor]:
        """Over the window, as if `newest` were in it too."""
        sets = deque(self._sets, maxlen=self._sets.maxlen)
        if newest is not None:
            sets.append(newest)
        return mean_of(sets)

    def tensors(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, int | bool]]:
        """What it holds besides `weights`, and how many sets that is and whether `weights` is the newest of it."""
        earlier = [held for held in self._sets if held is not weights]
        named = {f"{number}/{name}": tensor for number, held in enumerate(earlier) for name, tensor in held.items()}
        return named, {"earlier_in_window": len(earlier), "newest_in_window": len(earlier) < len(self._sets)}

    def load(self, tensors: Weights, values: Mapping[str, int | bool], weights: Weights) -> None:
        """What tensors() gave, back, with the weights that it was given."""
        self._sets.clear()
        for number in range(values["earlier_in_window"]):
            self._sets.append(under(f"{number}/", tensors))
        if values["newest_in_window"]:
            self._sets.append(weights)


def under(prefix: str, tensors: Weights) -> dict[str, Tensor]:
    """Those whose names begin so, without that."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
