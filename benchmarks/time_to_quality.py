"""Minutes of training until a test set is translated so well: regard beside Hugging Face's model in a plain loop.

    python benchmarks/time_to_quality.py [--threads 1] [--marks 31.7 36] [--minutes 60] [--rate 0.001]
                                         [--warm-up 400] [--batch 2048] [--systems NAME...] [--data FOLDER]
                                         [-- OPTION...]

Multi30k from English to German; BLEU is sacreBLEU's of test_2016_flickr, detokenised and cased, by greedy search.
Systems go one after another on the same cores.

regard is its own command with the recipe that it chooses for these files, `regard train --source ... --target ...`,
with what follows `--` behind it. Its clock starts with the command: reading the corpus, learning the vocabulary and
judging each checkpoint on dev count. At each checkpoint it is stopped, with its clock, and what lies on the disk is
tested.

Hugging Face's is MarianMTModel, 256 wide with 3 + 3 layers and 8,000 pieces, trained with Adam, warmed up for --warm-up
updates to the learning rate --rate, which then falls with the square root of their number, on batches of about --batch
target tokens. Vocabulary and batches are given to it, and it judges nothing on dev: its clock has updates alone. It is
tested once a minute of that.
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

from common import count, fail, read_pair, told
from peers.measure import THREADS
from peers.work import SOURCE, TARGET, make
from train_cpu import DATA, pin

TEST = "test_2016_flickr"
SYSTEMS = ("regard", "huggingface")
LOOK = 0.2  # seconds between two looks for a checkpoint
SPREAD = 0.02  # of first weights: what Hugging Face begins with
APART = 60.0  # seconds of training between two tests of Hugging Face's


class Recipe(NamedTuple):
    """Of Hugging Face's model: the learning rate's peak, the updates before it, target tokens in a batch."""

    rate: float
    warm_up: int
    batch: int


Judged = tuple[float, int, float]  # seconds of training, steps, BLEU


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    from regard.evaluation.metrics import bleu as measured

    return measured(list(hypotheses), list(references), target_language=TARGET)


def regard_run(data: Path, threads: int, options: Sequence[str]) -> Iterator[Judged]:
    """Each checkpoint of `regard train`, tested while it stands still."""
    from regard.inference.translator import Translator

    sources, references = read_pair(data / f"{TEST}.{SOURCE}.gz", data / f"{TEST}.{TARGET}.gz")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        files = {
            "--source": f"train.{SOURCE}",
            "--target": f"train.{TARGET}",
            "--dev-source": f"val.{SOURCE}",
            "--dev-target": f"val.{TARGET}",
        }
        named = [text for option, name in files.items() for text in (option, str(data / f"{name}.gz"))]
        command = [sys.executable, "-m", "regard", "train", *named, "--out", str(run), *options]
        began, still, seen = time.monotonic(), 0.0, ""
        with running(command, threads, run.parent / "said") as process:
            while process.poll() is None or _last(run) != seen:
                if _last(run) == seen:
                    time.sleep(LOOK)
                    continue
                process.send_signal(signal.SIGSTOP)
                stopped = time.monotonic()
                seen = _last(run)
                found = Translator.load(run / "checkpoints" / seen, device="cpu").translate(
                    sources, beam_size=1, split_sentences=False
                )
                score = bleu([translation.text for translation in found], references)
                yield stopped - began - still, int(seen.rpartition("-")[2]), score
                process.send_signal(signal.SIGCONT)
                still += time.monotonic() - stopped
        if process.returncode:
            fail(f"regard train: {(run.parent / 'said').read_text(encoding='utf-8')[-500:]}")


def _last(run: Path) -> str:
    link = run / "last"
    return link.readlink().name if link.is_symlink() else ""


@contextlib.contextmanager
def running(command: Sequence[str], threads: int, said: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards; what it says goes to a file."""
    variables = os.environ | dict.fromkeys(THREADS, str(threads))
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=variables, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def huggingface_run(data: Path, threads: int, recipe: Recipe) -> Iterator[Judged]:
    """Hugging Face's model, tested each minute of its own clock."""
    with tempfile.TemporaryDirectory() as scratch:
        make(data, Path(scratch))
        said = Path(scratch) / "said"
        command = [sys.executable, __file__, "--work", scratch, str(data), str(threads), *map(str, recipe)]
        with running(command, threads, said) as process, said.open(encoding="utf-8") as lines:
            while True:
                line = lines.readline()
                if line.startswith("{") and line.endswith("\n"):
                    found = json.loads(line)
                    yield found["seconds"], found["step"], found["bleu"]
                elif not line and process.poll() is not None:
                    fail(f"Hugging Face's loop: {said.read_text(encoding='utf-8')[-500:]}")
                elif not line:
                    time.sleep(LOOK)


