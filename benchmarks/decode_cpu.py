"""Search on a CPU beside CTranslate2 and Hugging Face, all with the same weights.

    python benchmarks/decode_cpu.py RUN --source FILE --reference FILE [--threads 1] [--rounds 3]

RUN is a run of transformer2017 with a joint SentencePiece vocabulary. It is exported to both formats. Each
measurement is a process of its own, which loads the model, warms up on some sentences, translates the
others from text to text, and tells seconds, peak memory and what it said; rounds alternate between the
systems, and the table has medians. With several threads, regard has as many worker processes, whose start
counts, and CTranslate2 as many translators of one thread; Hugging Face has the threads, and so have all with
one sentence at a time. Needs ctranslate2 and transformers: pip install -e '.[dev]'
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

SYSTEMS = ("regard float32", "regard int8", "ctranslate2 float32", "ctranslate2 int8", "huggingface float32")
MODES = {"beam 5": (5, 64), "greedy": (1, 64), "beam 5, one at a time": (5, 1), "greedy, one at a time": (1, 1)}
WARM_UP = 32  # sentences
ONE_BY_ONE = 150  # sentences, for they take long
MOST_NEW = 150  # tokens

Translate = Callable[[Sequence[str]], list[str]]


def regard_system(run: Path, precision: str, beam: int, batch: int, threads: int, alpha: float) -> Translate:
    from regard import workers
    from regard.translator import Translator

    options: dict[str, Any] = {"beam_size": beam, "length_penalty": alpha, "length_norm": "average"}  # as the others
    if threads > 1 and batch > 1:
        load = partial(Translator.load, run, "cpu", precision)
        return lambda lines: [found[0].text for found in workers.stream(load, lines, threads, **options)]
    translator = Translator.load(run, "cpu", precision)  # type: ignore[arg-type]

    def translate(lines: Sequence[str]) -> list[str]:
        if batch == 1:
            return [translator.translate([line], **options)[0][0].text for line in lines]
        return [found[0].text for found in translator.stream(lines, batch_size=batch, **options)]

    return translate


def ctranslate2_system(folder: Path, precision: str, beam: int, batch: int, threads: int, alpha: float) -> Translate:
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


def read(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def work(arguments: argparse.Namespace) -> None:
    """One measurement, told as JSON."""
    import torch

    torch.set_num_threads(arguments.threads)
    name, precision = arguments.system.split()
    beam, batch = MODES[arguments.mode]
    makers: dict[str, Callable[[], Translate]] = {
        "regard": lambda: regard_system(arguments.run, precision, beam, batch, arguments.threads, arguments.alpha),
        "ctranslate2": lambda: ctranslate2_system(
            arguments.exports / "ctranslate2", precision, beam, batch, arguments.threads, arguments.alpha
        ),
        "huggingface": lambda: huggingface_system(arguments.exports / "marian", beam, batch, arguments.alpha),
    }
    translate = makers[name]()
    lines = read(arguments.source)[: ONE_BY_ONE if batch == 1 else None]
    translate(lines[:WARM_UP])
    began = time.perf_counter()
    said = translate(lines)
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": memory, "said": said}))


def measured(arguments: argparse.Namespace, exports: Path, system: str, mode: str, alpha: float) -> dict[str, Any]:
    command = [sys.executable, __file__, str(arguments.run), "--source", str(arguments.source)]
    command += ["--reference", str(arguments.reference), "--threads", str(arguments.threads)]
    command += ["--system", system, "--mode", mode, "--exports", str(exports), "--alpha", str(alpha)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{system}, {mode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def export(run: Path, folder: Path) -> None:
    for kind in ("ctranslate2", "marian"):
        subprocess.run(
            [sys.executable, "-m", "regard", "export", str(run), "--to", kind, str(folder / kind)],
            check=True,
            capture_output=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=list(MODES))
    parser.add_argument("--system", help=argparse.SUPPRESS)  # of a measurement's own process, with the next three
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--exports", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--alpha", type=float, default=1.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.system:
        work(arguments)
        return
    from sacrebleu.metrics.bleu import BLEU

    references = read(arguments.reference)
    with tempfile.TemporaryDirectory() as folder:
        export(arguments.run, Path(folder))
        for mode in arguments.modes:
            found: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
            for _ in range(arguments.rounds):
                for system in SYSTEMS:
                    found[system].append(measured(arguments, Path(folder), system, mode, 1.0))
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
        ratio = seconds[SYSTEMS[-1]] / seconds[system]
        print(f"| {system} | {rate:.1f} | {1000 / rate:.1f} | {ratio:.2f} | {memory:.0f} | {bleu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
