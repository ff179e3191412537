"""How well word alignments agree with those that people made: alignment error rate (Och and Ney 2003)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from regard.errors import DataError
from regard.tokenizers.words import Link

_LINK = re.compile(r"([0-9]{1,9})([-p?])([0-9]{1,9})")


@dataclass(frozen=True)
class Gold:
    """What people linked in one pair of sentences.

    sure: links that have to be there.
    possible: links that may be there; the sure ones are among them.
    """

    sure: frozenset[Link]
    possible: frozenset[Link]


@dataclass(frozen=True)
class Agreement:
    """Over all pairs together, not a mean of theirs.

    aer: 1 - (|A and S| + |A and P|) / (|A| + |S|), 0 the best; of found links A, sure ones S and possible ones P.
    precision: the share of A that is in P. recall: the share of S that is in A.
    pairs: that have gold links. found, sure, possible: how many links there are of each.
    """

    aer: float
    precision: float
    recall: float
    pairs: int
    found: int
    sure: int
    possible: int


def read_gold(lines: Iterable[str], name: str, words: Sequence[tuple[int, int]]) -> list[Gold | None]:
    """Pharaoh lines of links: `3-4` sure, `3p4` or `3?4` possible, source word first, from 0; one line a pair.

    words: how many words, between white space, source and target have. A blank line is None: nobody aligned it.
    Raises DataError, with the line, for what is no link and for words that are not there, and for other than one
    line a pair.
    """
    found = list(_read(lines, name, words))
    if len(found) != len(words):
        raise DataError(
            f"there are {len(found):,} lines of alignments and {len(words):,} pairs",
            where=name,
            fix="give one line a pair, a blank one where it is not aligned",
        )
    if not any(found):
        raise DataError("there is no link in it", where=name, fix="leave --alignments out, or give a file with links")
    return found


def _read(lines: Iterable[str], name: str, words: Sequence[tuple[int, int]]) -> Iterator[Gold | None]:
    for number, line in enumerate(lines, start=1):
        counts = words[number - 1] if number <= len(words) else None
        yield _gold(line, f"{name}:{number}", counts)


def _gold(line: str, where: str, words: tuple[int, int] | None) -> Gold | None:
    sure: set[Link] = set()
    possible: set[Link] = set()
    for text in line.split():
        match = _LINK.fullmatch(text)
        if match is None:
            raise DataError(
                f"`{text[:40]}` is no link",
                where=where,
                fix="write 3-4 for a sure link of source word 3 and target word 4, from 0, and 3p4 for a possible one",
            )
        source, target = int(match[1]), int(match[3])
        if words is not None and not (source < words[0] and target < words[1]):
            side, count, word = ("source", words[0], source) if source >= words[0] else ("target", words[1], target)
            raise DataError(
                f"`{text}` links {side} word {word}, and the {side} has {count}",
                where=where,
                fix="words are what stands between white space, and the first one is 0",
            )
        (sure if match[2] == "-" else possible).add((source, target))
    return Gold(frozenset(sure), frozenset(sure | possible)) if sure or possible else None


def agreement(found: Iterable[Iterable[Link]], gold: Iterable[Gold | None]) -> Agreement:
    """Links found in each pair against the gold ones; pairs without any gold link count for nothing.

    Raises DataError where no pair has a gold link, and ValueError where there are more of one than of the other.
    """
    links = sure = possible = in_sure = in_possible = pairs = 0
    for some, one in zip(found, gold, strict=True):
        if one is None:
            continue
        these = set(some)
        pairs += 1
        links, sure, possible = links + len(these), sure + len(one.sure), possible + len(one.possible)
        in_sure += len(these & one.sure)
        in_possible += len(these & one.possible)
    if not pairs:
        raise DataError("no pair has a gold alignment", fix="give links for one pair at least")
    return Agreement(
        aer=1 - (in_sure + in_possible) / (links + sure) if links + sure else 0.0,
        precision=in_possible / links if links else 0.0,
        recall=in_sure / sure if sure else 0.0,
        pairs=pairs,
        found=links,
        sure=sure,
        possible=possible,
    )
