"""Measure what copying costs in beam search, and what native steps save there: CPU time and wall time per sentence.

    OMP_NUM_THREADS=1 python benchmarks/copying.py [--tokens 10] [--vocabulary 100] [--beam-size 5] [--rounds 40]
    OMP_NUM_THREADS=1 python benchmarks/copying.py RUN --source FILE [--lines 80] [--rounds 3]

Without a run: `modern` tiny with random weights, with copying and without it, translates one sentence of random tokens
for as many steps. With a run: its model translates the lines of a file, one at a time.

Each is measured with native steps and layer by layer, where PyTorch calls a kernel for a layer or less, in turn on one
thread. The result is the median over rounds (with a run: over lines and rounds). Both ways must give the same output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from common import check_folder, count, exit_on_error, fail, print_machine, read
from torch import Tensor

from regard import Translator
from regard.contract import Seq2Seq, VocabularySizes
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.length_penalty import average
from regard.models import modern
from regard.nn.inference import freeze_for_inference
from regard.nn.native_search import NativeDecoder
from regard.nn.step_program import StepProgram
from regard.special_tokens import EOS, SPECIAL

Work = Callable[[], object]


@contextmanager
def layer_by_layer() -> Iterator[None]:
    """Search without native steps, and without programs of layers."""
    with (
        mock.patch.object(NativeDecoder, "is_supported", False),
        mock.patch.object(StepProgram, "can_run", lambda *_: False),
    ):
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "native steps": nullcontext,
    "layer by layer": layer_by_layer,
}


def time_in_turn(works: Sequence[Work], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median CPU time and wall time of a work, in ms, for each way of searching."""
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for turn in range(rounds + 1):
        for work in works:
            outputs = []
            for way, switch in WAYS.items():
                with switch():
                    cpu, wall = time.process_time(), time.perf_counter()
                    outputs.append(work())
                    if turn:  # the first round warms up
                        times[way].append((time.process_time() - cpu, time.perf_counter() - wall))
            if outputs[0] != outputs[1]:
                fail("the two ways of searching differ in their output")
    return {
        way: (1e3 * statistics.median(cpu for cpu, _ in pairs), 1e3 * statistics.median(wall for _, wall in pairs))
        for way, pairs in times.items()
    }


def random_models(vocabulary: int) -> Iterator[tuple[str, Seq2Seq]]:
    """Yield `modern` tiny with random weights, without copying and with it."""
    for name, copies in (("no copying", False), ("copying", True)):
        torch.manual_seed(1)
        config = modern.tiny().model_copy(update={"copy_attention": copies})
        yield name, freeze_for_inference(modern.build(config, VocabularySizes(vocabulary, vocabulary, joint=True)))


def search_random(model: Seq2Seq, source: Tensor, beam_size: int) -> Work:
    """Return a beam search for a source (1, S), which may end after twice as many tokens."""
    settings = BeamSettings(beam_size=beam_size, penalty=average(1.0))

    def search() -> object:
        with torch.inference_mode():
            memory = model.encode(source)
            return [
                hypothesis.tokens for hypothesis in beam_search(model.decoder, memory, [source.size(1)], settings)[0]
            ]

    return search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--source", type=Path, help="with a run: the lines to translate")
    parser.add_argument("--lines", type=count, default=80)
    parser.add_argument("--tokens", type=count, default=10)
    parser.add_argument("--vocabulary", type=count, default=100)
    parser.add_argument("--beam-size", type=count, default=5)
    parser.add_argument("--rounds", type=count, default=None)
    options = parser.parse_args()
    if (options.run is None) != (options.source is None):
        parser.error("a run needs --source, and --source needs a run")
    if options.vocabulary <= len(SPECIAL):
        fail(f"--vocabulary {options.vocabulary}: {len(SPECIAL)} tokens are special; give a larger number")
    torch.set_num_threads(1)
    measured: dict[str, tuple[list[Work], int]] = {}
    if options.run is None:
        source = torch.randint(len(SPECIAL), options.vocabulary, (1, options.tokens))
        source[0, -1] = EOS
        for name, model in random_models(options.vocabulary):
            measured[name] = [search_random(model, source, options.beam_size)], options.rounds or 40
    else:
        lines = read(options.source, options.lines)
        translator = Translator.load(check_folder(options.run))
        works: list[Work] = [partial(translator.translate, [line]) for line in lines]
        measured[str(options.run)] = works, options.rounds or 3
    print_machine()
    print("| CPU (wall) ms per sentence | native steps | layer by layer |\n| --- | ---: | ---: |")
    for name, (works, rounds) in measured.items():
        times = time_in_turn(works, rounds)
        print(f"| {name} | " + " | ".join(f"{cpu:.1f} ({wall:.1f})" for cpu, wall in times.values()) + " |", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        main()
