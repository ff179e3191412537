"""Compare `regard train` and a plain Hugging Face loop on text that no default was chosen on.

    python benchmarks/unseen_text.py CORPUS OUT [--systems regard huggingface] [--minutes 10] [--held-out 1000]
                                     [--elsewhere CORPUS...] [--threads 1] [--beam-size 1] [-- OPTION...]

CORPUS is a folder with train.en.gz, train.de.gz and a dev set, dev or val: multi30k, tatoeba-en-de and debian-en-de in
shared/data. The last pairs of its training data whose source and target occur only once are held out; both systems
train on the rest, one after the other on the same cores, and translate three kinds of text: the dev set, the held-out
pairs, and the dev sets of other corpora. With `--` come options of `regard train`. Test sets are not read.

regard is `regard train` with the recipe that it chooses, for --minutes. The Hugging Face loop is that of
time_to_quality.py, with its learning rate and batch; its vocabulary and batches are prepared for it, and only its
updates are timed. Both search greedily, unless --beam-size says otherwise.

The table has BLEU, chrF, and the F1 of rare words, which unseen text has more of than a dev set of the same source.

OUT keeps the texts, the runs and the translations: SYSTEM.SET.de. A system whose translations are there is not run
again, so that systems can be trained at different times or for different minutes. Two invocations at the same time
share the first cores; `taskset` gives each its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from common import check_folder, count, exit_on_error, fail, print_machine, read, read_pair, write_gzip
from peers.measure import THREADS
from peers.task import SOURCE, TARGET
from peers.work import make
from time_to_quality import INIT_STD, SYSTEMS, Recipe, train_command
from train_cpu import pin_to_cores

from regard.errors import DataError

RECIPE = Recipe()
DEV_NAMES = ("val", "dev")
SETS = ("val", "held-out")
RARE = 100  # occurrences in the training data


def read_dev(folder: Path) -> tuple[list[str], list[str]]:
    """Return both sides of a corpus's dev set."""
    name = next((name for name in DEV_NAMES if (folder / f"{name}.{SOURCE}.gz").exists()), DEV_NAMES[-1])
    return read_pair(folder / f"{name}.{SOURCE}.gz", folder / f"{name}.{TARGET}.gz")


def read_train(folder: Path, held_out: int) -> dict[str, tuple[list[str], list[str]]]:
    """Return the pairs to train on and the held-out ones, the last whose source and target both occur once.

    Raises:
        DataError: Nothing would be left to train on, or a file cannot be read.
    """
    path = folder / f"train.{SOURCE}.gz"
    sides = read_pair(path, folder / f"train.{TARGET}.gz")
    counts = [Counter(side) for side in sides]
    unique = [
        index
        for index, (source, target) in enumerate(zip(*sides, strict=True))
        if counts[0][source] == 1 == counts[1][target]
    ]
    if held_out >= len(unique):
        raise DataError(f"--held-out {held_out} leaves none of the {len(unique):,} pairs that occur once", where=path)
    last = set(unique[-held_out:])

    def pick(is_held_out: bool) -> tuple[list[str], list[str]]:
        chosen = [[line for index, line in enumerate(side) if (index in last) == is_held_out] for side in sides]
        return chosen[0], chosen[1]

    return {"train": pick(False), "held-out": pick(True)}


def prepare_texts(corpus: Path, elsewhere: Sequence[Path], folder: Path, held_out: int) -> list[str]:
    """Write what is trained on and what is translated, and return the names of the latter. Raises DataError."""
    domains = {domain.name: read_dev(domain) for domain in elsewhere}
    for name, sides in (read_train(corpus, held_out) | {"val": read_dev(corpus)} | domains).items():
        for language, lines in zip((SOURCE, TARGET), sides, strict=True):
            write_gzip(folder / f"{name}.{language}.gz", lines)
    return [*SETS, *domains]


def run(command: Sequence[str], threads: int, log: Path) -> None:
    """Run a command to its end. Print the last of its output and exit if it fails."""
    variables = os.environ | dict.fromkeys(THREADS, str(threads))
    with log.open("w", encoding="utf-8") as file:
        result = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=variables)
    if result.returncode:
        fail(f"{log}: {log.read_text(encoding='utf-8')[-500:]}")


def run_regard(folder: Path, sets: Sequence[str], arguments: argparse.Namespace) -> None:
    """Train with the recipe that regard chooses, and translate the sets."""
    options = ["--minutes", f"{arguments.minutes:g}", *arguments.options]
    run(train_command(folder, folder / "run", options), arguments.threads, folder / "regard.log")
    translate = [
        sys.executable,
        "-m",
        "regard",
        "translate",
        str(folder / "run"),
        "--beam-size",
        str(arguments.beam_size),
    ]
    for name in sets:
        files = ["-i", str(folder / f"{name}.{SOURCE}.gz"), "-o", str(folder / f"regard.{name}.{TARGET}")]
        run([*translate, *files], arguments.threads, folder / "regard.translate.log")


