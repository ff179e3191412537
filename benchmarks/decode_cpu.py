"""Compare search on a CPU with CTranslate2 and Hugging Face, all with the same weights.

    python benchmarks/decode_cpu.py RUN --source FILE --reference FILE [--threads 1] [--rounds 3] [--shortlist]

RUN is a run with a joint SentencePiece vocabulary. It is exported to both formats; a system that cannot have it is left
out, as Hugging Face is for `modern`. Each measurement is a separate process that loads the model, warms up on some
sentences, translates all of them from text to text, and reports seconds, CPU seconds, peak memory and the translations.
Rounds alternate between the systems, and the table shows medians.

With several threads, regard uses as many worker processes, whose start-up time counts, and CTranslate2 as many
translators with one thread each. Hugging Face uses all threads in one process, and so does every system when it
translates one sentence at a time. With --shortlist, regard and CTranslate2 are also measured with the shortlist of the
run, which `regard shortlist RUN` creates. Requires ctranslate2 and transformers: pip install -e '.[dev]'
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import count, exit_on_error, fail, print_machine, read, read_pair

BASELINE = "huggingface float32"
SYSTEMS = ("regard float32", "regard int8", "ctranslate2 float32", "ctranslate2 int8", BASELINE)
EXPORTS = {"ctranslate2": "ctranslate2", "marian": "huggingface"}  # the format of a system
WITH_SHORTLIST = tuple(f"{system} shortlist" for system in SYSTEMS if system != BASELINE)
# mode: beam size, batch size
MODES = {"beam 5": (5, 64), "greedy": (1, 64), "beam 5, one at a time": (5, 1), "greedy, one at a time": (1, 1)}
WARM_UP = 32  # sentences before the measurement
SINGLE_SENTENCES = 150  # sentences that are translated one at a time, which is slow
MAX_NEW_TOKENS = 150

if TYPE_CHECKING:
    from regard.inference.translator import Precision

Translate = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Task:
    """One measurement.

    Attributes:
        exports: The folder with the exports of the run.
        alpha: The exponent of the length by which scores are divided.
    """

    run: str
    source: str
    system: str
    mode: str
    exports: str
    threads: int = 1
    alpha: float = 1.0


def regard_system(
    run: Path, precision: Precision, beam: int, batch: int, threads: int, alpha: float, shortlist: bool
) -> Translate:
    from regard.inference import workers
    from regard.inference.translator import Translator

    options: dict[str, Any] = {
        "beam_size": beam,
        "length_penalty": alpha,
        "length_norm": "average",  # as in the other systems
        "patience": 1.0,  # as in CTranslate2, also for runs from before regard had it
        "shortlist": shortlist,
        "split_sentences": False,
    }
    if threads > 1 and batch > 1:
        load = partial(Translator.load, run, "cpu", precision)
        return lambda lines: [translation.text for translation in workers.stream(load, lines, threads, **options)]
    translator = Translator.load(run, "cpu", precision)

    def translate(lines: Sequence[str]) -> list[str]:
        if batch == 1:
            return [translator.translate(line, **options).text for line in lines]
        return [translation.text for translation in translator.stream(lines, batch_size=batch, **options)]

    return translate


def ctranslate2_system(
    folder: Path, precision: Precision, beam: int, batch: int, threads: int, alpha: float, shortlist: bool
) -> Translate:
    import ctranslate2
    import sentencepiece

    inter, intra = (threads, 1) if batch > 1 else (1, threads)
    model = ctranslate2.Translator(
        str(folder), device="cpu", compute_type=precision, inter_threads=inter, intra_threads=intra
    )
    source, target = (
        sentencepiece.SentencePieceProcessor(str(folder / f"{side}.spm")) for side in ("source", "target")
    )

    def translate(lines: Sequence[str]) -> list[str]:
        results = model.translate_batch(
            [source.encode(line, out_type=str) for line in lines],
            beam_size=beam,
            max_batch_size=batch,
            length_penalty=alpha,
            max_decoding_length=MAX_NEW_TOKENS,
            use_vmap=shortlist,
        )
        return [target.decode(result.hypotheses[0]) for result in results]

    return lambda lines: translate(lines) if batch > 1 else [translate([line])[0] for line in lines]


def huggingface_system(folder: Path, beam: int, batch: int, alpha: float) -> Translate:
    import torch
    from transformers import MarianMTModel, MarianTokenizer

    tokenizer = MarianTokenizer.from_pretrained(folder)
    model: Any = MarianMTModel.from_pretrained(folder)
    model.eval()

    def translate(lines: Sequence[str]) -> list[str]:
        texts = [""] * len(lines)
        by_length = sorted(range(len(lines)), key=lambda index: -len(lines[index]))
        for start in range(0, len(lines), batch):
            indices = by_length[start : start + batch]
            inputs = tokenizer([lines[index] for index in indices], return_tensors="pt", padding=True)
            with torch.inference_mode():
                out = model.generate(**inputs, num_beams=beam, max_new_tokens=MAX_NEW_TOKENS, length_penalty=alpha)
            for index, text in zip(indices, tokenizer.batch_decode(out, skip_special_tokens=True), strict=True):
                texts[index] = text
        return texts

    return translate


def run_task(task: Task) -> None:
    """Run a task in this process and print its measurement as JSON."""
    import torch

    torch.set_num_threads(task.threads)
    name, precision, *rest = task.system.split()
    beam, batch = MODES[task.mode]
    exports = Path(task.exports)
    search: Any = (precision, beam, batch, task.threads, task.alpha, rest == ["shortlist"])
    systems: dict[str, Callable[[], Translate]] = {
        "regard": lambda: regard_system(Path(task.run), *search),
        "ctranslate2": lambda: ctranslate2_system(exports / "ctranslate2", *search),
        "huggingface": lambda: huggingface_system(exports / "marian", beam, batch, task.alpha),
    }
    translate = systems[name]()
    lines = read(Path(task.source), SINGLE_SENTENCES if batch == 1 else None)
    translate(lines[:WARM_UP])
    start, cpu_start = time.perf_counter(), cpu_seconds()
    texts = translate(lines)
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "megabytes": memory, "texts": texts}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its workers that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure_task(task: Task) -> dict[str, Any]:
    """Run a task in a separate process; return `seconds`, `cpu_seconds`, peak `megabytes` and translations, `texts`."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--work", json.dumps(asdict(task))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode == 2:
        fail(f"{task.system}, {task.mode}: {result.stderr.removeprefix('error: ')}")
    if result.returncode:
        sys.exit(f"{task.system}, {task.mode}: {result.stderr[-2000:]}")
    measurement: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return measurement


