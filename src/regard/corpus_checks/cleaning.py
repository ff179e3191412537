"""A corpus without the pairs that have chosen faults; what was taken out is given apart, with the reasons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from regard.corpus.corpus import Pair, Skipped, SkipReport
from regard.corpus_checks.characters import remove_control_characters
from regard.corpus_checks.findings import DESCRIPTIONS, REPAIRABLE, FaultKind
from regard.corpus_checks.inspection import CheckedPair, CorpusInspector

_TABS = re.compile(r"\s*[\t\r\n]+\s*")


@dataclass
class CleaningSummary:
    """What became of the pairs: read = kept + removed + aside.count."""

    read: int = 0
    kept: int = 0
    repaired: int = 0  # of those that were kept
    removed: int = 0
    by_kind: Counter[FaultKind] = field(default_factory=Counter)  # a removed pair counts for each of its reasons
    alone: Counter[FaultKind] = field(default_factory=Counter)  # removed for this reason and no other
    skipped: SkipReport = field(default_factory=SkipReport)  # what the file has that is no pair

    def sentences(self) -> list[str]:
        """A sentence for each thing that became of them."""
        told = [
            f"{self.read:,} read = {self.kept:,} kept + {self.removed:,} removed + {self.skipped.count:,} left aside"
        ]
        for kind in FaultKind:
            if count := self.by_kind[kind]:
                alone = f" ({self.alone[kind]:,} for nothing else)" if self.alone[kind] != count else ""
                told.append(f"{count:,} removed: {kind.value}, {DESCRIPTIONS[kind]}{alone}")
        if self.repaired:
            control = FaultKind.CONTROL
            told.append(f"{self.repaired:,} of the kept mended: {control.value}, {DESCRIPTIONS[control]}")
        return [*told, *self.skipped.sentences()]


@dataclass(frozen=True)
class CleaningOptions:
    """Which faults a pair is removed for, and which are mended in those that are kept."""

    drop: Collection[FaultKind]
    repair: Collection[FaultKind] = ()


Keep = Callable[[str, str], None]
Remove = Callable[[str], None]


def clean(doctor: CorpusInspector, wish: CleaningOptions, keep: Keep, remove: Remove) -> CleaningSummary:
    """`keep` is given both texts of each pair that stays, as they are; `remove` a line of JSON for each other.

    Raises DataError where the corpus cannot be read.
    """
    account = CleaningSummary()
    for item in doctor.check_pairs():
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
        source, target, changed = _mended(item, wish.repair)
        account.repaired += changed
        keep(source, target)
    return account


def _count(account: CleaningSummary, reasons: dict[FaultKind, str]) -> None:
    account.removed += 1
    account.by_kind.update(reasons.keys())
    if len(reasons) == 1:
        account.alone.update(reasons.keys())


def _line(pair: Pair, reasons: dict[FaultKind, str]) -> str:
    told = {kind.value: note for kind, note in reasons.items()}
    table = {"line": pair.line, "reasons": told, "source": pair.source, "target": pair.target}
    return json.dumps(table, ensure_ascii=False)


def _mended(item: CheckedPair, repair: Collection[FaultKind]) -> tuple[str, str, bool]:
    pair = item.pair
    if not (item.kinds & set(repair) & set(REPAIRABLE)):
        return pair.source, pair.target, False
    source, target = remove_control_characters(pair.source), remove_control_characters(pair.target)
    return source, target, (source, target) != (pair.source, pair.target)


def to_tsv_field(text: str) -> str:
    """The text with a space for tabs and line breaks, as a field of a TSV file holds it."""
    return _TABS.sub(" ", text)


def parse_kinds(names: str) -> Iterator[FaultKind]:
    """The kinds of a list with commas between them. Raises ValueError for a name that is none."""
    for name in filter(None, (part.strip() for part in names.split(","))):
        yield FaultKind(name)
