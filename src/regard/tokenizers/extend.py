"""Extend a trained vocabulary for new text: old tokens keep their ids, new tokens come after them.

For subwords, merging continues where it stopped (Sennrich et al. 2016, section 3.2): the words of the new text are
split into old pieces, and the most frequent pair of neighbours becomes a new piece, again and again. Characters that
could only be spelled in bytes become pieces first. A text without new pieces is encoded as before; otherwise a new
piece replaces the old ones that it was merged from. Vocabularies of characters and of words gain the most frequent
unknown ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise

from regard.corpus.corpus import Corpus
from regard.errors import ConfigError
from regard.special_tokens import SPECIAL, UNK
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.columns import ColumnsTokenizer, JointTargetTokenizer
from regard.tokenizers.item_list import ListTokenizer
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.pattern import PatternTokenizer
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.subword import SPACE, SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.tokenizers.whitespace import fold_spaces

MIN_COUNT = 3  # occurrences of a new token in the text; the embedding of a rarer one would learn nothing
MAX_PIECE_LENGTH = 16  # characters, SentencePiece's own limit
MERGE_BONUS = 0.01  # a merged piece scores this much more than its parts together, so that unigram search prefers it


@dataclass(frozen=True)
class ExtendedTokenizer:
    """A tokenizer with new tokens.

    Attributes:
        tokenizer: The tokenizer.
        parts: For each new id, the old ids that it replaces; empty if it was unknown.
    """

    tokenizer: Tokenizer
    parts: list[list[int]]


def extend_tokenizers(old: Tokenizers, pairs: Corpus, max_new: int) -> tuple[ExtendedTokenizer, ExtendedTokenizer]:
    """Extend each side by at most `max_new` tokens from its text; a joint vocabulary is extended once.

    Raises ConfigError if this kind of tokenizer cannot be extended.
    """
    if old.joint:
        both = extend_tokenizer(old.source, (text for pair in pairs for text in (pair.source, pair.target)), max_new)
        return both, both
    source = extend_tokenizer(old.source, (pair.source for pair in pairs), max_new)
    return source, extend_tokenizer(old.target, (pair.target for pair in pairs), max_new)


def extend_tokenizer(tokenizer: Tokenizer, texts: Iterable[str], max_new: int) -> ExtendedTokenizer:
    """Add at most `max_new` tokens that are frequent in `texts`. Raises ConfigError."""
    match tokenizer:
        case SubwordTokenizer():
            return _extend_subwords(tokenizer, texts, max_new)
        case CharacterTokenizer() | WordTokenizer():
            new = _frequent_unknown(tokenizer, texts, max_new)
            extended = type(tokenizer)(tokenizer.vocabulary.with_new_tokens(new))
            return ExtendedTokenizer(extended, [[] for _ in new])
        case PatternTokenizer():
            new = _frequent_unknown(tokenizer, texts, max_new)
            matching = PatternTokenizer(tokenizer.vocabulary.with_new_tokens(new), tokenizer.pattern)
            return ExtendedTokenizer(matching, [[] for _ in new])
        case ListTokenizer():
            new = _frequent_unknown(tokenizer, texts, max_new)
            items = ListTokenizer(tokenizer.vocabulary.with_new_tokens(new), tokenizer.delimiter)
            return ExtendedTokenizer(items, [[] for _ in new])
        case ColumnsTokenizer() | JointTargetTokenizer():
            reason = "each column of the source has its own tokens, and more come after them"
        case TaggedTokenizer():
            reason = "its last ids are those of tags"
        case ByteTokenizer():
            reason = "bytes spell every text, so no token is missing"
        case MarianTokenizer():
            reason = "the pieces of a Marian model are split by one file and numbered by another"
        case _:
            reason = "it is a plugin's"
    raise ConfigError(
        f"a vocabulary of the kind {tokenizer.kind} cannot be extended: {reason}",
        where="start.new_tokens",
        fix="leave it out: the vocabulary is kept as it is",
    )


def _frequent_unknown(
    tokenizer: CharacterTokenizer | WordTokenizer | PatternTokenizer | ListTokenizer,
    texts: Iterable[str],
    max_new: int,
) -> list[str]:
    counts = Counter(token for text in texts for token in tokenizer.split(text))
    unknown = [token for token, count in counts.items() if count >= MIN_COUNT and tokenizer.vocabulary.id(token) == UNK]
    return sorted(unknown, key=lambda token: (-counts[token], token))[:max_new]


Symbols = tuple[str, ...]  # the pieces of a word
SymbolPair = tuple[str, str]


def _extend_subwords(old: SubwordTokenizer, texts: Iterable[str], max_new: int) -> ExtendedTokenizer:
    words = _split_words(old, Counter(word for text in texts for word in fold_spaces(text).split()))
    known = {piece: id for id, piece in enumerate(old.pieces(range(old.size)))}
    counts: Counter[str] = Counter()
    for symbols, count in words.items():
        for symbol in symbols:
            counts[symbol] += count
    spelled = [symbol for symbol in sorted(counts, key=lambda symbol: (-counts[symbol], symbol)) if symbol not in known]
    characters = [symbol for symbol in spelled if counts[symbol] >= MIN_COUNT][:max_new]
    parts = {character: [known[f"<0x{byte:02X}>"] for byte in character.encode()] for character in characters}
    lowest = min(old.score(id) for id in range(len(SPECIAL), old.size))
    scores = dict.fromkeys(characters, lowest)
    merges = _merges(words, known, set(spelled) - parts.keys(), max_new - len(parts))
    for rank, pair in enumerate(merges, start=1):
        ids = [id for symbol in pair for id in parts.get(symbol) or [known[symbol]]]
        score = sum(scores.get(symbol, old.score(known.get(symbol, 0))) for symbol in pair)
        piece = "".join(pair)
        parts[piece] = ids
        scores[piece] = score + MERGE_BONUS if old.kind == "unigram" else lowest - rank
    return ExtendedTokenizer(old.with_new_pieces(scores), list(parts.values()))


def _split_words(old: SubwordTokenizer, words: Counter[str]) -> dict[Symbols, int]:
    """Split words into old pieces, with characters in place of their bytes; return the count of each word."""
    bytes_by_piece = {f"<0x{byte:02X}>": byte for byte in range(256)}
    result: dict[Symbols, int] = {}
    for word, count in words.items():
        if SPACE in word:
            continue  # the tokenizer always spells this character in bytes
        symbols: list[str] = []
        spelling = b""
        for piece in old.pieces(old.encode(word)):
            if piece not in bytes_by_piece:
                symbols.append(piece)
                continue
            spelling += bytes([bytes_by_piece[piece]])
            try:
                symbols.append(spelling.decode())
            except UnicodeDecodeError:
                continue
            spelling = b""
        result[tuple(symbols)] = count
    return result


class _PairCounts:
    """Words as symbols, and how often each pair of neighbours appears in them."""

    def __init__(self, words: dict[Symbols, int]) -> None:
        self.words = [list(symbols) for symbols in words]
        self.word_counts = list(words.values())
        self.counts: Counter[SymbolPair] = Counter()
        self.words_with: defaultdict[SymbolPair, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def _count(self, index: int, sign: int) -> set[SymbolPair]:
        pairs = list(pairwise(self.words[index]))
        for pair in pairs:
            self.counts[pair] += sign * self.word_counts[index]
            self.words_with[pair].add(index)
        return set(pairs)

    def merge(self, pair: SymbolPair) -> set[SymbolPair]:
        """Merge all neighbours that spell the same as this pair. Return the pairs whose counts have changed."""
        piece = "".join(pair)
        changed: set[SymbolPair] = set()
        for index in list(self.words_with[pair]):
            changed |= self._count(index, -1)
            self.words[index] = _merge_neighbours(self.words[index], piece)
            changed |= self._count(index, 1)
        return changed


def _merges(
    words: dict[Symbols, int], known: Container[str], excluded: Container[str], max_new: int
) -> Iterator[SymbolPair]:
    """Yield the pairs to merge, the most frequent first; none with an excluded part or a known result."""
    pair_counts = _PairCounts(words)

    def is_allowed(pair: SymbolPair) -> bool:
        piece = "".join(pair)
        has_excluded_part = pair[0] in excluded or pair[1] in excluded
        return not (piece in known or has_excluded_part or len(piece) > MAX_PIECE_LENGTH)

    queue = [(-count, pair) for pair, count in pair_counts.counts.items() if count >= MIN_COUNT and is_allowed(pair)]
    heapify(queue)
    merged: set[str] = set()
    while queue and len(merged) < max_new:
        negative_count, pair = heappop(queue)
        if -negative_count != pair_counts.counts[pair] or "".join(pair) in merged:
            continue  # outdated; if the pair is still frequent, it is in the queue again
        yield pair
        merged.add("".join(pair))
        for changed in pair_counts.merge(pair):
            if pair_counts.counts[changed] >= MIN_COUNT and is_allowed(changed):
                heappush(queue, (-pair_counts.counts[changed], changed))


def _merge_neighbours(symbols: list[str], piece: str) -> list[str]:
    """Replace every two neighbours that spell `piece` by it."""
    merged: list[str] = []
    for symbol in symbols:
        if merged and merged[-1] + symbol == piece:
            merged[-1] = piece
        else:
            merged.append(symbol)
    return merged
