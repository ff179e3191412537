"""The optimizers, behind one small class that steps them together and keeps their state in plain tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.training.distributed import full_tensor, shard_like


class Muon(Optimizer):
    """Momentum whose matrix is orthogonalised before it is applied (Jordan et al. 2024).

    As torch.optim.Muon, with matrices of one shape orthogonalised in one batched product, several
    times as fast on a CPU. The step of an (m, n) matrix is scaled by 0.2 sqrt(max(m, n)), so that
    its root mean square is that of Adam at the same learning rate (Liu et al. 2025, section 2.2).
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": 0.95, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step from the gradients at hand."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append((parameter, self._momentum(parameter, parameter.grad, group)))
            for pairs in alike.values():
                self._apply(pairs, group)

    def _momentum(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return torch.lerp(gradient, state["momentum"], group["momentum"])  # Nesterov's look ahead

    def _apply(self, pairs: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        scale = group["lr"] * 0.2 * math.sqrt(max(pairs[0][0].shape))
        changes = orthogonalise(torch.stack([full_tensor(moving) for _, moving in pairs]))
        for (parameter, _), change in zip(pairs, changes, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(shard_like(change, parameter), alpha=-scale)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Matrices (K, m, n) to those with about the same singular vectors and singular values near 1.

    Five Newton-Schulz iterations with Jordan's quintic, on the side with fewer rows.
    """
    x: Tensor = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        odd = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, odd, x, beta=3.4445)
    return x.mT if tall else x


def _hidden_matrices(model: Seq2Seq) -> list[nn.Parameter]:
    """Return what Muon is for: matrices, but no embeddings, no weights of the output layer, and no single rows."""
    ends = [module for module in model.modules() if isinstance(module, nn.Embedding)] + [model.decoder.output]
    excluded = {id(parameter) for module in ends for parameter in module.parameters()}
    return [
        parameter
        for parameter in model.parameters()
        if parameter.ndim == 2 and parameter.requires_grad and id(parameter) not in excluded
        if min(parameter.shape) > 1
    ]


class Optimizers:
    """What updates what is not frozen of a model: one optimizer, or Muon for its matrices beside Adam for the rest."""

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.peak = config.learning_rate
        self._model, self._config = model, config
        self._matrices = _hidden_matrices(model) if config.optimizer == "muon" else []
        self.parts = self._make_parts()

    def _make_parts(self) -> list[Optimizer]:
        config = self._config
        chosen = {id(p) for p in self._matrices}
        rest = [p for p in self._model.parameters() if p.requires_grad and id(p) not in chosen]
        parts: list[Optimizer] = []
        if not rest:
            pass  # all but Muon's matrices is frozen
        elif config.optimizer == "adadelta":
            # Zeiler 2012 with the constants of Bahdanau et al. 2014, section 4.2; the rate multiplies its step.
            parts.append(torch.optim.Adadelta(rest, lr=self.peak, rho=0.95, eps=1e-6))
        else:
            # Vaswani et al. 2017, section 5.3; decay (if any) is decoupled.
            decay = config.weight_decay
            parts.append(
                torch.optim.AdamW(rest, lr=self.peak, betas=(0.9, 0.98), eps=1e-9, weight_decay=decay, fused=True)
            )
        if self._matrices:
            parts.append(Muon(self._matrices, self.peak, config.weight_decay))
        return parts

    def step(self, factor: float) -> None:
        """One step at `factor` times the peak learning rate."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.peak * factor
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """Everything to be kept, as `part.parameter.name` -> tensor, whole; all processes have to ask for it."""
        return {
            f"{number}.{index}.{name}": full_tensor(torch.as_tensor(value))
            for number, part in enumerate(self.parts)
            for index, values in part.state_dict()["state"].items()
            for name, value in values.items()
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """What tensors() gave, back; of a model and a config like those it came from."""
        self._divide_as_in(tensors)
        states: list[dict[int, dict[str, Tensor]]] = [defaultdict(dict) for _ in self.parts]
        parameters = [[p for group in part.param_groups for p in group["params"]] for part in self.parts]
        for key, tensor in tensors.items():
            number, index, name = key.split(".", 2)
            parameter = parameters[int(number)][int(index)]
            kept = tensor.clone()
            states[int(number)][int(index)][name] = shard_like(kept, parameter) if kept.ndim else kept
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict({**part.state_dict(), "state": dict(state)})

    def _divide_as_in(self, tensors: dict[str, Tensor]) -> None:
        """Give Muon the matrices that it had in a saved state, so that the run goes on as it began.

        Regard 0.1 left out every matrix with as many rows as the target vocabulary has tokens.
        """
        saved = sum(key.endswith(".momentum") for key in tensors)
        if saved and saved != len(self._matrices):
            self._matrices = [p for p in self._matrices if len(p) != self._model.decoder.vocabulary_size]
            self.parts = self._make_parts()
