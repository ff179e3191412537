"""Weights that are judged and kept in the place of the latest ones: a mean over checkpoints, or over all steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from regard.config.schema import TrainConfig
from regard.training.distributed import full_tensor, shard_like

Weights = Mapping[str, Tensor]


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's parameters by name, whole; all processes have to ask for it."""
    return {name: full_tensor(parameter.detach()).clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Copy weights into a model's parameters; those that are not among them stay."""
    for name, parameter in model.named_parameters():
        if name in weights:
            parameter.copy_(shard_like(weights[name], parameter))


class Average(Protocol):
    """What is made of a model's weights as they change; of those that are trained, for a mean may round the others."""

    def after_step(self) -> None:
        """The model has changed."""

    def add(self, weights: Weights) -> None:
        """A checkpoint's, which is now judged."""

    def mean(self, newest: Weights | None = None) -> Weights:
        """What to judge and keep, as if `newest` had been added too."""
        ...

    def tensors(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What it has to remember besides `weights`, the model's own, in tensors and in JSON values."""
        ...

    def load(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """What tensors() gave, back, with the weights that it was given."""


def make_average(model: nn.Module, config: TrainConfig) -> Average:
    """The one that a recipe asks for."""
    if config.average_decay:
        return ExponentialMovingAverage(model, config.average_decay)
    return CheckpointAverage(model, config.average_checkpoints)


def average_weights(sets: Iterable[Weights]) -> dict[str, Tensor]:
    """The mean of several checkpoints' weights (Vaswani et al. 2017, section 6.1)."""
    all_sets = list(sets)
    if len(all_sets) == 1:
        return dict(all_sets[0])
    return {name: torch.stack([weights[name] for weights in all_sets]).mean(0) for name in all_sets[0]}


class CheckpointAverage:
    """The weights of the last few checkpoints."""

    def __init__(self, model: nn.Module, size: int) -> None:
        self._sets: deque[Weights] = deque(maxlen=size)
        self._trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    def after_step(self) -> None:
        """Of no concern."""

    def add(self, weights: Weights) -> None:
        """A checkpoint's."""
        self._sets.append(weights)

    def mean(self, newest: Weights | None = None) -> Weights:
        """Over the window, as if `newest` were in it too."""
        sets = deque(self._sets, maxlen=self._sets.maxlen)
        if newest is not None:
            sets.append(newest)
        return average_weights([{name: held[name] for name in self._trained} for held in sets])

    def tensors(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What it holds besides `weights`, and how many sets that is and whether `weights` is the newest of it."""
        earlier = [held for held in self._sets if held is not weights]
        named = {f"{number}/{name}": tensor for number, held in enumerate(earlier) for name, tensor in held.items()}
        return named, {"earlier_in_window": len(earlier), "newest_in_window": len(earlier) < len(self._sets)}

    def load(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """What tensors() gave, back, with the weights that it was given."""
        self._sets.clear()
        for number in range(values["earlier_in_window"]):
            self._sets.append(select_prefix(f"{number}/", tensors))
        if values["newest_in_window"]:
            self._sets.append(weights)


class ExponentialMovingAverage:
    """A mean over the weights after every step, each counting d times as much as those after the next.

    d is `decay`, or (1 + t) / (10 + t) after t steps while that is less, as TensorFlow's ExponentialMovingAverage has
    it: early on, when weights move fast, the mean is over fewer of them.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._decay = decay
        self._names, self._weights = list(trained), list(trained.values())
        self._means: list[Tensor] = []
        self._steps = 0

    @torch.no_grad()
    def after_step(self) -> None:
        """Take the model's weights in."""
        self._steps += 1
        weights = [weight.float() for weight in self._weights]
        if not self._means:
            self._means = [weight.clone() for weight in weights]
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._means, weights, 1 - decay)

    def add(self, weights: Weights) -> None:
        """Of no concern: they came after a step."""

    def mean(self, newest: Weights | None = None) -> Weights:
        """None before the first step."""
        return {name: full_tensor(mean) for name, mean in zip(self._names, self._means, strict=False)}

    def tensors(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The mean, and over how many steps it is."""
        return dict(self.mean()), {"averaged_steps": self._steps}

    def load(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """What tensors() gave, back."""
        self._steps = values["averaged_steps"]
        kept = zip(self._names, self._weights, strict=True) if self._steps else ()
        self._means = [shard_like(tensors[name].to(weight.device, copy=True), weight) for name, weight in kept]


def select_prefix(prefix: str, tensors: Weights) -> dict[str, Tensor]:
    """Those whose names begin so, without that."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
