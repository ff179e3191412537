"""Compare `regard train` and a plain Hugging Face loop on text that no default was chosen on.

    python benchmarks/unseen_text.py CORPUS -o FOLDER [--systems regard huggingface] [--minutes 10] [--held-out 1000]
                                     [--elsewhere CORPUS...] [--threads 1] [--beam-size 1] [-- OPTION...]

CORPUS is a folder with train.en.gz, train.de.gz and a dev set, dev or val: multi30k, tatoeba-en-de and debian-en-de in
shared/data. The last pairs of its training data whose source and target occur only once are held out; both systems
train on the rest, one after the other on the same cores, and translate three kinds of text: the dev set, the held-out
pairs, and the dev sets of other corpora. With `--` come options of `regard train`. Test sets are not read.

regard is `regard train` with the recipe that it chooses, for --minutes. The Hugging Face loop is that of
time_to_quality.py, with its learning rate and batch; its vocabulary and batches are prepared for it, and only its
updates are timed. Both search greedily, unless --beam-size says otherwise.

The table has BLEU, chrF, and the F1 of rare words, which unseen text has more of than a dev set of the same source.

FOLDER keeps the texts, the runs and the translations: SYSTEM.SET.de. A system whose translations are there is not run
again, so that systems can be trained at different times or for different minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import check_folder, count, exit_on_error, fail, print_machine, read, read_pair, write_gzip
from peers.measure import THREADS
from peers.task import SOURCE, TARGET
from peers.work import make
from time_to_quality import INIT_STD, Recipe
from train_cpu import pin_to_cores

RECIPE = Recipe(rate=0.001, warm_up=400, batch=2048)
SYSTEMS = ("regard", "huggingface")
DEV_NAMES = ("val", "dev")
SETS = ("dev", "held-out")
RARE = 100  # occurrences in the training data


def read_dev(folder: Path) -> tuple[list[str], list[str]]:
    """Return both sides of a corpus's dev set."""
    name = next((name for name in DEV_NAMES if (folder / f"{name}.{SOURCE}.gz").exists()), DEV_NAMES[-1])
    return read_pair(folder / f"{name}.{SOURCE}.gz", folder / f"{name}.{TARGET}.gz")


def split(sources: Sequence[str], targets: Sequence[str], held_out: int) -> tuple[list[int], list[int]]:
    """Return the indices of the pairs to train on, and of the last pairs whose sides both occur once, in order."""
    counts = Counter(sources), Counter(targets)
    once = [i for i in range(len(sources)) if counts[0][sources[i]] == 1 and counts[1][targets[i]] == 1]
    last = set(once[-held_out:])
    return [index for index in range(len(sources)) if index not in last], sorted(last)


def write_pair(folder: Path, name: str, sources: Sequence[str], targets: Sequence[str]) -> None:
    """Write both sides of a text."""
    write_gzip(folder / f"{name}.{SOURCE}.gz", sources)
    write_gzip(folder / f"{name}.{TARGET}.gz", targets)


def prepare_texts(corpus: Path, elsewhere: Sequence[Path], folder: Path, held_out: int) -> list[str]:
    """Write what is trained on and what is translated, and return the names of the latter."""
    sources, targets = read_pair(corpus / f"train.{SOURCE}.gz", corpus / f"train.{TARGET}.gz")
    for name, indices in zip(("train", SETS[1]), split(sources, targets, held_out), strict=True):
        write_pair(folder, name, [sources[i] for i in indices], [targets[i] for i in indices])
    for name in ("val", SETS[0]):  # the first is for validation, where `make` expects it
        write_pair(folder, name, *read_dev(corpus))
    for domain in elsewhere:
        write_pair(folder, domain.name, *read_dev(domain))
    return [*SETS, *(domain.name for domain in elsewhere)]


def run(command: Sequence[str], threads: int, log: Path) -> None:
    """Run a command to its end. Print the last of its output and exit if it fails."""
    variables = os.environ | dict.fromkeys(THREADS, str(threads))
    with log.open("w", encoding="utf-8") as file:
        result = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=variables)
    if result.returncode:
        fail(f"{log}: {log.read_text(encoding='utf-8')[-500:]}")


