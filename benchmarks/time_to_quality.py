"""Measure the training time to a given BLEU: regard, and the Hugging Face model in a plain PyTorch loop.

    python benchmarks/time_to_quality.py [--threads 1] [--marks 31.7 36] [--minutes 60] [--rate 0.001]
                                         [--warm-up 400] [--batch 2048] [--systems NAME...] [--data FOLDER]
                                         [-- OPTION...]

The task is Multi30k from English to German. BLEU is sacreBLEU on test_2016_flickr, detokenized and cased, with greedy
search. The systems run one after another on the same cores.

regard runs as the command `regard train --source ... --target ...`, with the recipe that it chooses for these files
and the options after `--`. The measured time starts with the command and includes reading the corpus, learning the
vocabulary and validating each checkpoint. At each checkpoint, the process and the clock are paused, and the checkpoint
on disk is tested.

The Hugging Face model is MarianMTModel with hidden size 256, 3 + 3 layers and 8,000 pieces. It is trained with Adam on
batches of about --batch target tokens. The learning rate rises to --rate over --warm-up updates, then falls with the
inverse square root of the number of updates. Vocabulary and batches are prepared for it, and it does not validate: only
updates are timed. It is tested once per minute of training time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common import count, exit_on_error, fail, print_machine, read_pair
from peers.measure import THREADS
from peers.task import SOURCE, TARGET
from peers.work import make
from train_cpu import DATA, pin_to_cores

TEST = "test_2016_flickr"
SYSTEMS = ("regard", "huggingface")
POLL_INTERVAL = 0.2  # seconds between two checks for a new checkpoint
INIT_STD = 0.02  # standard deviation of the initial weights, the default of Hugging Face
TEST_INTERVAL = 60.0  # seconds of training between two tests of the Hugging Face model


class Recipe(NamedTuple):
    """How the Hugging Face model is trained: peak learning rate, warm-up updates, target tokens per batch."""

    rate: float = 0.001
    warm_up: int = 400
    batch: int = 2048


TestResult = tuple[float, int, float]  # seconds of training, steps, BLEU


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    from regard.evaluation.metrics import bleu as sacrebleu

    return sacrebleu(list(hypotheses), list(references), target_language=TARGET)


def train_command(data: Path, run: Path, options: Sequence[str]) -> list[str]:
    """Return the command that trains regard on train.en.gz and train.de.gz, with val.en.gz and val.de.gz as dev set."""
    files = {
        "--source": f"train.{SOURCE}",
        "--target": f"train.{TARGET}",
        "--dev-source": f"val.{SOURCE}",
        "--dev-target": f"val.{TARGET}",
    }
    data_options = [text for option, name in files.items() for text in (option, str(data / f"{name}.gz"))]
    return [sys.executable, "-m", "regard", "train", *data_options, "--out", str(run), *options]


def regard_run(data: Path, threads: int, options: Sequence[str]) -> Iterator[TestResult]:
    """Run `regard train` and yield the test result of each checkpoint; training is paused during the test."""
    from regard.inference.translator import Translator

    sources, references = read_pair(data / f"{TEST}.{SOURCE}.gz", data / f"{TEST}.{TARGET}.gz")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        command = train_command(data, run, options)
        start, paused, tested = time.monotonic(), 0.0, ""
        with running(command, threads, run.parent / "log") as process:
            while process.poll() is None or _last_checkpoint(run) != tested:
                if _last_checkpoint(run) == tested:
                    time.sleep(POLL_INTERVAL)
                    continue
                process.send_signal(signal.SIGSTOP)
                stopped = time.monotonic()
                tested = _last_checkpoint(run)
                translations = Translator.load(run / "checkpoints" / tested, device="cpu").translate(
                    sources, beam_size=1, split_sentences=False
                )
                score = bleu([translation.text for translation in translations], references)
                yield stopped - start - paused, int(tested.rpartition("-")[2]), score
                process.send_signal(signal.SIGCONT)
                paused += time.monotonic() - stopped
        if process.returncode:
            fail(f"regard train: {(run.parent / 'log').read_text(encoding='utf-8')[-500:]}")


def _last_checkpoint(run: Path) -> str:
    """Return the name of the newest checkpoint, or "" if there is none."""
    link = run / "last"
    return link.readlink().name if link.is_symlink() else ""


@contextlib.contextmanager
def running(command: Sequence[str], threads: int, log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process until the end of the context; write its output to a file."""
    variables = os.environ | dict.fromkeys(THREADS, str(threads))
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=variables, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def huggingface_run(data: Path, threads: int, recipe: Recipe) -> Iterator[TestResult]:
    """Train the Hugging Face model and yield its test results, one per minute of training time."""
    with tempfile.TemporaryDirectory() as scratch:
        make(data, Path(scratch))
        log = Path(scratch) / "log"
        command = [sys.executable, __file__, "--work", scratch, str(data), str(threads), *map(str, recipe)]
        with running(command, threads, log) as process, log.open(encoding="utf-8") as lines:
            while True:
                line = lines.readline()
                if line.startswith("{") and line.endswith("\n"):
                    result = json.loads(line)
                    yield result["seconds"], result["step"], result["bleu"]
                elif not line and process.poll() is not None:
                    fail(f"Hugging Face loop: {log.read_text(encoding='utf-8')[-500:]}")
                elif not line:
                    time.sleep(POLL_INTERVAL)