def run_huggingface(folder: Path, sets: Sequence[str], arguments: argparse.Namespace) -> None:
    """Train the Hugging Face model in a separate process, and translate the sets."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    make(folder, work)
    settings = [str(arguments.threads), str(arguments.minutes), str(arguments.beam_size)]
    run([sys.executable, __file__, "--work", str(folder), *settings, *sets], arguments.threads, folder / "hf.log")


def huggingface_work(folder: Path, threads: int, minutes: float, beam_size: int, sets: Sequence[str]) -> None:
    """Train the Hugging Face model for some minutes, and write its translations."""
    from peers.here import huggingface_translations, huggingface_updates, marian_model, open_work

    _, prepared, loader = open_work(folder / "work", threads, RECIPE.batch)
    model = marian_model(prepared.tokenizers.source.size, init_std=INIT_STD)
    end = time.monotonic() + 60 * minutes
    for step, _ in enumerate(huggingface_updates(model, loader, RECIPE.rate, RECIPE.warm_up), start=1):
        if time.monotonic() >= end:
            print(f"{step} updates")
            break
    for name in sets:
        sources = read(folder / f"{name}.{SOURCE}.gz")
        translations = huggingface_translations(model, prepared.tokenizers, sources, beam_size)
        text = "".join(f"{translation}\n" for translation in translations)
        (folder / f"huggingface.{name}.{TARGET}").write_text(text, encoding="utf-8")


def report(folder: Path, sets: Sequence[str], systems: Sequence[str]) -> None:
    """Print BLEU, chrF and F1 of rare words of each system on each set, in Markdown. Raises DataError."""
    from sacrebleu.metrics.bleu import BLEU

    from regard.evaluation.by_frequency import by_frequency, split_words
    from regard.evaluation.metrics import bleu, chrf

    def words(lines: Sequence[str]) -> list[list[str]]:
        return [split_words(line, metric) for line in lines]

    def score(reference: Path, translations: Path) -> str:
        references, hypotheses = read_pair(reference, translations)
        classes = by_frequency(words(hypotheses), words(references), counts)
        rare = [part for part in classes if part.max_count and part.max_count < RARE]
        total = sum(part.in_hypotheses + part.in_references for part in rare)
        f1 = 200 * sum(part.matched for part in rare) / max(1, total)
        scores = bleu(hypotheses, references, target_language=TARGET), chrf(hypotheses, references)
        return f"{scores[0]:.2f}, {scores[1]:.2f}, {f1:.1f}"

    metric = BLEU()
    counts = Counter(word for line in words(read(folder / f"train.{TARGET}.gz")) for word in line)
    rows = []
    for name in sets:
        reference = folder / f"{name}.{TARGET}.gz"
        rows.append([name, *(score(reference, folder / f"{system}.{name}.{TARGET}") for system in systems)])
    print_machine()
    print(f"BLEU, chrF, and F1 of words that the training data has 1 to {RARE - 1} times; cased and detokenized.\n")
    for row in (["text", *systems], ["---"] * (1 + len(systems)), *rows):
        print(f"| {' | '.join(row)} |")


def split_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what precedes `--` and what follows it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--held-out", type=count, default=1000)
    parser.add_argument("--elsewhere", type=Path, nargs="+", default=[], metavar="CORPUS")
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--beam-size", type=count, default=1)
    own, options = split_options(sys.argv[1:])
    arguments = parser.parse_args(own, argparse.Namespace(options=options))
    corpus, *elsewhere = map(check_folder, (arguments.corpus, *arguments.elsewhere))
    arguments.out.mkdir(parents=True, exist_ok=True)
    sets = prepare_texts(corpus, elsewhere, arguments.out, arguments.held_out)
    systems = list(dict.fromkeys(arguments.systems))
    for system in systems:
        if not all((arguments.out / f"{system}.{name}.{TARGET}").exists() for name in sets):
            pin_to_cores(arguments.threads)
            (run_regard if system == "regard" else run_huggingface)(arguments.out, sets, arguments)
    report(arguments.out, sets, systems)


if __name__ == "__main__":
    with exit_on_error():
        if sys.argv[1:2] == ["--work"]:
            folder, threads, minutes, beam_size, *sets = sys.argv[2:]
            huggingface_work(Path(folder), int(threads), float(minutes), int(beam_size), sets)
        else:
            main()
