"""A training run that is small enough for a test: reversed strings, and a model with dropout."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.loader import BatchSize, Loader, Position
from regard.data.store import PairStore
from regard.models import transformer2017
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup
from regard.training.freeze import freeze
from regard.training.state import TrainingState
from regard.training.trainer import CheckpointEvent, Trainer
from regard.training.training_log import Reporter, StepMetrics

Weights = dict[str, Tensor]


def settings(**changes: Any) -> TrainConfig:
    """Return a config with checkpoints every three steps."""
    plain = {
        "tokens_per_batch": 40,
        "max_steps": 9,
        "checkpoint_every": 3,
        "patience": 0,
        "metric": "loss",
        "warmup_steps": 2,
        "learning_rate": 0.01,
    }
    return TrainConfig.model_validate({**plain, **changes})


def pairs() -> PairStore:
    """Return a store of 40 pairs of 1 to 6 tokens."""
    sources = [[4 + (n * k) % 5 for k in range(1, 2 + n % 6)] for n in range(40)]
    with tempfile.TemporaryDirectory() as folder:
        return PairStore.write(Path(folder), "train", [(source, source[::-1]) for source in sources])


def model(seed: int = 1, dropout: float = 0.2) -> Seq2Seq:
    config = transformer2017.Config(
        hidden_size=8, ffn_size=12, num_heads=2, encoder_layers=1, decoder_layers=1, dropout=dropout
    )
    torch.manual_seed(seed)
    return transformer2017.build(config, VocabularySizes(9, 9, joint=True))


def weights(of: Seq2Seq) -> Weights:
    return {name: parameter.detach().clone() for name, parameter in of.named_parameters()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Return whether two sets of weights are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@dataclass
class Seen(Reporter):
    """Records the calls of a trainer."""

    saved_weights: list[Weights] = field(default_factory=list)  # the weights of the model at each save
    saved: list[CheckpointEvent] = field(default_factory=list)
    progress: list[StepMetrics] = field(default_factory=list)
    checkpoints: list[tuple[int, Mapping[str, float], bool]] = field(default_factory=list)
    notices: list[tuple[int, str]] = field(default_factory=list)

    def raw(self, index: int) -> Weights:
        """Return the weights from which training continues after a save."""
        tensors = self.saved[index].training.tensors
        return {name.removeprefix("weights/"): tensor for name, tensor in tensors.items() if name[:8] == "weights/"}

    def on_step(self, metrics: StepMetrics) -> None:
        self.progress.append(metrics)

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        self.checkpoints.append((step, scores, best))

    def on_notice(self, step: int, text: str) -> None:
        self.notices.append((step, text))


@dataclass
class Signaller(Reporter):
    """Sends this process a signal after given steps."""

    signal: int
    steps: Iterable[int]

    def on_step(self, metrics: StepMetrics) -> None:
        if metrics.step in self.steps:
            signal.raise_signal(self.signal)


def weight_sum(of: Seq2Seq) -> dict[str, float]:
    """Return a score that differs between any two sets of weights."""
    assert not of.training
    return {"loss": sum(parameter.detach().double().sum().item() for parameter in of.parameters())}


def scores_in_turn(*values: float, metric: str = "loss") -> Callable[[Seq2Seq], dict[str, float]]:
    remaining = list(values)
    return lambda _: {metric: remaining.pop(0)}


def trainer(
    config: TrainConfig,
    *,
    seed: int = 1,
    position: Position = Position(0, 0),
    validate: Callable[[Seq2Seq], Mapping[str, float]] = weight_sum,
    signaller: Signaller | None = None,
    dropout: float = 0.2,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> tuple[Trainer, Seen]:
    """Return a trainer of a new model and the record of its calls; saved states are copies, as in a file."""
    seen = Seen()
    trained = model(seed, dropout)
    freeze(trained, config.freeze)

    def save(saved: CheckpointEvent) -> None:
        tensors = {name: tensor.clone() for name, tensor in saved.training.tensors.items()}
        seen.saved.append(replace(saved, training=replace(saved.training, tensors=tensors)))
        seen.saved_weights.append(weights(saved.model))

    batch_size = BatchSize(config.tokens_per_batch, config.pairs_per_batch)
    loader = Loader(pairs(), batch_size, config.seed, position, rank=processes.rank, size=processes.size)
    reporters: list[Reporter] = [seen] if signaller is None else [seen, signaller]
    torch.manual_seed(seed)
    return Trainer(
        trained, loader, config, validate=validate, save=save, reporters=reporters, processes=processes
    ), seen


def resumed(config: TrainConfig, saved: CheckpointEvent, **more: Any) -> tuple[Trainer, Seen]:
    """Return a trainer of a new model that continues from a saved checkpoint."""
    return resumed_from(config, saved.training, **more)


def resumed_from(config: TrainConfig, state: TrainingState, **more: Any) -> tuple[Trainer, Seen]:
    """Return a trainer of a new model that continues from a saved state."""
    again, seen = trainer(config, seed=99, position=Position(state.values["epoch"], state.values["batch"]), **more)
    again.load(state)
    return again, seen