def export(run: Path, kind: str, folder: Path) -> str:
    """Export a run to FOLDER/KIND, where `kind` is ctranslate2 or marian. Return the error, or "" on success.

    The export runs in a separate process: memory that this process used would count as the peak memory of the
    processes that it starts later.
    """
    command = [sys.executable, "-m", "regard", "export", str(run), "--to", kind, str(folder / kind)]
    result = subprocess.run(command, capture_output=True, text=True)
    if not result.returncode:
        return ""
    message = result.stderr.strip()
    return message.removeprefix("error: ").partition("\n")[0] if message.startswith("error: ") else message[-2000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--shortlist", action="store_true")
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=list(MODES))
    arguments = parser.parse_args()
    from sacrebleu.metrics.bleu import BLEU

    _, references = read_pair(arguments.source, arguments.reference)
    systems = (*SYSTEMS, *WITH_SHORTLIST) if arguments.shortlist else SYSTEMS
    with tempfile.TemporaryDirectory() as folder:
        problems = {kind: export(arguments.run, kind, Path(folder)) for kind in EXPORTS}
        if all(problems.values()):
            fail(problems["ctranslate2"])
        for kind, name in EXPORTS.items():
            if problem := problems[kind]:
                print(f"not measured with {name}: {problem}", file=sys.stderr)
                systems = tuple(system for system in systems if not system.startswith(name))
        if arguments.shortlist and not (Path(folder) / "ctranslate2" / "vmap.txt").is_file():
            fail(f"{arguments.run}: the run has no shortlist; create one with `regard shortlist {arguments.run}`")
        print_machine()
        for mode in arguments.modes:
            measurements: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
            for _ in range(arguments.rounds):
                for system in systems:
                    task = Task(str(arguments.run), str(arguments.source), system, mode, folder, arguments.threads)
                    measurements[system].append(measure_task(task))
            report(mode, measurements, references, BLEU)


def report(
    mode: str, measurements: dict[str, list[dict[str, Any]]], references: Sequence[str], metric: Callable[[], Any]
) -> None:
    """Print the table of a mode, in Markdown."""
    print(
        f"\n{mode}\n| system | sentences/s | ms per sentence | CPU ms | speed / Hugging Face "
        "| CPU speed / CTranslate2 | peak MB | BLEU |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    seconds, cpu_seconds = (
        {system: statistics.median(result[key] for result in rounds) for system, rounds in measurements.items()}
        for key in ("seconds", "cpu_seconds")
    )
    for system, rounds in measurements.items():
        texts = rounds[0]["texts"]
        rate = len(texts) / seconds[system]
        memory = statistics.median(measurement["megabytes"] for measurement in rounds)
        bleu = metric().corpus_score(texts, [list(references[: len(texts)])]).score
        cpu = 1000 * cpu_seconds[system] / len(texts)
        peer = f"ctranslate2 {system.partition(' ')[2]}"  # of the same precision
        cpu_ratio = f"{cpu_seconds[peer] / cpu_seconds[system]:.2f}" if peer in seconds else ""
        ratio = f"{seconds[BASELINE] / seconds[system]:.2f}" if BASELINE in seconds else ""
        print(
            f"| {system} | {rate:.1f} | {1000 / rate:.1f} | {cpu:.1f} | {ratio} | {cpu_ratio} "
            f"| {memory:.0f} | {bleu:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    with exit_on_error():
        run_task(Task(**json.loads(sys.argv[2]))) if sys.argv[1:2] == ["--work"] else main()
