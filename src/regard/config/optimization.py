"""The optimizer of a recipe and its learning rates: keys of [train], and of its second stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from regard.config.data import Section

Schedule = Literal["inverse_sqrt", "cosine", "constant", "halving", "plateau"]

MAX_STEPS = 10**12
MAX_EPOCHS = 1e9
_RATES = {"adadelta": 1.0, "sgd": 1.0}  # the default learning rates of optimizers; of the others, 0.001


def _default_learning_rate(values: Mapping[str, Any]) -> float:
    """Return 1.0 for Adadelta (Zeiler 2012) and for SGD (Luong et al. 2015, section 4.1), otherwise 1e-3."""
    return _RATES.get(values.get("optimizer", ""), 1e-3)


class OptimizationConfig(Section):
    """The optimizer and the schedule of its learning rate."""

    optimizer: Literal["adam", "adadelta", "muon", "sgd"] = Field(
        "adam", description="Optimizer. `muon` is for hidden matrices, with Adam for the rest."
    )
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum of `sgd`. 0: none.")
    nesterov: bool = Field(False, description="Nesterov's form of the momentum of `sgd`.")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay rate of Adam's average of the gradient.")
    adam_beta2: float = Field(0.98, ge=0, lt=1, description="Decay rate of Adam's average of the squared gradient.")
    adam_epsilon: float = Field(
        1e-9, gt=0, le=1, description="Adam's epsilon, added to the root of the average of squares."
    )
    learning_rate: float = Field(
        default_factory=lambda values: _default_learning_rate(values),
        gt=0,
        description="Peak learning rate of the schedule. Default: 1.0 for Adadelta and SGD, 0.001 for the others.",
    )
    schedule: Schedule = Field(
        "inverse_sqrt",
        description="Learning-rate schedule after warm-up. `halving` halves the rate at regular intervals, `plateau` "
        "lowers it when the dev loss no longer improves.",
    )
    warmup_steps: int = Field(
        1000, ge=0, le=MAX_STEPS, description="Steps over which the learning rate rises linearly to its peak."
    )
    halving_start: float | None = Field(
        None, ge=0, le=MAX_STEPS, description="Epochs or steps after which `halving` halves the rate the first time."
    )
    halving_interval: float | None = Field(
        None, gt=0, le=MAX_STEPS, description="Epochs or steps from one halving to the next."
    )
    halving_unit: Literal["epochs", "steps"] = Field(
        "epochs",
        description="The unit of `halving_start` and `halving_interval`, which count from the start of training.",
    )
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="Factor by which `plateau` lowers the rate.")
    plateau_patience: int = Field(
        0, ge=0, le=10**9, description="Consecutive checkpoints without a lower dev loss that `plateau` accepts."
    )
    plateau_every_checkpoint: bool = Field(
        False,
        description="After the first plateau, lower the rate at every checkpoint (Gehring et al. 2017), instead of at "
        "each further plateau.",
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")

    @model_validator(mode="after")
    def _check_optimizer(self) -> Self:
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"`momentum` is for the optimizer `sgd`, and the optimizer is `{self.optimizer}`")
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` needs a `momentum` above 0")
        return self

    @model_validator(mode="after")
    def _check_halving(self) -> Self:
        if self.schedule == "halving" and None in (self.halving_start, self.halving_interval):
            raise ValueError("the schedule `halving` needs `halving_start` and `halving_interval`")
        return self

    @property
    def optimizer_settings(self) -> dict[str, Any]:
        """The optimizer and its constants, without the learning rate."""
        keys = {"optimizer", "momentum", "nesterov", "adam_beta1", "adam_beta2", "adam_epsilon"}
        return self.model_dump(include=keys)

    @property
    def has_fractional_epochs(self) -> bool:
        """Whether the schedule depends on parts of an epoch."""
        by_epochs = self.schedule == "halving" and self.halving_unit == "epochs"
        epochs = (self.halving_start, self.halving_interval) if by_epochs else ()
        return any(number is not None and number % 1 for number in epochs)


class SecondStageConfig(OptimizationConfig):
    """The optimizer and the schedule of a second stage of training, such as SGD after Adam (Wu et al. 2016)."""

    after_steps: int = Field(ge=1, le=MAX_STEPS, description="Steps of the first stage.")
    schedule: Schedule = Field(
        "constant",
        description="As in the first stage. `cosine` counts the whole run, and is therefore on its way down already.",
    )
    warmup_steps: int = Field(
        0, ge=0, le=MAX_STEPS, description="Steps of the second stage over which its learning rate rises to its peak."
    )
