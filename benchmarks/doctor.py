"""Plant known faults in a copy of a corpus, and see what is found: recall by kind, and false alarms.

    python benchmarks/doctor.py --source train.en.gz --target train.de.gz --dev-source val.en.gz \
        --dev-target val.de.gz --other train.fr.gz [--share 0.01] [--shuffled 0.2] [--seed 1]
    python benchmarks/doctor.py --source ... --target ... --other ... --write FOLDER --noise 0.2
    python benchmarks/doctor.py --source ... --target ... --large 2000000
    python benchmarks/doctor.py --source ... --target ... --only-shuffled 0.2 [--pairs 20000]

The first plants `--share` of the pairs with each kind of fault (and `--shuffled` with targets of other pairs), and
prints a table: how many were planted, were found as what they are, and were found as anything that `regard clean` takes
out; and how many lines nobody touched are told as each kind, beside how many are in the corpus as it was.
`--write` only writes a noisy corpus (noisy.source, noisy.target, noisy.kinds: a word a line), for training on:
half of the noise are shuffled targets, and an eighth each copies, another language, truncated targets and mojibake.
`--only-shuffled` gives that share of the first `--pairs` pairs the target of a random pair and prints, for `unrelated`
alone and with `perhaps-unrelated`, how many of them are found and how many other pairs are reported; with 0, all are
of the corpus as it is.
`--large` measures speed and peak memory on so many pairs, the corpus' own with a number behind each.
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

from common import count, fail, read, read_pair, told

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
    """Plants faults in a copy of the pairs; `kinds` says which line got which."""

    def __init__(self, pairs: Pairs, others: Sequence[str], held: Pairs, seed: int) -> None:
        self.pairs, self.others, self.held = list(pairs), others, held
        self.clean = list(pairs)
        self.chance = random.Random(seed)
        self.kinds: dict[int, str] = {}
        self._free = [place for place in range(20, len(pairs)) if all(pairs[place])]
        self.chance.shuffle(self._free)

    def plant(self, kind: str, share: float) -> None:
        """So many of all pairs with a fault of a kind; a pair for which it cannot be made is passed over."""
        wanted, passed = round(share * len(self.pairs)), []
        make: Callable[[int], tuple[str, str] | None] = getattr(self, kind.replace("-", "_"))
        while wanted > 0 and self._free:
            place = self._free.pop()
            made = make(place)
            if made is None or made == self.clean[place]:
                passed.append(place)
                continue
            self.pairs[place], self.kinds[place] = made, kind
            wanted -= 1
        self._free.extend(passed)

    def step(self, regions: int) -> None:
        """Regions of 30 to 300 lines without a planted fault, in which targets stand a few lines further down."""
        for _ in range(regions):
            for _attempt in range(200):
                length, shift = self.chance.randint(30, 300), self.chance.choice((1, 1, 2, 5))
                begin = self.chance.randrange(20, len(self.pairs) - length)
                places = range(begin - 50, begin + length + 50)
                if not any(self.kinds.get(place) == "drift" for place in places):
                    break
            else:
                return
            targets = [self.clean[place][1] for place in range(begin, begin + length)]
            for place, target in zip(range(begin, begin + length), targets[-shift:] + targets[:-shift], strict=True):
                self.pairs[place] = (self.clean[place][0], target)
                self.kinds[place] = "drift"

    def blank(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        return ("", target) if self.chance.random() < 0.5 else (source, " ")

    def mojibake(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        damaged = target.encode().decode("cp1252", errors="ignore")
        return None if damaged == target else (source, damaged)

    def replacement(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        at = self.chance.randrange(len(target))
        return source, target[:at] + "\ufffd" + target[at + 1 :]

    def control(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        at = self.chance.randrange(len(source) + 1)
        inside = source[:at] + self.chance.choice(CONTROLS) + source[at:]
        return None if inside.strip() == source else (inside, target)

    def copies(self, place: int) -> tuple[str, str] | None:
        source, _ = self.clean[place]
        return source, source

    def duplicates(self, place: int) -> tuple[str, str] | None:
        other = self.chance.randrange(place)
        return None if other in self.kinds or not all(self.clean[other]) else self.clean[other]

    def too_long(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        more = [self.clean[self.chance.randrange(len(self.clean))][1] for _ in range(3)]
        return source, " ".join([target, *more])

    def truncated(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        words = target.split()
        return None if len(words) < 4 else (source, " ".join(words[: max(1, int(len(words) * 0.4))]))

    def script(self, place: int) -> tuple[str, str] | None:
        source, target = self.clean[place]
        return source, target.translate(CYRILLIC)

    def language(self, place: int) -> tuple[str, str] | None:
        return self.clean[place][0], self.chance.choice(self.others)

    def other_side(self, place: int) -> tuple[str, str] | None:
        return self.clean[place][0], self.clean[self.chance.randrange(len(self.clean))][0]

    def shuffled(self, place: int) -> tuple[str, str] | None:
        return self.clean[place][0], self.clean[self.chance.randrange(len(self.clean))][1]

    def leakage(self, place: int) -> tuple[str, str] | None:
        return self.chance.choice(self.held)

    def near_leakage(self, place: int) -> tuple[str, str] | None:
        """A held pair of at least eight words with a word left out of each side, and in capitals at times."""
        source, target = self.chance.choice(self.held)
        sides = [source.split(), target.split()]
        if min(map(len, sides)) < 8:
            return None
        for words in sides:
            words.pop(self.chance.randrange(len(words)))
        made = " ".join(sides[0]), " ".join(sides[1])
        return (made[0].upper(), made[1].upper()) if self.chance.random() < 0.3 else made


# Of each planted kind, the kinds by which it counts as found as what it is.
FOUND_AS = {
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


def judged(pairs: Pairs, held: Pairs, languages: tuple[str, str], folder: Path) -> list[frozenset[FaultKind]]:
    """What is said of each pair, by line."""
    corpus = ParallelText(*write(folder, "text", pairs))
    sets = {"dev": ParallelText(*write(folder, "dev", held))} if held else {}
    doctor = CorpusInspector(corpus, sets, languages)
    return [item.kinds for item in doctor.check_pairs() if isinstance(item, CheckedPair)]


def write(folder: Path, name: str, pairs: Pairs) -> tuple[Path, Path]:
    paths = folder / f"{name}.source", folder / f"{name}.target"
    for path, side in zip(paths, zip(*pairs, strict=True), strict=True):
        path.write_text("".join(f"{text}\n" for text in side), encoding="utf-8", newline="\n")
    return paths


def table(planter: Planter, before: list[frozenset[FaultKind]], after: list[frozenset[FaultKind]]) -> None:
    dropped = frozenset((*DROPPED_BY_DEFAULT, FaultKind.CONTROL))
    print("| planted | pairs | found as such | found |\n| --- | ---: | ---: | ---: |")
    for kind, wanted in FOUND_AS.items():
        places = [place for place, planted in planter.kinds.items() if planted == kind]
        if places:
            right = sum(bool(after[place] & set(wanted)) for place in places)
            found = sum(bool(after[place] & dropped) for place in places)
            print(f"| {kind} | {len(places):,} | {right / len(places):.1%} | {found / len(places):.1%} |")
    untouched = [place for place in range(len(after)) if place not in planter.kinds]
    print("\n| lines nobody touched | told now | told before | told only now |\n| --- | ---: | ---: | ---: |")
    told_now = Counter(kind for place in untouched for kind in after[place])
    was = Counter(kind for place in untouched for kind in before[place])
    new = Counter(kind for place in untouched for kind in after[place] - before[place])
    for kind in FaultKind:
        if kind in dropped and (told_now[kind] or was[kind]):
            print(f"| {kind.value} | {told_now[kind]:,} | {was[kind]:,} | {new[kind]:,} |")
    any_now = sum(bool(after[place] & dropped) and not before[place] & dropped for place in untouched)
    print(f"| any | | | {any_now:,} of {len(untouched):,} ({any_now / len(untouched):.2%}) |")


def only_shuffled(pairs: Pairs, share: float, languages: tuple[str, str], folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    planted = set(chance.sample(range(len(pairs)), round(share * len(pairs))))
    mixed = [
        (source, pairs[chance.randrange(len(pairs))][1]) if place in planted else (source, target)
        for place, (source, target) in enumerate(pairs)
    ]
    began = time.process_time()
    found = judged(mixed, [], languages, folder)
    print(f"{len(pairs):,} pairs, {len(planted):,} shuffled, {time.process_time() - began:.0f} s of CPU time")
    for kinds in ({FaultKind.UNRELATED}, {FaultKind.UNRELATED, FaultKind.DOUBTFUL}):
        places = {place for place, told in enumerate(found) if told & kinds}
        recall = f"{len(places & planted) / len(planted):.1%} found, " if planted else ""
        print(f"{', '.join(sorted(kinds))}: {recall}{len(places - planted):,} other pairs")


def noisy(planter: Planter, noise: float, folder: Path) -> None:
    for kind, share in (("shuffled", 4), ("copies", 1), ("language", 1), ("truncated", 1), ("mojibake", 1)):
        planter.plant(kind, noise * share / 8)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "noisy", planter.pairs)
    kinds = [planter.kinds.get(place, "clean") for place in range(len(planter.pairs))]
    (folder / "noisy.kinds").write_text("".join(f"{kind}\n" for kind in kinds))
    print(f"{folder}: {len(kinds):,} pairs, {dict(Counter(kinds))}")


def large(pairs: Pairs, size: int, folder: Path) -> None:
    chance = random.Random(1)
    with (folder / "large.en").open("w") as source, (folder / "large.de").open("w") as target:
        for number in range(size):
            one, other = pairs[chance.randrange(len(pairs))]
            source.write(f"{one} {number}\n")
            target.write(f"{other} {number}\n")
    code = "import resource, regard.cli.main as main\ntry: main.run()\n"
    code += "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=open('peak', 'w'))"
    call = [sys.executable, "-c", code, "inspect", "--source", "large.en", "--target", "large.de"]
    began = time.monotonic()
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr)
    seconds = time.monotonic() - began
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
    with told(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = list(zip(*read_pair(arguments.source, arguments.target), strict=True))
        languages = (format_suffix(arguments.source)[1:], format_suffix(arguments.target)[1:])
        if arguments.only_shuffled is not None:
            only_shuffled(pairs[: arguments.pairs], arguments.only_shuffled, languages, folder, arguments.seed)
            return
        if arguments.large:
            large(pairs, arguments.large, folder)
            return
        held = []
        if arguments.dev_source and arguments.dev_target:
            held = list(zip(*read_pair(arguments.dev_source, arguments.dev_target), strict=True))
        others = read(arguments.other) if arguments.other else []
        planter = Planter(pairs, others, held, arguments.seed)
        if arguments.write:
            noisy(planter, arguments.noise, arguments.write)
            return
        planter.step(max(2, round(len(pairs) / 10_000)))
        planter._free = [place for place in planter._free if place not in planter.kinds]
        for kind in FOUND_AS:
            if (
                kind in ("drift", "duplicates")
                or (not others and kind == "language")
                or (not held and kind.endswith("leakage"))
            ):
                continue
            more = arguments.shuffled is not None and kind == "shuffled"
            planter.plant(kind, arguments.shuffled if more else arguments.share)
        planter.plant("duplicates", arguments.share)  # last, of pairs that nobody changes any more
        before = judged(pairs, held, languages, folder)
        after = judged(planter.pairs, held, languages, folder)
        table(planter, before, after)


if __name__ == "__main__":
    main()
