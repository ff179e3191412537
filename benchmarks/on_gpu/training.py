"""Training of regard and of the Hugging Face Marian on the same batches."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from on_gpu.report import Report, Values
from on_gpu.switches import SWITCHES, Switches, applied
from on_gpu.task import Cost, Task, Work, loader, peak_tflops
from on_gpu.waits import count_waits
from regard.config.schema import TrainConfig
from regard.data.batch import Batch
from regard.special_tokens import BOS, EOS, PAD
from regard.training.step import TrainStep

RATE, WARM_UP_STEPS = 5e-4, 400
SMOOTHING, CLIP = 0.1, 1.0
Updates = Generator[tuple[Batch, float | None], None, None]
"""Batches after their update, with the loss in nats per target token where it is known."""


class TimedBatches:
    """Batches, and the seconds that this process took to make them."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        start = time.perf_counter()
        batch = next(self._batches)
        self.seconds += time.perf_counter() - start
        return batch


def train(task: Task, report: Report, architecture: str) -> None:
    """Measure regard with each of the switches, and the Hugging Face loop."""
    cost = Cost.of_model(task.model(architecture), task.config(architecture))
    with tempfile.TemporaryDirectory() as scratch:
        batches = loader(task, Path(scratch))

        with report.attempt("Hugging Face Marian in a plain loop (SDPA, fused Adam)") as values:
            values.update(measure(task, cost, batches, partial(huggingface_updates, task)))
        for switches in SWITCHES:
            with report.attempt(f"regard {architecture}: {switches.name}") as values:
                start = partial(regard_updates, task, architecture, switches)
                values.update(measure(task, cost, batches, start))


def measure(
    task: Task, cost: Cost, batches: Iterable[Batch], start_updates: Callable[[Iterable[Batch]], Updates]
) -> Values:
    """Train until the time is over, and return what was measured.

    Raises:
        ArithmeticError: If a loss is not finite.
    """
    task.reset_peak_memory()
    timed, measured, losses = TimedBatches(batches), list[Batch](), list[float | None]()
    with closing(start_updates(timed)) as updates:
        start = time.perf_counter()
        for _ in range(task.warm_up):
            next(updates)
        task.synchronize()
        warm_up_seconds = time.perf_counter() - start
        waits = count_waits(task.device, lambda: next(updates))
        task.synchronize()
        timed.seconds = 0.0
        start = time.perf_counter()
        while time.perf_counter() - start < task.seconds:
            batch, loss = next(updates)
            measured.append(batch)
            losses.append(loss)
        task.synchronize()
        seconds = time.perf_counter() - start
    loss, steps, work = losses[-1], len(measured), Work()
    if loss is not None and not math.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss}")
    for batch in measured:
        work.add(batch, cost)
    peak = peak_tflops(task.device)
    rate = work.flops / seconds / 1e12
    return {
        "target tokens/s": round(work.target_tokens / seconds),
        "ms per step": round(1000 * seconds / steps, 2),
        "TFLOP/s": round(rate, 2),
        "utilisation": None if peak is None else f"{rate / peak:.1%}",
        "padding": f"{1 - work.tokens / work.positions:.1%}",
        "host ms per batch": round(1000 * timed.seconds / steps, 2),
        "waits per step": waits,
        "peak GiB": round(task.peak_gigabytes(), 2),
        "warm-up s": round(warm_up_seconds, 1),
        "steps": steps,
        "loss": None if loss is None else round(loss, 2),
    }


def regard_updates(task: Task, architecture: str, switches: Switches, batches: Iterable[Batch]) -> Updates:
    """Take the steps of regard's Trainer, without its log and checkpoints."""
    config = TrainConfig(
        tokens_per_batch=task.tokens_per_batch,
        optimizer="adam",
        learning_rate=RATE,
        label_smoothing=SMOOTHING,
        clip_norm=CLIP,
        precision="bfloat16",
    )
    model = task.model(architecture)
    step = TrainStep(model, config)
    with applied(switches, model, task) as prepare:
        for number, batch in enumerate(batches, 1):
            result = step.run([prepare(batch)], min(1.0, number / WARM_UP_STEPS))
            yield batch, result.loss


def huggingface_updates(task: Task, batches: Iterable[Batch]) -> Updates:
    """Train the Marian of transformers in a plain loop, which reads no loss."""
    model = marian_model(task).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-9, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS))
    for batch in batches:
        on_device = batch.to(task.device)
        with torch.autocast(task.device.type, torch.bfloat16):
            logits = model(
                input_ids=on_device.source,
                attention_mask=on_device.source.ne(PAD).long(),
                decoder_input_ids=on_device.target_in,
            ).logits
            loss = F.cross_entropy(
                logits.flatten(0, 1), on_device.target_out.flatten(), ignore_index=PAD, label_smoothing=SMOOTHING
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        yield batch, None


def marian_model(task: Task) -> Any:
    """Return the Hugging Face Marian with the sizes of `transformer2017` and random weights, on the device.

    Raises:
        ImportError: If transformers is not installed.
    """
    from transformers import MarianConfig, MarianMTModel

    config: Any = task.config("transformer2017")
    torch.manual_seed(1)
    marian = MarianConfig(
        vocab_size=task.vocabulary,
        d_model=config.hidden_size,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_ffn_dim=config.ffn_size,
        decoder_ffn_dim=config.ffn_size,
        encoder_attention_heads=config.num_heads,
        decoder_attention_heads=config.num_heads,
        activation_function=config.activation,
        dropout=config.dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=True,
        max_position_embeddings=512,
        init_std=config.hidden_size**-0.5,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        forced_eos_token_id=None,
        decoder_start_token_id=BOS,
        tie_word_embeddings=True,
    )
    peer: Any = MarianMTModel(marian)
    return peer.to(task.device)
