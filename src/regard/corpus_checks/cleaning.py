"""Remove the pairs with selected faults from a corpus, and record the reasons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from regard.corpus.corpus import Pair, Skipped, SkipReport, blank_reason
from regard.corpus_checks.characters import remove_control_characters
from regard.corpus_checks.findings import DESCRIPTIONS, REPAIRABLE, FaultKind
from regard.corpus_checks.inspection import CheckedPair, CorpusInspector

_TABS = re.compile(r"\s*[\t\r\n]+\s*")


@dataclass
class CleaningSummary:
    """Counts of what happened to the pairs: num_read = num_kept + num_removed + skipped.count.

    Attributes:
        num_read: The number of entries of the corpus.
        num_kept: The number of pairs that were kept.
        num_repaired: The number of kept pairs whose text was changed.
        num_removed: The number of pairs that were removed.
        by_kind: The number of pairs removed for each kind; a pair counts once for each of its reasons.
        only_for: The number of pairs removed for this kind and no other.
        skipped: Entries of the file that are not pairs.
    """

    num_read: int = 0
    num_kept: int = 0
    num_repaired: int = 0
    num_removed: int = 0
    by_kind: Counter[FaultKind] = field(default_factory=Counter)
    only_for: Counter[FaultKind] = field(default_factory=Counter)
    skipped: SkipReport = field(default_factory=SkipReport)

    def sentences(self) -> list[str]:
        """Return the counts as sentences."""
        parts = f"{self.num_kept:,} kept + {self.num_removed:,} removed + {self.skipped.count:,} skipped"
        sentences = [f"{self.num_read:,} read = {parts}"]
        for kind in FaultKind:
            if count := self.by_kind[kind]:
                only = f" ({self.only_for[kind]:,} for this reason only)" if self.only_for[kind] != count else ""
                sentences.append(f"{count:,} removed: {kind.value}, {DESCRIPTIONS[kind]}{only}")
        if self.num_repaired:
            kind = FaultKind.CONTROL
            sentences.append(f"{self.num_repaired:,} of the kept pairs repaired: {kind.value}, {DESCRIPTIONS[kind]}")
        return [*sentences, *self.skipped.sentences()]


@dataclass(frozen=True)
class CleaningOptions:
    """Which faults a pair is removed for, and which faults of the other pairs are repaired."""

    drop: Collection[FaultKind]
    repair: Collection[FaultKind] = ()


Keep = Callable[[str, str], None]
Remove = Callable[[str], None]


def clean(inspector: CorpusInspector, options: CleaningOptions, keep: Keep, remove: Remove) -> CleaningSummary:
    """Divide a corpus into pairs to keep and pairs to remove.

    Args:
        inspector: The inspector of the corpus.
        options: The kinds of fault to remove pairs for, and to repair.
        keep: Called with the source and target of each pair to keep.
        remove: Called with a line of JSON for each other pair: its line number, the reasons and both texts.

    Raises:
        DataError: The corpus cannot be read.
    """
    summary = CleaningSummary()
    for item in inspector.check_pairs():
        summary.num_read += 1
        if isinstance(item, Skipped):
            summary.skipped.add(item.reason, item.line)
            remove(json.dumps({"line": item.line, "reasons": {"left aside": item.reason}}, ensure_ascii=False))
            continue
        reasons = {fault.kind: fault.note for fault in item.faults if fault.kind in options.drop}
        source, target = _repair(item, options.repair)
        blank = blank_reason(source.strip(), target.strip())
        if blank and not reasons and FaultKind.BLANK in options.drop:
            reasons = {FaultKind.BLANK: f"{blank} after the repair"}
        if reasons:
            _count_removed(summary, reasons)
            remove(_as_json_line(item.pair, reasons))
            continue
        summary.num_kept += 1
        summary.num_repaired += (source, target) != (item.pair.source, item.pair.target)
        keep(source, target)
    return summary


def _count_removed(summary: CleaningSummary, reasons: dict[FaultKind, str]) -> None:
    summary.num_removed += 1
    summary.by_kind.update(reasons.keys())
    if len(reasons) == 1:
        summary.only_for.update(reasons.keys())


def _as_json_line(pair: Pair, reasons: dict[FaultKind, str]) -> str:
    notes = {kind.value: note for kind, note in reasons.items()}
    table = {"line": pair.line, "reasons": notes, "source": pair.source, "target": pair.target}
    return json.dumps(table, ensure_ascii=False)


def _repair(item: CheckedPair, kinds: Collection[FaultKind]) -> tuple[str, str]:
    """Return both texts, without control characters if the pair has a fault of a kind to repair."""
    pair = item.pair
    if not (item.kinds & set(kinds) & set(REPAIRABLE)):
        return pair.source, pair.target
    return remove_control_characters(pair.source), remove_control_characters(pair.target)


def to_tsv_field(text: str) -> str:
    """Return the text with tabs and line breaks replaced by a space, so that it fits in a field of a TSV file."""
    return _TABS.sub(" ", text)


def parse_kinds(names: str) -> Iterator[FaultKind]:
    """Yield the kinds of a comma-separated list. Raise ValueError for an unknown name."""
    for name in filter(None, (part.strip() for part in names.split(","))):
        yield FaultKind(name)
