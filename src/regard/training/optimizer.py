"""The optimizers of a model, stepped together and saved as plain tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from regard.config.optimization import OptimizationConfig
from regard.contract import Seq2Seq
from regard.training.distributed import full_tensor, shard_like


class Muon(Optimizer):
    """Momentum, orthogonalized before it is applied (Jordan et al. 2024).

    Like torch.optim.Muon, but matrices of the same shape are orthogonalized in one batched product, which is several
    times as fast on a CPU. The step of an (m, n) matrix is scaled by 0.2 sqrt(max(m, n)), so that its root mean square
    is that of Adam at the same learning rate (Liu et al. 2025, section 2.2).
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": 0.95, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step with the current gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append((parameter, self._momentum(parameter, parameter.grad, group)))
            for pairs in by_shape.values():
                self._apply(pairs, group)

    def _momentum(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return torch.lerp(gradient, state["momentum"], group["momentum"])  # Nesterov momentum

    def _apply(self, pairs: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        scale = group["lr"] * 0.2 * math.sqrt(max(pairs[0][0].shape))
        updates = orthogonalize(torch.stack([full_tensor(momentum) for _, momentum in pairs]))
        for (parameter, _), update in zip(pairs, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(shard_like(update, parameter), alpha=-scale)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return matrices (K, m, n) with about the same singular vectors, and singular values near 1.

    Five Newton-Schulz iterations with Jordan's quintic polynomial, transposed to the side with fewer rows.
    """
    x: Tensor = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    is_tall = x.size(-2) > x.size(-1)
    x = x.mT if is_tall else x
    for _ in range(5):
        square = x @ x.mT
        odd = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, odd, x, beta=3.4445)
    return x.mT if is_tall else x


def _hidden_matrices(model: Seq2Seq) -> list[nn.Parameter]:
    """Return the parameters that Muon trains: matrices except embeddings, the output layer, and single rows."""
    excluded_modules = [module for module in model.modules() if isinstance(module, nn.Embedding)] + [
        model.decoder.output
    ]
    excluded = {id(parameter) for module in excluded_modules for parameter in module.parameters()}
    return [
        parameter
        for parameter in model.parameters()
        if parameter.ndim == 2 and parameter.requires_grad and id(parameter) not in excluded
        if min(parameter.shape) > 1
    ]


class Optimizers:
    """The optimizers of the parameters that are not frozen: a single one, or Muon for matrices and AdamW for the rest.

    Attributes:
        peak_rate: The peak learning rate.
        parts: The PyTorch optimizers.
    """

    def __init__(self, model: Seq2Seq, config: OptimizationConfig) -> None:
        self.peak_rate = config.learning_rate
        self._model, self._config = model, config
        self._matrices = _hidden_matrices(model) if config.optimizer == "muon" else []
        self.parts = self._make_parts()

    def _make_parts(self) -> list[Optimizer]:
        config = self._config
        for_muon = {id(parameter) for parameter in self._matrices}
        rest = [p for p in self._model.parameters() if p.requires_grad and id(p) not in for_muon]
        optimizers: list[Optimizer] = []
        if not rest:
            pass  # everything but Muon's matrices is frozen
        elif config.optimizer == "adadelta":
            # Zeiler 2012 with the constants of Bahdanau et al. 2014, section 4.2; the rate multiplies its step.
            optimizers.append(torch.optim.Adadelta(rest, lr=self.peak_rate, rho=0.95, eps=1e-6))
        elif config.optimizer == "sgd":
            momentum, nesterov = config.momentum, config.nesterov
            optimizers.append(torch.optim.SGD(rest, lr=self.peak_rate, momentum=momentum, nesterov=nesterov))
        else:
            # Kingma and Ba 2014, by default with the constants of Vaswani et al. 2017, section 5.3.
            constants: dict[str, Any] = {"betas": (config.adam_beta1, config.adam_beta2), "eps": config.adam_epsilon}
            decay = config.weight_decay
            optimizers.append(torch.optim.AdamW(rest, lr=self.peak_rate, weight_decay=decay, fused=True, **constants))
        if self._matrices:
            optimizers.append(Muon(self._matrices, self.peak_rate, config.weight_decay))
        return optimizers

    def step(self, factor: float) -> None:
        """Take one step at `factor` times the peak learning rate."""
        rate = self.peak_rate * factor
        for optimizer in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = rate
                if self._config.weight_decay and isinstance(optimizer, (torch.optim.SGD, torch.optim.Adadelta)):
                    self._decay(group["params"], rate)  # theirs is not decoupled
            optimizer.step()

    @torch.no_grad()
    def _decay(self, parameters: Iterable[Tensor], rate: float) -> None:
        for parameter in parameters:
            parameter.mul_(1 - rate * self._config.weight_decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as `OPTIMIZER.PARAMETER.NAME` -> full tensor; all processes must call this together."""
        return {
            f"{number}.{index}.{name}": full_tensor(torch.as_tensor(value))
            for number, optimizer in enumerate(self.parts)
            for index, values in optimizer.state_dict()["state"].items()
            for name, value in values.items()
            if value is not None
        }

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned for the same model and config."""
        self._select_matrices_of(tensors)
        states: list[dict[int, dict[str, Tensor]]] = [defaultdict(dict) for _ in self.parts]
        parameters = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in self.parts]
        for key, tensor in tensors.items():
            number, index, name = key.split(".", 2)
            parameter = parameters[int(number)][int(index)]
            value = tensor.clone()
            states[int(number)][int(index)][name] = shard_like(value, parameter) if value.ndim else value
        for optimizer, state in zip(self.parts, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": dict(state)})

    def _select_matrices_of(self, tensors: dict[str, Tensor]) -> None:
        """Give Muon the matrices that it had in a saved state, so that the run continues unchanged.

        Regard 0.1 excluded every matrix with as many rows as the target vocabulary has tokens.
        """
        count = sum(key.endswith(".momentum") for key in tensors)
        if count and count != len(self._matrices):
            self._matrices = [p for p in self._matrices if len(p) != self._model.decoder.vocabulary_size]
            self.parts = self._make_parts()
