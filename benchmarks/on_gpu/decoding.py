"""Decoding by regard, Hugging Face and CTranslate2: a fixed number of tokens, so that all do the same work."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from on_gpu.report import Report, Values
from on_gpu.task import ARCHITECTURE_NAMES, Task
from on_gpu.training import marian_model
from on_gpu.waits import count_waits
from regard.contract import Seq2Seq
from regard.data.batch import pad
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.greedy import greedy_search
from regard.decoding.length_penalty import average
from regard.interop import ctranslate2 as ctranslate2_export
from regard.interop.weights import to_marian, weight_mappings
from regard.nn.inference import freeze_for_inference
from regard.nn.kv_cache import LayerCache
from regard.special_tokens import BOS, EOS, PAD, SPECIAL

BEAM_SIZES = {"greedy": 1, "beam 5": 5}
SOURCE_LENGTH = 27  # mean, in tokens
GRAPH_STEP = 20  # the step whose kernels are replayed
REPLAYS = 50

Sources = Sequence[Sequence[int]]
Decode = Callable[[Sources, int], list[list[int]]]
"""Sources and a beam size to the best targets, each of as many tokens as the task says."""
Expected = dict[tuple[str, int], list[list[int]]]


def decode(task: Task, report: Report) -> None:
    """Measure every system at every batch size, with greedy search and a beam of 5."""
    expected: Expected = {}
    kinds = ("float32", "float16", "bfloat16") if task.device.type == "cuda" else ("float32",)
    for architecture in ARCHITECTURE_NAMES:
        measured = partial(measure_system, task, report, architecture, expected)
        model = freeze_for_inference(task.model(architecture))
        measured(f"regard {architecture}, float32", partial(regard, task, model))
        with tf32():
            measured(f"regard {architecture}, TF32 products", partial(regard, task, model))
        in_bfloat16 = copy.deepcopy(model).bfloat16()
        measured(f"regard {architecture}, bfloat16", partial(regard, task, in_bfloat16))
        measure_graph(task, report, f"regard {architecture}, float32", model)
        measure_graph(task, report, f"regard {architecture}, bfloat16", in_bfloat16)
        if architecture == "transformer2017":
            for dtype in (torch.float32, torch.bfloat16):
                name = f"Hugging Face Marian, {str(dtype).removeprefix('torch.')}"
                measured(name, partial(huggingface, task, model, dtype))
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                start = partial(ctranslate2, task, architecture, model, Path(folder), kind)
                measured(f"CTranslate2 {architecture}, {kind}", start)


@contextmanager
def tf32() -> Iterator[None]:
    """Let products in float32 round their inputs to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def measure_system(
    task: Task, report: Report, architecture: str, expected: Expected, name: str, start: Callable[[], Decode]
) -> None:
    """Add a row for each search and batch size; a system that cannot start has a single row with the reason.

    Args:
        expected: The greedy targets by architecture and batch size. The first system of each sets them.
        start: Loads the system.
    """
    systems: list[Decode] = []
    with report.attempt(f"{name}: load") as values:
        begin = time.perf_counter()
        systems.append(start())
        values["load s"] = round(time.perf_counter() - begin, 1)
    for system, (search, beam_size), batch_size in product(systems, BEAM_SIZES.items(), task.batch_sizes):
        with report.attempt(f"{name}: {search}, batch {batch_size}") as values:
            sources = random_sources(task, batch_size)
            targets = system(sources, beam_size)
            values.update(time_search(task, partial(system, sources, beam_size), batch_size))
            if beam_size == 1:
                reference = expected.setdefault((architecture, batch_size), targets)
                same = [row == row_of_reference for row, row_of_reference in zip(targets, reference, strict=True)]
                values["same targets"] = f"{np.mean(same):.0%}"


def time_search(task: Task, search: Callable[[], Any], sentences: int) -> Values:
    """Repeat a search for a while, and return what was measured."""
    waits = count_waits(task.device, search)
    task.reset_peak_memory()
    task.synchronize()
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < task.seconds / 4:
        search()
        runs += 1
    task.synchronize()
    seconds = time.perf_counter() - start
    return {
        "tokens/s": round(runs * sentences * task.decoded / seconds),
        "ms per step": round(1000 * seconds / runs / task.decoded, 3),
        "waits per step": None if waits is None else round(waits / task.decoded, 1),
        "peak GiB": round(task.peak_gigabytes(), 2),
    }


def random_sources(task: Task, count: int) -> list[list[int]]:
    """Return sources of various lengths, without EOS."""
    random = np.random.default_rng(2)
    lengths = random.integers(max(1, SOURCE_LENGTH - 8), SOURCE_LENGTH + 9, count)
    return [random.integers(len(SPECIAL), task.vocabulary, length).tolist() for length in lengths]


