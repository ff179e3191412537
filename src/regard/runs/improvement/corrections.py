"""Check corrections, join them with earlier ones, and hold a part out.

Whether a correction is held out depends on its source alone, so that equal sources are never on both sides, also not in
a later improvement.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from regard.corpus.corpus import Corpus, PairList, Skipped, SkipReport
from regard.corpus.corpus import Pair as CorpusPair
from regard.corpus.tagged import split_tags
from regard.corpus_checks.characters import remove_control_characters
from regard.corpus_checks.findings import DESCRIPTIONS, DROPPED_BY_DEFAULT, FaultKind
from regard.corpus_checks.inspection import CheckedPair, CorpusInspector
from regard.corpus_checks.reading import normalize_words
from regard.errors import DataError
from regard.runs.improvement.record import TextPair

HELD_OUT: Final = 5  # one in this number of sources is held out
MIN_HELD_OUT: Final = 10  # corrections without which nothing can be said about the new model
FAULTS: Final = frozenset(DROPPED_BY_DEFAULT) - {FaultKind.DUPLICATE}  # repeated corrections are joined instead

_WORD = re.compile(r"[^\W_]+")


class NothingToDoError(DataError):
    """There is nothing to improve a run with yet: no corrections, too few, or only those that were used before."""


@dataclass
class CheckedCorrections:
    """Corrections without faults.

    Attributes:
        pairs: The latest target of each source, in the order of the sources.
        sentences: What is not used, with line numbers, as sentences.
        dropped: A JSON object for each correction that is not used: its line, the reasons, and both texts.
    """

    pairs: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Split:
    """Corrections to train on, and those that are held out, with those of earlier improvements.

    Attributes:
        train: To train on.
        held_out: To evaluate on.
        new: The number of corrections that no earlier improvement used.
    """

    train: Sequence[TextPair]
    held_out: Sequence[TextPair]
    new: int


def check_corrections(corpus: Corpus, dev: Sequence[TextPair], languages: tuple[str, str]) -> CheckedCorrections:
    """Check corrections as `regard inspect` checks a corpus, and keep the last of those with the same source.

    Args:
        corpus: The corrections.
        dev: The dev set, which they must not contain.
        languages: The language codes of source and target.

    Raises:
        DataError: They cannot be read, or none has text on both sides.
    """
    held_out = {"the old dev set": PairList("the old dev set", [CorpusPair(*pair, 1) for pair in dev])}
    checked = CheckedCorrections()
    reports: dict[str, SkipReport] = {}
    lines: dict[str, int] = {}
    for item in CorpusInspector(corpus, held_out, languages).check_pairs():
        if isinstance(item, Skipped):
            reports.setdefault("skipped", SkipReport()).add(item.reason, item.line)
            continue
        faults = [fault for fault in item.faults if fault.kind in FAULTS]
        if faults:
            for fault in faults[:1]:
                reports.setdefault("dropped", SkipReport()).add(
                    f"{fault.kind.value}, {DESCRIPTIONS[fault.kind]}", item.pair.line
                )
            checked.dropped.append(_as_json(item, {fault.kind.value: fault.note for fault in faults}))
            continue
        source, target = (
            " ".join(remove_control_characters(text).split()) for text in (item.pair.source, item.pair.target)
        )
        if source in checked.pairs:
            del checked.pairs[source]
            reason = "a later correction has the same source"
            reports.setdefault("dropped", SkipReport()).add(reason, lines[source])
        checked.pairs[source], lines[source] = target, item.pair.line
    for name, report in reports.items():
        checked.sentences += [sentence.replace(" skipped:", f" {name}:", 1) for sentence in report.sentences()]
    return checked


def _as_json(item: CheckedPair, reasons: Mapping[str, str]) -> str:
    pair = item.pair
    table = {"line": pair.line, "reasons": reasons, "source": pair.source, "target": pair.target}
    return json.dumps(table, ensure_ascii=False)


def split_corrections(pairs: Mapping[str, str], earlier: Iterable[TextPair], where: str) -> Split:
    """Join corrections with those of earlier improvements, and hold one in HELD_OUT sources out.

    Args:
        pairs: The target of each source.
        earlier: The corrections of earlier improvements, on both sides of their split.
        where: The name of the corrections, for errors.

    Raises:
        NothingToDoError: All corrections were used before, or there are too few.
        DataError: There are no usable corrections.
    """
    known = dict(earlier)
    new = sum(known.get(source) != target for source, target in pairs.items())
    if known and not new:
        raise NothingToDoError(
            f"all {len(pairs):,} corrections were used before: there is nothing new",
            where=where,
            fix="collect more corrections",
        )
    together = {**known, **pairs}
    held_out = [pair for pair in together.items() if is_held_out(pair[0])]
    train = [pair for pair in together.items() if not is_held_out(pair[0])]
    if len(held_out) < MIN_HELD_OUT or not train:
        error = NothingToDoError if together else DataError
        raise error(
            f"there are too few corrections: of {len(together):,} usable ones, {len(held_out):,} are held out to see "
            f"whether the new model is better; {MIN_HELD_OUT} are needed",
            where=where,
            fix=f"collect about {HELD_OUT * max(1, MIN_HELD_OUT - len(held_out))} more",
        )
    return Split(train, held_out, new)


def normalize(text: str) -> str:
    """Return the words of a text without case and punctuation, with 0 for each digit; the text if it has no letter.

    The tags before it are removed.
    """
    text = split_tags(text)[1]
    words = _WORD.findall(text.casefold())
    return normalize_words(words) if any(map(str.isalpha, text)) else text.strip()


def is_held_out(source: str) -> bool:
    """Return whether a source is held out. Sources that differ in case, punctuation or digits are treated alike."""
    digest = hashlib.blake2b(normalize(source).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT == 0


class SourceSet:
    """Sources, compared without tags, case, punctuation and digits."""

    def __init__(self, sources: Collection[str]) -> None:
        self._sources = {normalize(source) for source in sources}

    def __contains__(self, source: str) -> bool:
        return normalize(source) in self._sources