def huggingface_work(folder: Path, data: Path, threads: int, recipe: Recipe) -> None:
    """What trains Hugging Face's model, in a process of its own, without end."""
    from peers.here import huggingface_greedy, huggingface_updates, marian_model, open_work

    _, prepared, loader = open_work(folder, threads, recipe.batch)
    model = marian_model(prepared.tokenizers.source.size, spread=SPREAD)
    sources, references = read_pair(data / f"{TEST}.{SOURCE}.gz", data / f"{TEST}.{TARGET}.gz")
    began, still, due = time.monotonic(), 0.0, APART
    for step, _ in enumerate(huggingface_updates(model, loader, recipe.rate, recipe.warm_up), start=1):
        stopped = time.monotonic()
        if stopped - began - still < due:
            continue
        due += APART
        score = bleu(huggingface_greedy(model, prepared.tokenizers, sources), references)
        print(json.dumps({"seconds": stopped - began - still, "step": step, "bleu": score}), flush=True)
        still += time.monotonic() - stopped


def follow(name: str, judged: Iterator[Judged], marks: Sequence[float], minutes: float) -> list[Judged]:
    """All tests until the last mark is reached or the minutes are over, told as they come."""
    found: list[Judged] = []
    with contextlib.closing(judged) as tests:  # type: ignore[type-var]
        for seconds, step, score in tests:
            found.append((seconds, step, score))
            print(f"{name}: {seconds:,.0f} s, step {step:,}: BLEU {score:.2f}", file=sys.stderr, flush=True)
            if score >= max(marks) or seconds >= 60 * minutes:
                break
    return found


def reached(tests: Sequence[Judged], mark: float) -> float | None:
    """The seconds of the first test at a mark or above it."""
    return next((seconds for seconds, _, score in tests if score >= mark), None)


def report(found: dict[str, list[Judged]], marks: Sequence[float], threads: int) -> None:
    """Seconds to each mark, in Markdown."""
    print(f"Threads: {threads}. Seconds of training to a BLEU of test_2016_flickr, greedy.\n")
    print("| system | " + " | ".join(f"to {mark:g}" for mark in marks) + " | best | steps |")
    print("| --- |" + " ---: |" * (len(marks) + 2))
    for name, tests in found.items():
        times = [reached(tests, mark) for mark in marks]
        shown = ["not reached" if time is None else f"{time:,.0f}" for time in times]
        best, steps = max((score for *_, score in tests), default=0.0), tests[-1][1] if tests else 0
        print(f"| {name} | {' | '.join(shown)} | {best:.2f} | {steps:,} |")
    if len(found) == len(SYSTEMS):
        for mark in marks:
            ours, theirs = (reached(found[name], mark) for name in SYSTEMS)
            if ours is not None and theirs is not None:
                print(f"\nTo {mark:g}: regard took {ours / theirs:.2f} of Hugging Face's time.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--marks", type=float, nargs="+", default=[31.7, 36.0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--warm-up", type=count, default=400)
    parser.add_argument("--batch", type=count, default=2048)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of `regard train`")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        fail(f"{arguments.data}: there is no such folder; Multi30k is not part of this project")
    pin(arguments.threads)
    found: dict[str, list[Judged]] = {}
    for name in dict.fromkeys(arguments.systems):
        if name == "regard":
            judged = regard_run(arguments.data, arguments.threads, arguments.options)
        else:
            recipe = Recipe(arguments.rate, arguments.warm_up, arguments.batch)
            judged = huggingface_run(arguments.data, arguments.threads, recipe)
        found[name] = follow(name, judged, arguments.marks, arguments.minutes)
    report(found, arguments.marks, arguments.threads)


if __name__ == "__main__":
    with told():
        if sys.argv[1:2] == ["--work"]:
            folder, data, threads, rate, warm_up, batch = sys.argv[2:]
            recipe = Recipe(float(rate), int(warm_up), int(batch))
            huggingface_work(Path(folder), Path(data), int(threads), recipe)
        else:
            main()
