"""The task of gpu.py: sizes, synthetic pairs, and what a step costs in arithmetic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from regard.config.schema import ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import Batch
from regard.data.loader import BatchSize, Loader
from regard.data.store import PairStore
from regard.models import ARCHITECTURES
from regard.special_tokens import EOS, PAD, SPECIAL
from regard.training.microbatches import peak_memory

ARCHITECTURE_NAMES = ("transformer2017", "modern")

# Dense bfloat16 with float32 accumulation, in TFLOP/s, as NVIDIA's data sheets give it; part of the device's name.
PEAK_TFLOPS = {
    "B200": 2250,
    "GH200": 989,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "RTX 4090": 165,
}


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
        device: Where to measure.
        is_smoke: Run everything once at tiny sizes, to show that it runs.
        vocabulary: Tokens in the joint vocabulary.
        tokens_per_batch: Rows times the longest sequence of a training batch.
        pairs: Synthetic pairs to train on.
        mean_length: Their mean length in tokens.
        longest: Their greatest length, with EOS.
        warm_up: Training steps that are not measured.
        seconds: The length of a measurement of training; a measurement of decoding takes a quarter of it.
        decoded: Tokens that each sentence is decoded to.
        batch_sizes: Sentences that are decoded at a time.
    """

    device: torch.device
    is_smoke: bool = False
    vocabulary: int = 32_000
    tokens_per_batch: int = 25_000
    pairs: int = 40_000
    mean_length: float = 27.0
    longest: int = 120
    warm_up: int = 30
    seconds: float = 4.0
    decoded: int = 32
    batch_sizes: tuple[int, ...] = (1, 64)
    sizes: dict[str, float] = field(default_factory=dict)

    def config(self, architecture: str) -> ModelConfig:
        """Return the preset `base`, or tiny sizes in a smoke run."""
        return ARCHITECTURES[architecture].presets["base"]().model_copy(update=self.sizes)

    def model(self, architecture: str) -> Seq2Seq:
        """Return a new model, the same for the same architecture, whose searches never end by EOS.

        The embedding of EOS is zero, so its logit is 0 and never among the highest of thousands.
        """
        torch.manual_seed(1)
        vocabularies = VocabularySizes(self.vocabulary, self.vocabulary, joint=True)
        model = ARCHITECTURES[architecture].build(self.config(architecture), vocabularies)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.Embedding):
                    module.weight[EOS].zero_()
        return model.to(self.device)

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def reset_peak_memory(self) -> None:
        """Start a measurement of peak memory; on a CPU it is that of the whole process."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gigabytes(self) -> float:
        return peak_memory(self.device) / 2**30


def smoke_task(device: torch.device) -> Task:
    """Return the task of a smoke run: 40 seconds on a CPU, most of them to trace layers for torch.compile."""
    return Task(
        device,
        is_smoke=True,
        vocabulary=200,
        tokens_per_batch=120,
        pairs=60,
        mean_length=8.0,
        longest=20,
        warm_up=1,
        seconds=0.01,
        decoded=3,
        batch_sizes=(1, 2),
        sizes={
            "encoder_layers": 1,
            "decoder_layers": 1,
            "hidden_size": 32,
            "ffn_size": 48,
            "num_heads": 2,
            "dropout": 0.0,  # which torch.compile traces slowly on a CPU
        },
    )


def loader(task: Task, folder: Path) -> Loader:
    """Write synthetic pairs and return their loader.

    Lengths are log-normal, as those of sentences are roughly, and the two sides of a pair are of similar length.
    """
    random = np.random.default_rng(1)
    lengths = random.lognormal(np.log(task.mean_length) - 0.125, 0.5, task.pairs)
    ratios = random.lognormal(0.0, 0.15, task.pairs)
    sides = [np.clip(side.round(), 1, task.longest - 1).astype(int) for side in (lengths, lengths * ratios)]

    def pairs() -> Iterator[tuple[list[int], list[int]]]:
        for source, target in zip(*sides, strict=True):
            ids = random.integers(len(SPECIAL), task.vocabulary, source + target).tolist()
            yield ids[:source], ids[source:]

    return Loader(PairStore.write(folder, "train", pairs()), BatchSize(task.tokens_per_batch), seed=1)


@dataclass
class Work:
    """What the measured batches contain.

    Attributes:
        target_tokens: Target tokens with EOS and without padding.
        tokens: Source and target tokens, likewise.
        positions: Positions of both sides, padding included.
        flops: Arithmetic of forward and backward, padding excluded.
    """

    target_tokens: int = 0
    tokens: int = 0
    positions: int = 0
    flops: float = 0.0

    def add(self, batch: Batch, cost: Cost) -> None:
        self.target_tokens += batch.target_tokens
        self.tokens += batch.source_tokens + batch.target_tokens
        self.positions += batch.source.numel() + batch.target_out.numel()
        self.flops += cost.of(batch)


@dataclass(frozen=True)
class Cost:
    """Floating-point operations of matrix products in a training step: 6 for each weight and token that uses it.

    Attention adds two products of queries and keys or values; causal attention needs half of them. Padding, dropout,
    norms and the optimizer do not count, so this is the arithmetic that the model requires and not what a system does.

    Attributes:
        source: Weights that each source token passes.
        target: Weights that each target token passes, the output layer's among them.
        hidden_size: The size of all heads together.
    """

    source: int
    target: int
    hidden_size: int
    encoder_layers: int
    decoder_layers: int

    @classmethod
    def of_model(cls, model: Seq2Seq, config: Any) -> Cost:
        """Return the cost of `transformer2017` or `modern`."""
        source = sum(layer.weight.numel() for layer in model.encoder.modules() if isinstance(layer, nn.Linear))
        target = model.decoder.vocabulary_size * config.hidden_size
        for name, layer in model.decoder.named_modules():
            if isinstance(layer, nn.Linear) and re.search(r"source_attention\.(key|value)", name):
                source += layer.weight.numel()
            elif isinstance(layer, nn.Linear):
                target += layer.weight.numel()
        return cls(source, target, config.hidden_size, config.encoder_layers, config.decoder_layers)

    def of(self, batch: Batch) -> float:
        """Return the cost of a batch on the CPU."""
        source, target = (side.ne(PAD).sum(1).double() for side in (batch.source, batch.target_out))
        scores = self.encoder_layers * source.square().sum()
        scores += self.decoder_layers * (target.square().sum() / 2 + (source * target).sum())
        weights = self.source * source.sum() + self.target * target.sum()
        return float(6 * weights + 3 * 2 * 2 * self.hidden_size * scores)


def peak_tflops(device: torch.device) -> float | None:
    """Return the peak of the device in bfloat16; None if it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((float(peak) for part, peak in PEAK_TFLOPS.items() if part in name), None)
