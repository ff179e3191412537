"""Plant known faults in a copy of a corpus and measure detection: recall of each kind, and false alarms.

    python benchmarks/doctor.py --source train.en.gz --target train.de.gz --dev-source val.en.gz \
        --dev-target val.de.gz --other train.fr.gz [--share 0.01] [--shuffled 0.2] [--seed 1]
    python benchmarks/doctor.py --source ... --target ... --other ... --write FOLDER --noise 0.2
    python benchmarks/doctor.py --source ... --target ... --large 2000000
    python benchmarks/doctor.py --source ... --target ... --only-shuffled 0.2 [--pairs 20000]

The first form plants each kind of fault in `--share` of the pairs (and targets of other pairs in `--shuffled` of them).
It prints a table: how many faults were planted, how many were reported as that kind, and how many as any kind that
`regard clean` removes. A second table counts the reports of each kind on untouched lines, and the reports on the same
lines in the original corpus.

`--write` only writes a noisy corpus to train on (noisy.source, noisy.target, and noisy.kinds with one word per line).
Half of the noise is shuffled targets; copies, another language, truncated targets and mojibake are an eighth each.

`--only-shuffled` replaces the targets of this share of the first `--pairs` pairs with the targets of random pairs. It
prints, for `unrelated` alone and together with `perhaps-unrelated`, how many of them are found and how many other pairs
are reported. A share of 0 leaves the corpus unchanged.

`--large` measures speed and peak memory on this many pairs, drawn from the corpus and numbered.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from common import count, exit_on_error, fail, read, read_pair

from regard.corpus.formats.compressed import format_suffix
from regard.corpus.parallel_text import ParallelText
from regard.corpus_checks.findings import DROPPED_BY_DEFAULT, FaultKind
from regard.corpus_checks.inspection import CheckedPair, CorpusInspector

Pairs = list[tuple[str, str]]
CYRILLIC = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "абцдефгхижклмнопкрстувшкызАБЦДЕФГХИЖКЛМНОПКРСТУВШКЫЗ"
)
CONTROLS = "\u2028\u2029\u200b\ufeff\x07\x85\xad"


class Planter:
    """Plants faults in a copy of the pairs.

    Attributes:
        pairs: The pairs with the planted faults.
        clean: The original pairs.
        kinds: The kind of fault at each index with one.
    """

    def __init__(self, pairs: Pairs, other_texts: Sequence[str], held_out: Pairs, seed: int) -> None:
        self.pairs, self.other_texts, self.held_out = list(pairs), other_texts, held_out
        self.clean = list(pairs)
        self.rng = random.Random(seed)
        self.kinds: dict[int, str] = {}
        self._free = [index for index in range(20, len(pairs)) if all(pairs[index])]
        self.rng.shuffle(self._free)

    def plant(self, kind: str, share: float) -> None:
        """Plant a kind of fault in a share of all pairs; pairs that cannot have this fault are skipped."""
        remaining, skipped = round(share * len(self.pairs)), []
        make: Callable[[int], tuple[str, str] | None] = getattr(self, kind.replace("-", "_"))
        while remaining > 0 and self._free:
            index = self._free.pop()
            faulty = make(index)
            if faulty is None or faulty == self.clean[index]:
                skipped.append(index)
                continue
            self.pairs[index], self.kinds[index] = faulty, kind
            remaining -= 1
        self._free.extend(skipped)

    def shift_regions(self, regions: int) -> None:
        """Shift the targets by a few lines in regions of 30 to 300 lines without other planted faults."""
        for _ in range(regions):
            for _attempt in range(200):
                length, shift = self.rng.randint(30, 300), self.rng.choice((1, 1, 2, 5))
                begin = self.rng.randrange(20, len(self.pairs) - length)
                indices = range(begin - 50, begin + length + 50)
                if not any(self.kinds.get(index) == "drift" for index in indices):
                    break
            else:
                return
            targets = [self.clean[index][1] for index in range(begin, begin + length)]
            for index, target in zip(range(begin, begin + length), targets[-shift:] + targets[:-shift], strict=True):
                self.pairs[index] = (self.clean[index][0], target)
                self.kinds[index] = "drift"

    def blank(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        return ("", target) if self.rng.random() < 0.5 else (source, " ")

    def mojibake(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        damaged = target.encode().decode("cp1252", errors="ignore")
        return None if damaged == target else (source, damaged)

    def replacement(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        position = self.rng.randrange(len(target))
        return source, target[:position] + "\ufffd" + target[position + 1 :]

    def control(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        position = self.rng.randrange(len(source) + 1)
        damaged = source[:position] + self.rng.choice(CONTROLS) + source[position:]
        return None if damaged.strip() == source else (damaged, target)

    def copies(self, index: int) -> tuple[str, str] | None:
        source, _ = self.clean[index]
        return source, source

    def duplicates(self, index: int) -> tuple[str, str] | None:
        earlier = self.rng.randrange(index)
        return None if earlier in self.kinds or not all(self.clean[earlier]) else self.clean[earlier]

    def too_long(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        more = [self.clean[self.rng.randrange(len(self.clean))][1] for _ in range(3)]
        return source, " ".join([target, *more])

    def truncated(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        words = target.split()
        return None if len(words) < 4 else (source, " ".join(words[: max(1, int(len(words) * 0.4))]))

    def script(self, index: int) -> tuple[str, str] | None:
        source, target = self.clean[index]
        return source, target.translate(CYRILLIC)

    def language(self, index: int) -> tuple[str, str] | None:
        return self.clean[index][0], self.rng.choice(self.other_texts)

    def other_side(self, index: int) -> tuple[str, str] | None:
        return self.clean[index][0], self.clean[self.rng.randrange(len(self.clean))][0]

    def shuffled(self, index: int) -> tuple[str, str] | None:
        return self.clean[index][0], self.clean[self.rng.randrange(len(self.clean))][1]

    def leakage(self, index: int) -> tuple[str, str] | None:
        return self.rng.choice(self.held_out)

    def near_leakage(self, index: int) -> tuple[str, str] | None:
        """Return a held-out pair of at least eight words, with a word removed from each side, sometimes in capitals."""
        source, target = self.rng.choice(self.held_out)
        sides = [source.split(), target.split()]
        if min(map(len, sides)) < 8:
            return None
        for words in sides:
            words.pop(self.rng.randrange(len(words)))
        source, target = " ".join(sides[0]), " ".join(sides[1])
        return (source.upper(), target.upper()) if self.rng.random() < 0.3 else (source, target)


# For each planted kind, the reported kinds that count as correct.
EXPECTED_KINDS = {
    "blank": (FaultKind.BLANK,),
    "mojibake": (FaultKind.ENCODING,),
    "replacement": (FaultKind.ENCODING,),
    "control": (FaultKind.CONTROL,),
    "copies": (FaultKind.COPY,),
    "duplicates": (FaultKind.DUPLICATE,),
    "too-long": (FaultKind.RATIO,),
    "truncated": (FaultKind.RATIO, FaultKind.UNRELATED),
    "script": (FaultKind.SCRIPT,),
    "language": (FaultKind.LANGUAGE,),
    "other-side": (FaultKind.LANGUAGE,),
    "shuffled": (FaultKind.UNRELATED,),
    "leakage": (FaultKind.LEAKAGE,),
    "near-leakage": (FaultKind.NEAR_LEAKAGE, FaultKind.LEAKAGE),
    "drift": (FaultKind.DRIFT,),
}


def inspect(pairs: Pairs, held_out: Pairs, languages: tuple[str, str], folder: Path) -> list[frozenset[FaultKind]]:
    """Return the faults that regard reports for each pair."""
    corpus = ParallelText(*write(folder, "text", pairs))
    sets = {"dev": ParallelText(*write(folder, "dev", held_out))} if held_out else {}
    inspector = CorpusInspector(corpus, sets, languages)
    return [item.kinds for item in inspector.check_pairs() if isinstance(item, CheckedPair)]


def write(folder: Path, name: str, pairs: Pairs) -> tuple[Path, Path]:
    """Write the pairs to NAME.source and NAME.target; return the paths."""
    paths = folder / f"{name}.source", folder / f"{name}.target"
    for path, side in zip(paths, zip(*pairs, strict=True), strict=True):
        path.write_text("".join(f"{text}\n" for text in side), encoding="utf-8", newline="\n")
    return paths


def print_tables(planter: Planter, before: list[frozenset[FaultKind]], after: list[frozenset[FaultKind]]) -> None:
    """Print the detection rates and the reports on untouched lines, in Markdown."""
    dropped = frozenset((*DROPPED_BY_DEFAULT, FaultKind.CONTROL))
    print("| planted | pairs | reported as that kind | reported |\n| --- | ---: | ---: | ---: |")
    for kind, expected in EXPECTED_KINDS.items():
        indices = [index for index, planted in planter.kinds.items() if planted == kind]
        if indices:
            correct = sum(bool(after[index] & set(expected)) for index in indices)
            reported = sum(bool(after[index] & dropped) for index in indices)
            print(f"| {kind} | {len(indices):,} | {correct / len(indices):.1%} | {reported / len(indices):.1%} |")
    untouched = [index for index in range(len(after)) if index not in planter.kinds]
    print("\n| untouched lines reported as | with faults | in the original | new |\n| --- | ---: | ---: | ---: |")
    with_faults = Counter(kind for index in untouched for kind in after[index])
    original = Counter(kind for index in untouched for kind in before[index])
    new = Counter(kind for index in untouched for kind in after[index] - before[index])
    for kind in FaultKind:
        if kind in dropped and (with_faults[kind] or original[kind]):
            print(f"| {kind.value} | {with_faults[kind]:,} | {original[kind]:,} | {new[kind]:,} |")
    any_new = sum(bool(after[index] & dropped) and not before[index] & dropped for index in untouched)
    print(f"| any | | | {any_new:,} of {len(untouched):,} ({any_new / len(untouched):.2%}) |")


def measure_unrelated(pairs: Pairs, share: float, languages: tuple[str, str], folder: Path, seed: int) -> None:
    """Shuffle the targets of a share of the pairs; print recall and false alarms of `unrelated`."""
    rng = random.Random(seed)
    planted = set(rng.sample(range(len(pairs)), round(share * len(pairs))))
    mixed = [
        (source, pairs[rng.randrange(len(pairs))][1]) if index in planted else (source, target)
        for index, (source, target) in enumerate(pairs)
    ]
    start = time.process_time()
    reports = inspect(mixed, [], languages, folder)
    print(f"{len(pairs):,} pairs, {len(planted):,} shuffled, {time.process_time() - start:.0f} s of CPU time")
    for kinds in ({FaultKind.UNRELATED}, {FaultKind.UNRELATED, FaultKind.DOUBTFUL}):
        reported = {index for index, faults in enumerate(reports) if faults & kinds}
        recall = f"{len(reported & planted) / len(planted):.1%} found, " if planted else ""
        print(f"{', '.join(sorted(kinds))}: {recall}{len(reported - planted):,} other pairs")


def write_noisy(planter: Planter, noise: float, folder: Path) -> None:
    """Write a corpus in which a share of `noise` of the pairs is faulty."""
    for kind, share in (("shuffled", 4), ("copies", 1), ("language", 1), ("truncated", 1), ("mojibake", 1)):
        planter.plant(kind, noise * share / 8)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "noisy", planter.pairs)
    kinds = [planter.kinds.get(index, "clean") for index in range(len(planter.pairs))]
    (folder / "noisy.kinds").write_text("".join(f"{kind}\n" for kind in kinds))
    print(f"{folder}: {len(kinds):,} pairs, {dict(Counter(kinds))}")


def measure_large(pairs: Pairs, size: int, folder: Path) -> None:
    """Print the speed and the peak memory of `regard inspect` on `size` pairs."""
    rng = random.Random(1)
    with (folder / "large.en").open("w") as source, (folder / "large.de").open("w") as target:
        for number in range(size):
            source_text, target_text = pairs[rng.randrange(len(pairs))]
            source.write(f"{source_text} {number}\n")
            target.write(f"{target_text} {number}\n")
    code = "import resource, regard.cli.main as main\ntry: main.run()\n"
    code += "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=open('peak', 'w'))"
    command = [sys.executable, "-c", code, "inspect", "--source", "large.en", "--target", "large.de"]
    start = time.monotonic()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        fail(result.stderr)
    seconds = time.monotonic() - start
    print(f"{size:,} pairs in {seconds:,.0f} s, {size / seconds:,.0f} pairs/s, peak {(folder / 'peak').read_text()} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "target"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("dev-source", "dev-target", "other", "write"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--shuffled", type=float)
    parser.add_argument("--only-shuffled", type=float)
    parser.add_argument("--pairs", type=count)
    parser.add_argument("--noise", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", type=count)
    arguments = parser.parse_args()
    with exit_on_error(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = list(zip(*read_pair(arguments.source, arguments.target), strict=True))
        languages = (format_suffix(arguments.source)[1:], format_suffix(arguments.target)[1:])
        if arguments.only_shuffled is not None:
            measure_unrelated(pairs[: arguments.pairs], arguments.only_shuffled, languages, folder, arguments.seed)
            return
        if arguments.large:
            measure_large(pairs, arguments.large, folder)
            return
        held_out: Pairs = []
        if arguments.dev_source and arguments.dev_target:
            held_out = list(zip(*read_pair(arguments.dev_source, arguments.dev_target), strict=True))
        other_texts = read(arguments.other) if arguments.other else []
        planter = Planter(pairs, other_texts, held_out, arguments.seed)
        if arguments.write:
            write_noisy(planter, arguments.noise, arguments.write)
            return
        planter.shift_regions(max(2, round(len(pairs) / 10_000)))
        planter._free = [index for index in planter._free if index not in planter.kinds]
        for kind in EXPECTED_KINDS:
            if (
                kind in ("drift", "duplicates")
                or (not other_texts and kind == "language")
                or (not held_out and kind.endswith("leakage"))
            ):
                continue
            has_share = arguments.shuffled is not None and kind == "shuffled"
            planter.plant(kind, arguments.shuffled if has_share else arguments.share)
        planter.plant("duplicates", arguments.share)  # last: the copied pairs must not change afterwards
        before = inspect(pairs, held_out, languages, folder)
        after = inspect(planter.pairs, held_out, languages, folder)
        print_tables(planter, before, after)


if __name__ == "__main__":
    main()