def run_regard(folder: Path, sets: Sequence[str], arguments: argparse.Namespace) -> None:
    """Train with the recipe that regard chooses, and translate the sets."""
    regard = [sys.executable, "-m", "regard"]
    files = {
        "--source": f"train.{SOURCE}",
        "--target": f"train.{TARGET}",
        "--dev-source": f"val.{SOURCE}",
        "--dev-target": f"val.{TARGET}",
    }
    data = [text for option, name in files.items() for text in (option, str(folder / f"{name}.gz"))]
    train = ["train", *data, "--minutes", f"{arguments.minutes:g}", "-o", str(folder / "run"), *arguments.options]
    run([*regard, *train], arguments.threads, folder / "regard.log")
    for name in sets:
        files_of_set = ["-i", str(folder / f"{name}.{SOURCE}.gz"), "-o", str(folder / f"regard.{name}.{TARGET}")]
        search = ["--beam-size", str(arguments.beam_size)]
        translate = ["translate", str(folder / "run"), *files_of_set, *search]
        run([*regard, *translate], arguments.threads, folder / "regard.translate.log")


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


def rare_words_f1(hypotheses: Sequence[str], references: Sequence[str], counts: Mapping[str, int]) -> float:
    """Return F1, in percent, of the words that the training data has fewer than RARE times."""
    from sacrebleu.metrics.bleu import BLEU

    from regard.evaluation.by_frequency import by_frequency, split_words

    metric = BLEU()
    words, expected = ([split_words(line, metric) for line in lines] for lines in (hypotheses, references))
    classes = [rare for rare in by_frequency(words, expected, counts) if rare.max_count and rare.max_count < RARE]
    total = sum(rare.in_hypotheses + rare.in_references for rare in classes)
    return 200 * sum(rare.matched for rare in classes) / total if total else 0.0


def report(folder: Path, sets: Sequence[str], systems: Sequence[str]) -> None:
    """Print BLEU, chrF and F1 of rare words of each system on each set, in Markdown."""
    from sacrebleu.metrics.bleu import BLEU

    from regard.evaluation.by_frequency import split_words
    from regard.evaluation.metrics import bleu, chrf

    metric = BLEU()
    counts = Counter(word for line in read(folder / f"train.{TARGET}.gz") for word in split_words(line, metric))
    print_machine()
    print(f"BLEU, chrF, and F1 of words that the training data has 1 to {RARE - 1} times; cased and detokenized.\n")
    print("| text | pairs | " + " | ".join(systems) + " |")
    print("| --- | ---: |" + " --- |" * len(systems))
    for name in sets:
        references = read(folder / f"{name}.{TARGET}.gz")
        cells: list[str] = []
        for system in systems:
            hypotheses = read(folder / f"{system}.{name}.{TARGET}")
            score = bleu(hypotheses, references, target_language=TARGET)
            rare = rare_words_f1(hypotheses, references, counts)
            cells.append(f"{score:.2f}, {chrf(hypotheses, references):.2f}, {rare:.1f}")
        print(f"| {name} | {len(references):,} | {' | '.join(cells)} |")


def split_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what precedes `--` and what follows it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
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
    pin_to_cores(arguments.threads)
    sets = prepare_texts(corpus, elsewhere, arguments.out, arguments.held_out)
    for system in dict.fromkeys(arguments.systems):
        if not all((arguments.out / f"{system}.{name}.{TARGET}").exists() for name in sets):
            (run_regard if system == "regard" else run_huggingface)(arguments.out, sets, arguments)
    report(arguments.out, sets, list(dict.fromkeys(arguments.systems)))


if __name__ == "__main__":
    with exit_on_error():
        if sys.argv[1:2] == ["--work"]:
            folder, threads, minutes, beam_size, *sets = sys.argv[2:]
            huggingface_work(Path(folder), int(threads), float(minutes), int(beam_size), sets)
        else:
            main()