def regard(task: Task, model: Seq2Seq) -> Decode:
    """Return regard's search; hypotheses never end before the limit."""

    @torch.inference_mode()
    def search(sources: Sources, beam_size: int) -> list[list[int]]:
        memory = model.encode(pad(sources, last=EOS).to(task.device))
        limits = [task.decoded] * len(sources)
        if beam_size == 1:
            hypotheses = greedy_search(model.decoder, memory, limits, penalty=average(1.0))
        else:
            n_best = beam_search(model.decoder, memory, limits, BeamSettings(beam_size=beam_size, penalty=average(1.0)))
            hypotheses = [best for best, *_ in n_best]
        return [list(hypothesis.tokens) for hypothesis in hypotheses]

    return search


def huggingface(task: Task, model: Seq2Seq, dtype: torch.dtype) -> Decode:
    """Return the search of transformers for the weights of a `transformer2017`."""
    marian = marian_model(task)
    state = model.state_dict()
    weights: dict[str, Tensor] = {}
    for mapping in weight_mappings(task.config("transformer2017"), joint=True):  # type: ignore[arg-type]
        weights.update(to_marian(mapping, state[mapping.name].cpu()))
    unknown = marian.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise KeyError(f"Marian has no weights {', '.join(unknown)}")
    with torch.no_grad():
        marian.final_logits_bias[:, [PAD, BOS]] = ctranslate2_export.EXCLUDED_BIAS  # as in the other systems
    marian = marian.to(dtype).eval()

    @torch.inference_mode()
    def search(sources: Sources, beam_size: int) -> list[list[int]]:
        ids = pad(sources, last=EOS).to(task.device)
        out = marian.generate(
            input_ids=ids,
            attention_mask=ids.ne(PAD).long(),
            num_beams=beam_size,
            do_sample=False,
            max_new_tokens=task.decoded,
        )
        targets: list[list[int]] = out[:, 1:].tolist()
        return targets

    return search


def ctranslate2(task: Task, architecture: str, model: Seq2Seq, folder: Path, kind: str) -> Decode:
    """Return the search of CTranslate2 for the weights of a model."""
    import ctranslate2 as library

    config: Any = task.config(architecture)
    state = {name: weight.float().cpu() for name, weight in model.state_dict().items()}
    convert: dict[str, Any] = {
        "transformer2017": ctranslate2_export._transformer2017,
        "modern": ctranslate2_export._modern,
    }
    spec = convert[architecture](ctranslate2_export._specs(), config, state)
    spec.decoder.projection.bias = ctranslate2_export._output_bias(state, task.vocabulary)
    names = [*SPECIAL, *(str(number) for number in range(len(SPECIAL), task.vocabulary))]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    ctranslate2_export._configure(spec.config, model)
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    translator = library.Translator(str(folder), device=task.device.type, compute_type=kind)
    ids = {name: number for number, name in enumerate(names)}

    def search(sources: Sources, beam_size: int) -> list[list[int]]:
        results = translator.translate_batch(
            [[names[token] for token in source] for source in sources],
            beam_size=beam_size,
            max_batch_size=len(sources),
            min_decoding_length=task.decoded,
            max_decoding_length=task.decoded,
        )
        return [[ids[token] for token in result.hypotheses[0]] for result in results]

    return search


def measure_graph(task: Task, report: Report, name: str, model: Seq2Seq) -> None:
    """Compare a decoder step with the replay of its kernels as a CUDA graph: what graphs can gain at most."""
    for batch_size in task.batch_sizes:
        with report.attempt(f"{name}, a decoder step, batch {batch_size}") as values, torch.inference_mode():
            step = repeatable_step(task, model, batch_size)
            values["ms per step"] = round(_milliseconds(task, step), 3)
            if task.device.type == "cuda":
                graph = captured(step)
                values["ms per step as a CUDA graph"] = round(_milliseconds(task, graph.replay), 3)


def repeatable_step(task: Task, model: Seq2Seq, batch_size: int) -> Callable[[], Tensor]:
    """Return a function that repeats the same step of greedy search and returns the next tokens."""
    memory = model.encode(pad(random_sources(task, batch_size), last=EOS).to(task.device))
    state = model.decoder.init_state(memory)
    tokens = torch.full((batch_size,), BOS, device=task.device)
    number = 0
    while number < GRAPH_STEP or not all(layer.has_space(2) for layer in state.layers):
        out = model.decoder.step(tokens, state)
        tokens, state = out.logits.argmax(1), out.state
        number += 1
    lengths = [layer.buffer.written for layer in state.layers if isinstance(layer, LayerCache) and layer.buffer]

    def step() -> Tensor:
        for layer, written in zip(state.layers, lengths, strict=True):
            layer.buffer.written = written  # as before the step, which then writes to the same slots
        logits: Tensor = model.decoder.step(tokens, state).logits
        return logits.argmax(1)

    return step


def captured(step: Callable[[], Tensor]) -> torch.cuda.CUDAGraph:
    """Return the kernels of a step as a graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def _milliseconds(task: Task, work: Callable[[], Any]) -> float:
    repeats = 2 if task.is_smoke else REPLAYS
    work()
    task.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    task.synchronize()
    return 1000 * (time.perf_counter() - start) / repeats
