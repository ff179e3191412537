"""Averages of weights, which are validated and saved instead of the latest weights."""

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
    """Return a copy of a model's full parameters by name; all processes must call this together."""
    return {name: full_tensor(parameter.detach()).clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Copy full weights into a model's parameters; parameters that are not among them keep their values."""
    for name, parameter in model.named_parameters():
        if name in weights:
            parameter.copy_(shard_like(weights[name], parameter))


class WeightAverage(Protocol):
    """An average of the trained weights; frozen ones are left out, since averaging could round them."""

    def after_step(self) -> None:
        """Take note that the model's weights have changed."""

    def add(self, weights: Weights) -> None:
        """Add the weights of a validated checkpoint."""

    def mean(self, newest: Weights | None = None) -> Weights:
        """Return the weights to validate and save, as if `newest` had been added."""
        ...

    def state(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and JSON values to save in addition to `weights`, the model's current weights."""
        ...

    def load_state(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """Restore what `state(weights)` returned."""


def make_average(model: nn.Module, config: TrainConfig) -> WeightAverage:
    """Return the average that the recipe asks for."""
    if config.average_decay:
        return ExponentialMovingAverage(model, config.average_decay)
    return CheckpointAverage(model, config.average_checkpoints)


def average_weights(checkpoints: Iterable[Weights]) -> dict[str, Tensor]:
    """Return the mean of the weights of several checkpoints (Vaswani et al. 2017, section 6.1)."""
    checkpoints = list(checkpoints)
    if len(checkpoints) == 1:
        return dict(checkpoints[0])
    return {name: torch.stack([weights[name] for weights in checkpoints]).mean(0) for name in checkpoints[0]}


class CheckpointAverage:
    """The mean over the last few checkpoints."""

    def __init__(self, model: nn.Module, size: int) -> None:
        self._window: deque[Weights] = deque(maxlen=size)
        self._trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    def after_step(self) -> None:
        """Do nothing: only checkpoints count."""

    def add(self, weights: Weights) -> None:
        """Add a checkpoint; the oldest one leaves a full window."""
        self._window.append(weights)

    def mean(self, newest: Weights | None = None) -> Weights:
        """Return the mean over the window, as if `newest` had been added."""
        window = deque(self._window, maxlen=self._window.maxlen)
        if newest is not None:
            window.append(newest)
        return average_weights([{name: weights[name] for name in self._trained} for weights in window])

    def state(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the checkpoints other than `weights`, their number, and whether `weights` is the newest one."""
        earlier = [checkpoint for checkpoint in self._window if checkpoint is not weights]
        tensors = {f"{index}/{name}": tensor for index, named in enumerate(earlier) for name, tensor in named.items()}
        return tensors, {"earlier_in_window": len(earlier), "newest_in_window": len(earlier) < len(self._window)}

    def load_state(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """Restore what `state(weights)` returned."""
        self._window.clear()
        for index in range(values["earlier_in_window"]):
            self._window.append(select_prefix(f"{index}/", tensors))
        if values["newest_in_window"]:
            self._window.append(weights)


class ExponentialMovingAverage:
    """The exponential moving average over the weights after every step.

    The decay is `decay`, or (1 + t) / (10 + t) after t steps while that is smaller, as in TensorFlow's
    ExponentialMovingAverage: early in training, when weights change fast, fewer steps are averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._decay = decay
        self._names, self._weights = list(trained), list(trained.values())
        self._means: list[Tensor] = []
        self._steps = 0

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the model's current weights."""
        self._steps += 1
        weights = [weight.float() for weight in self._weights]
        if not self._means:
            self._means = [weight.clone() for weight in weights]
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._means, weights, 1 - decay)

    def add(self, weights: Weights) -> None:
        """Do nothing: the weights were added after their step."""

    def mean(self, newest: Weights | None = None) -> Weights:
        """Return the average; empty before the first step."""
        return {name: full_tensor(mean) for name, mean in zip(self._names, self._means, strict=False)}

    def state(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the average and the number of steps."""
        return dict(self.mean()), {"averaged_steps": self._steps}

    def load_state(self, tensors: Weights, values: Mapping[str, Any], weights: Weights) -> None:
        """Restore what `state` returned."""
        self._steps = values["averaged_steps"]
        averaged = zip(self._names, self._weights, strict=True) if self._steps else ()
        self._means = [shard_like(tensors[name].to(weight.device, copy=True), weight) for name, weight in averaged]


def select_prefix(prefix: str, tensors: Weights) -> dict[str, Tensor]:
    """Return the tensors whose names start with the prefix, by name without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
