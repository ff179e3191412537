"""Search on a CPU beside CTranslate2 and Hugging Face, all with the same weights.

    python benchmarks/decode_cpu.py RUN --source FILE --reference FILE [--threads 1] [--rounds 3] [--shortlist]

RUN is a run of transformer2017 with a joint SentencePiece vocabulary. It is exported to both formats. Each
measurement is a process of its own, which loads the model, warms up on some sentences, translates all
of them from text to text, and tells seconds, peak memory and what it said; rounds alternate between the
systems, and the table has medians. With several threads, regard has as many worker processes, whose start
counts, and CTranslate2 as many translators of one thread; Hugging Face has the threads, and so have all with
one sentence at a time. With --shortlist, regard and CTranslate2 come with the run's shortlist, too, which `regard
shortlist RUN` makes. Needs ctranslate2 and transformers: pip install -e '.[dev]'
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
from typing import Any

from common import count, fail, read, read_pair, told

BASIS = "huggingface float32"
SYSTEMS = ("regard float32", "regard int8", "ctranslate2 float32", "ctranslate2 int8", BASIS)
SHORT = tuple(f"{system} shortlist" for system in SYSTEMS if system != BASIS)
MODES = {"beam 5": (5, 64), "greedy": (1, 64), "beam 5, one at a time": (5, 1), "greedy, one at a time": (1, 1)}
WARM_UP = 32  # sentences
ONE_BY_ONE = 150  # sentences, for they take long
MOST_NEW = 150  # tokens

Translate = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Task:
    """One measurement. exports: the folder of the run's exports. alpha: scores are divided by the length to this."""

    run: str
    source: str
    system: str
    mode: str
    exports: str
    threads: int = 1
    alpha: float = 1.0


def regard_system(
    run: Path, precision: str, beam: int, batch: int, threads: int, alpha: float, short: bool
) -> Translate:
    from regard.inference import workers
    from regard.inference.translator import Translator

    options: dict[str, Any] = {"beam_size": beam, "length_penalty": alpha, "length_norm": "average"}  # as the others
    options["shortlist"] = short
    options["split_sentences"] = False
    if threads > 1 and batch > 1:
        load = partial(Translator.load, run, "cpu", precision)
        return lambda lines: [best.text for best in workers.stream(load, lines, threads, **options)]
    translator = Translator.load(run, "cpu", precision)  # type: ignore[arg-type]

    def translate(lines: Sequence[str]) -> list[str]:
        if batch == 1:
            return [translator.translate(line, **options).text for line in lines]
        return [best.text for best in translator.stream(lines, batch_size=batch, **options)]

    return translate


def ctranslate2_system(
    folder: Path, precision: str, beam: int, batch: int, threads: int, alpha: float, short: bool
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

    def some(lines: Sequence[str]) -> list[str]:
        found = model.translate_batch(
            [source.encode(line, out_type=str) for line in lines],
            beam_size=beam,
            max_batch_size=batch,
            length_penalty=alpha,
            max_decoding_length=MOST_NEW,
            use_vmap=short,
        )
        return [target.decode(one.hypotheses[0]) for one in found]

    return lambda lines: some(lines) if batch > 1 else [some([line])[0] for line in lines]


def huggingface_system(folder: Path, beam: int, batch: int, alpha: float) -> Translate:
    import torch
    from transformers import MarianMTModel, MarianTokenizer

    tokenizer = MarianTokenizer.from_pretrained(folder)
    model = MarianMTModel.from_pretrained(folder).eval()

    def translate(lines: Sequence[str]) -> list[str]:
        said = [""] * len(lines)
        by_length = sorted(range(len(lines)), key=lambda place: -len(lines[place]))
        for start in range(0, len(lines), batch):
            places = by_length[start : start + batch]
            inputs = tokenizer([lines[place] for place in places], return_tensors="pt", padding=True)
            with torch.inference_mode():
                out = model.generate(**inputs, num_beams=beam, max_new_tokens=MOST_NEW, length_penalty=alpha)
            for place, text in zip(places, tokenizer.batch_decode(out, skip_special_tokens=True), strict=True):
                said[place] = text
        return said

    return translate


def work(task: Task) -> None:
    """A task in this process, told as JSON."""
    import torch

    torch.set_num_threads(task.threads)
    name, precision, *rest = task.system.split()
    beam, batch = MODES[task.mode]
    exports, search = Path(task.exports), (precision, beam, batch, task.threads, task.alpha, rest == ["shortlist"])
    makers: dict[str, Callable[[], Translate]] = {
        "regard": lambda: regard_system(Path(task.run), *search),
        "ctranslate2": lambda: ctranslate2_system(exports / "ctranslate2", *search),
        "huggingface": lambda: huggingface_system(exports / "marian", beam, batch, task.alpha),
    }
    translate = makers[name]()
    lines = read(Path(task.source), ONE_BY_ONE if batch == 1 else None)
    translate(lines[:WARM_UP])
    began = time.perf_counter()
    said = translate(lines)
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": memory, "said": said}))


def measured(task: Task) -> dict[str, Any]:
    """A task in a process of its own: its `seconds`, peak `megabytes`, and the translations that it `said`."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--work", json.dumps(asdict(task))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 2:
        fail(f"{task.system}, {task.mode}: {done.stderr.removeprefix('error: ')}")
    if done.returncode:
        sys.exit(f"{task.system}, {task.mode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def export(run: Path, kind: str, folder: Path) -> str:
    """Write FOLDER/KIND, of ctranslate2 and marian; what is wrong where that cannot be, else nothing.

    In a process of its own: what this one held would count as the peak memory of those that it starts.
    """
    command = [sys.executable, "-m", "regard", "export", str(run), "--to", kind, str(folder / kind)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.returncode:
        return ""
    told = done.stderr.strip()
    return told.removeprefix("error: ").partition("\n")[0] if told.startswith("error: ") else told[-2000:]


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
    systems = (*SYSTEMS, *SHORT) if arguments.shortlist else SYSTEMS
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("ctranslate2", "marian"):
            if wrong := export(arguments.run, kind, Path(folder)):
                fail(wrong)
        if arguments.shortlist and not (Path(folder) / "ctranslate2" / "vmap.txt").is_file():
            fail(f"{arguments.run}: the run has no shortlist: make one by `regard shortlist {arguments.run}`")
        for mode in arguments.modes:
            found: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
            for _ in range(arguments.rounds):
                for system in systems:
                    task = Task(str(arguments.run), str(arguments.source), system, mode, folder, arguments.threads)
                    found[system].append(measured(task))
            report(mode, found, references, BLEU)


def report(
    mode: str, found: dict[str, list[dict[str, Any]]], references: Sequence[str], metric: Callable[[], Any]
) -> None:
    print(f"\n{mode}\n| system | sentences/s | ms a sentence | of Hugging Face | peak MB | BLEU |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    seconds = {system: statistics.median(one["seconds"] for one in some) for system, some in found.items()}
    for system, some in found.items():
        said = some[0]["said"]
        rate = len(said) / seconds[system]
        memory = statistics.median(one["megabytes"] for one in some)
        bleu = metric().corpus_score(said, [list(references[: len(said)])]).score
        ratio = seconds[BASIS] / seconds[system]
        print(f"| {system} | {rate:.1f} | {1000 / rate:.1f} | {ratio:.2f} | {memory:.0f} | {bleu:.2f} |", flush=True)


if __name__ == "__main__":
    with told():
        work(Task(**json.loads(sys.argv[2]))) if sys.argv[1:2] == ["--work"] else main()
