"""Alignment error rate: agreement of word alignments with gold alignments (Och and Ney 2003)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from regard.errors import DataError
from regard.tokenizers.words import Link

_LINK = re.compile(r"([0-9]{1,9})([-p?])([0-9]{1,9})")


@dataclass(frozen=True)
class GoldAlignment:
    """The manual alignment of one sentence pair.

    Attributes:
        sure: Links that an alignment must have.
        possible: Links that an alignment may have, including the sure ones.
    """

    sure: frozenset[Link]
    possible: frozenset[Link]


@dataclass(frozen=True)
class AlignmentScores:
    """Scores of predicted links A against sure links S and possible links P, pooled over all pairs.

    Attributes:
        aer: 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|); 0 is best.
        precision: |A ∩ P| / |A|.
        recall: |A ∩ S| / |S|.
        pairs: Sentence pairs that have a gold alignment.
        predicted: |A|.
        sure: |S|.
        possible: |P|.
    """

    aer: float
    precision: float
    recall: float
    pairs: int
    predicted: int
    sure: int
    possible: int


def read_gold_alignments(
    lines: Iterable[str], name: str, lengths: Sequence[tuple[int, int]]
) -> list[GoldAlignment | None]:
    """Read gold alignments in Pharaoh format, one line for each sentence pair.

    `3-4` is a sure link of source word 3 and target word 4, counted from 0; `3p4` and `3?4` are possible links.

    Args:
        lines: Lines of links. A blank line is a pair without a gold alignment.
        name: Name of the file, for error messages.
        lengths: Number of words, separated by white space, in the source and the target of each pair.

    Returns:
        One entry for each pair, None where the line is blank.

    Raises:
        DataError: A link cannot be read or points to a word that does not exist, the number of lines is not the
            number of pairs, or no line has a link.
    """
    alignments = list(_read(lines, name, lengths))
    if len(alignments) != len(lengths):
        raise DataError(
            f"there are {len(alignments):,} lines of alignments and {len(lengths):,} pairs",
            where=name,
            fix="write one line for each pair, a blank one if it has no alignment",
        )
    if not any(alignments):
        raise DataError("no line has a link", where=name, fix="give a file with links, or no gold alignments")
    return alignments


def _read(lines: Iterable[str], name: str, lengths: Sequence[tuple[int, int]]) -> Iterator[GoldAlignment | None]:
    for number, line in enumerate(lines, start=1):
        pair_lengths = lengths[number - 1] if number <= len(lengths) else None
        yield _parse_line(line, f"{name}:{number}", pair_lengths)


def _parse_line(line: str, where: str, lengths: tuple[int, int] | None) -> GoldAlignment | None:
    sure: set[Link] = set()
    possible: set[Link] = set()
    for text in line.split():
        match = _LINK.fullmatch(text)
        if match is None:
            raise DataError(
                f"`{text[:40]}` is not a link",
                where=where,
                fix="write 3-4 for a sure link of source word 3 and target word 4, from 0, and 3p4 for a possible one",
            )
        source, target = int(match[1]), int(match[3])
        if lengths is not None and not (source < lengths[0] and target < lengths[1]):
            side, count, word = (
                ("source", lengths[0], source) if source >= lengths[0] else ("target", lengths[1], target)
            )
            raise DataError(
                f"`{text}` links {side} word {word}, and the {side} has {count}",
                where=where,
                fix="count words, separated by white space, from 0",
            )
        (sure if match[2] == "-" else possible).add((source, target))
    return GoldAlignment(frozenset(sure), frozenset(sure | possible)) if sure or possible else None


def score_alignments(predictions: Iterable[Iterable[Link]], gold: Iterable[GoldAlignment | None]) -> AlignmentScores:
    """Score the predicted links of each pair against its gold alignment; pairs without one are skipped.

    Raises:
        DataError: No pair has a gold alignment.
        ValueError: The numbers of predictions and gold alignments differ.
    """
    predicted = sure = possible = in_sure = in_possible = pairs = 0
    for prediction, reference in zip(predictions, gold, strict=True):
        if reference is None:
            continue
        links = set(prediction)
        pairs += 1
        predicted += len(links)
        sure += len(reference.sure)
        possible += len(reference.possible)
        in_sure += len(links & reference.sure)
        in_possible += len(links & reference.possible)
    if not pairs:
        raise DataError("no pair has a gold alignment", fix="give links for at least one pair")
    return AlignmentScores(
        aer=1 - (in_sure + in_possible) / (predicted + sure) if predicted + sure else 0.0,
        precision=in_possible / predicted if predicted else 0.0,
        recall=in_sure / sure if sure else 0.0,
        pairs=pairs,
        predicted=predicted,
        sure=sure,
        possible=possible,
    )
