"""A corpus without the pairs that have chosen faults; what was taken out is given apart, with the reasons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from dataclasses import field as made

from regard.corpus.corpus import Pair, Skipped, SkipReport
from regard.corpus_checks.characters import mended
from regard.corpus_checks.findings import LOSSLESS, MEANING, Kind
from regard.corpus_checks.inspection import Doctor, Judged

_TABS = re.compile(r"\s*[\t\r\n]+\s*")


@dataclass
class Account:
    """What became of the pairs: read = kept + removed + skipped.count."""

    read: int = 0
    kept: int = 0
    mended: int = 0  # of those that were kept
    removed: int = 0
    by_kind: Counter[Kind] = made(default_factory=Counter)  # a removed pair counts for each of its reasons
    alone: Counter[Kind] = made(default_factory=Counter)  # removed for this reason and no other
    skipped: SkipReport = made(default_factory=SkipReport)  # what the file has that is no pair

    def report(self) -> list[str]:
        """A sentence for each thing that became of them."""
        told = [
            f"{self.read:,} read = {self.kept:,} kept + {self.removed:,} removed + {self.skipped.count:,} left aside"
        ]
        for kind in Kind:
            if count := self.by_kind[kind]:
                alone = f" ({self.alone[kind]:,} for nothing else)" if self.alone[kind] != count else ""
                told.append(f"{count:,} removed: {kind.value}, {MEANING[kind]}{alone}")
        if self.mended:
            told.append(f"{self.mended:,} of the kept mended: {Kind.CONTROL.value}, {MEANING[Kind.CONTROL]}")
        return [*told, *self.skipped.sentences()]


@dataclass(frozen=True)
class Wish:
    """Which faults a pair is removed for, and which are mended in those that are kept."""

    drop: Collection[Kind]
    mend: Collection[Kind] = ()


Keep = Callable[[str, str], None]
Remove = Callable[[str], None]


def clean(doctor: Doctor, wish: Wish, keep: Keep, remove: Remove) -> Account:
    """`keep` is given both texts of each pair that stays, as they are; `remove` a line of JSON for each other.

    Raises DataError where the corpus cannot be read.
    """
    account = Account()
    for item in doctor.judged():
        account.read += 1
        if isinstance(item, Skipped):
            account.skipped.add(item.reason, item.line)
            remove(json.dumps({"line": item.line, "reasons": {"left aside": item.reason}}, ensure_ascii=False))
            continue
        reasons = {fault.kind: fault.note for fault in item.faults if fault.kind in wish.drop}
        if reasons:
            _count(account, reasons)
            remove(_line(item.pair, reasons))
            continue
        account.kept += 1
        source, target, changed = _mended(item, wish.mend)
        account.mended += changed
        keep(source, target)
    return account


def _count(account: Account, reasons: dict[Kind, str]) -> None:
    account.removed += 1
    account.by_kind.update(reasons.keys())
    if len(reasons) == 1:
        account.alone.update(reasons.keys())


def _line(pair: Pair, reasons: dict[Kind, str]) -> str:
    told = {kind.value: note for kind, note in reasons.items()}
    table = {"line": pair.line, "reasons": told, "source": pair.source, "target": pair.target}
    return json.dumps(table, ensure_ascii=False)


def _mended(item: Judged, mend: Collection[Kind]) -> tuple[str, str, bool]:
    pair = item.pair
    if not (item.kinds & set(mend) & set(LOSSLESS)):
        return pair.source, pair.target, False
    source, target = mended(pair.source), mended(pair.target)
    return source, target, (source, target) != (pair.source, pair.target)


def field(text: str) -> str:
    """The text with a space for tabs and line breaks, as a field of a TSV file holds it."""
    return _TABS.sub(" ", text)


def kinds(names: str) -> Iterator[Kind]:
    """The kinds of a list with commas between them. Raises ValueError for a name that is none."""
    for name in filter(None, (part.strip() for part in names.split(","))):
        yield Kind(name)