def huggingface_work(folder: Path, data: Path, threads: int, recipe: Recipe) -> None:
    """Train the Hugging Face model, in a separate process, until it is killed."""
    from peers.here import huggingface_translations, huggingface_updates, marian_model, open_work

    _, prepared, loader = open_work(folder, threads, recipe.batch)
    model = marian_model(prepared.tokenizers.source.size, init_std=INIT_STD)
    sources, references = read_pair(data / f"{TEST}.{SOURCE}.gz", data / f"{TEST}.{TARGET}.gz")
    start, paused, due = time.monotonic(), 0.0, TEST_INTERVAL
    for step, _ in enumerate(huggingface_updates(model, loader, recipe.rate, recipe.warm_up), start=1):
        stopped = time.monotonic()
        if stopped - start - paused < due:
            continue
        due += TEST_INTERVAL
        score = bleu(huggingface_translations(model, prepared.tokenizers, sources), references)
        print(json.dumps({"seconds": stopped - start - paused, "step": step, "bleu": score}), flush=True)
        paused += time.monotonic() - stopped


def collect(name: str, results: Iterator[TestResult], marks: Sequence[float], minutes: float) -> list[TestResult]:
    """Return the test results until the highest mark is reached or the minutes are over; print each result."""
    collected: list[TestResult] = []
    with contextlib.closing(results) as tests:  # type: ignore[type-var]
        for seconds, step, score in tests:
            collected.append((seconds, step, score))
            print(f"{name}: {seconds:,.0f} s, step {step:,}: BLEU {score:.2f}", file=sys.stderr, flush=True)
            if score >= max(marks) or seconds >= 60 * minutes:
                break
    return collected


def time_to(tests: Sequence[TestResult], mark: float) -> float | None:
    """Return the seconds of the first test with at least this BLEU, or None."""
    return next((seconds for seconds, _, score in tests if score >= mark), None)


def report(results: dict[str, list[TestResult]], marks: Sequence[float], threads: int) -> None:
    """Print the seconds to each mark, in Markdown."""
    print_machine()
    print(f"Threads: {threads}. Seconds of training to reach a BLEU on test_2016_flickr, greedy.\n")
    print("| system | " + " | ".join(f"to {mark:g}" for mark in marks) + " | best | steps |")
    print("| --- |" + " ---: |" * (len(marks) + 2))
    for name, tests in results.items():
        times = [time_to(tests, mark) for mark in marks]
        shown = ["not reached" if time is None else f"{time:,.0f}" for time in times]
        best, steps = max((score for *_, score in tests), default=0.0), tests[-1][1] if tests else 0
        print(f"| {name} | {' | '.join(shown)} | {best:.2f} | {steps:,} |")
    if len(results) == len(SYSTEMS):
        for mark in marks:
            ours, theirs = (time_to(results[name], mark) for name in SYSTEMS)
            if ours is not None and theirs is not None:
                print(f"\nTo {mark:g}: regard took {ours / theirs:.2f} times as long as Hugging Face.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--marks", type=float, nargs="+", default=[31.7, 36.0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=Recipe().rate)
    parser.add_argument("--warm-up", type=count, default=Recipe().warm_up)
    parser.add_argument("--batch", type=count, default=Recipe().batch)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="options of `regard train`")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        fail(f"{arguments.data}: there is no such folder; Multi30k is not part of this project")
    pin_to_cores(arguments.threads)
    results: dict[str, list[TestResult]] = {}
    for name in dict.fromkeys(arguments.systems):
        if name == "regard":
            tests = regard_run(arguments.data, arguments.threads, arguments.options)
        else:
            recipe = Recipe(arguments.rate, arguments.warm_up, arguments.batch)
            tests = huggingface_run(arguments.data, arguments.threads, recipe)
        results[name] = collect(name, tests, arguments.marks, arguments.minutes)
    report(results, arguments.marks, arguments.threads)


if __name__ == "__main__":
    with exit_on_error():
        if sys.argv[1:2] == ["--work"]:
            folder, data, threads, rate, warm_up, batch = sys.argv[2:]
            recipe = Recipe(float(rate), int(warm_up), int(batch))
            huggingface_work(Path(folder), Path(data), int(threads), recipe)
        else:
            main()
