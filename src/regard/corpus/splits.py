"""Split pairs into train, dev and test so that no sentence is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Pairs = list[tuple[str, str]]

MIN_WORDS = 4  # words of a source in dev and test


def split_linked(pairs: Sequence[tuple[str, str]], held_out: int) -> dict[str, Pairs]:
    """Split pairs into `train`, `dev` and `test`.

    Pairs that share a source or a target are linked and stay together; case and punctuation are ignored. Of each group
    chosen for dev or test, one pair is used and the others are dropped. The choice depends on the text only, not on
    the order of the pairs. Duplicate pairs are used once; pairs with an empty side are dropped.

    Args:
        pairs: (source, target) texts.
        held_out: Pairs of dev, and of test; at most a tenth of the groups each.
    """
    unique = list(dict.fromkeys((source.strip(), target.strip()) for source, target in pairs))
    unique = [pair for pair in unique if all(pair)]
    groups = _groups(unique)
    chosen = sorted((group for group in groups if _is_long_enough(group[0])), key=_order)
    held_out = min(held_out, len(groups) // 10)
    splits: dict[str, Pairs] = {"dev": [], "test": [], "train": []}
    excluded: set[tuple[str, str]] = set()
    for name, part in (("dev", chosen[:held_out]), ("test", chosen[held_out : 2 * held_out])):
        splits[name] = [group[0] for group in part]
        excluded.update(pair for group in part for pair in group)
    splits["train"] = [pair for pair in unique if pair not in excluded]
    return splits


def _groups(pairs: Sequence[tuple[str, str]]) -> list[Pairs]:
    """Return the groups of pairs that are linked by common sentences, each sorted."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while parents.setdefault(node, node) != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for source, target in pairs:
        parents[root((0, _normalized(source)))] = root((1, _normalized(target)))
    groups: dict[tuple[int, str], Pairs] = {}
    for source, target in pairs:
        groups.setdefault(root((0, _normalized(source))), []).append((source, target))
    return [sorted(group) for group in groups.values()]


def _normalized(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def _is_long_enough(pair: tuple[str, str]) -> bool:
    return len(pair[0].split()) >= MIN_WORDS


def _order(group: Pairs) -> bytes:
    return hashlib.sha256("\t".join(group[0]).encode()).digest()
