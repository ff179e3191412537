"""A learned vocabulary made larger for new text: old tokens keep their ids, new ones come behind them.

Subwords go on merging neighbours where they once stopped (Sennrich et al. 2016, section 3.2): the old pieces of the
new text's words are counted, and the pair that comes most often becomes a piece, again and again. A character that
only bytes could spell becomes a piece first. A text in which no new piece occurs is encoded as before; in another one,
a new piece takes the place of the old ones that it was merged of. Vocabularies of characters and of words take the
most frequent ones that were unknown.
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
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.subword import SPACE, SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.tokenizers.whitespace import fold_spaces

MIN_COUNT = 3  # times that a token comes in the new text: a row that is hardly ever read or written learns nothing
MAX_PIECE_LENGTH = 16  # characters of a piece, as where SentencePiece learns them
MERGE_BONUS = 0.01  # by so much a merged piece's log-probability is above its parts' together: unigram search takes it


@dataclass(frozen=True)
class ExtendedTokenizer:
    """A larger tokenizer, and for each new id the old ones in whose place it stands: none where it was unknown."""

    tokenizer: Tokenizer
    parts: list[list[int]]


def extend_tokenizers(old: Tokenizers, pairs: Corpus, most: int) -> tuple[ExtendedTokenizer, ExtendedTokenizer]:
    """Either side's, with at most so many new tokens from its text, or one and the same for both.

    Raises ConfigError where the tokenizer's kind cannot be extended.
    """
    if old.joint:
        both = extend_tokenizer(old.source, (text for pair in pairs for text in (pair.source, pair.target)), most)
        return both, both
    source = extend_tokenizer(old.source, (pair.source for pair in pairs), most)
    return source, extend_tokenizer(old.target, (pair.target for pair in pairs), most)


def extend_tokenizer(tokenizer: Tokenizer, texts: Iterable[str], most: int) -> ExtendedTokenizer:
    """A tokenizer with at most `most` tokens more, by what comes often in `texts`. Raises ConfigError."""
    match tokenizer:
        case SubwordTokenizer():
            return _extend_subwords(tokenizer, texts, most)
        case CharacterTokenizer():
            new = _unknown(tokenizer, (character for text in texts for character in text), most)
            return ExtendedTokenizer(CharacterTokenizer(tokenizer.vocabulary.with_new_tokens(new)), [[] for _ in new])
        case WordTokenizer():
            new = _unknown(tokenizer, (word for text in texts for word in text.split()), most)
            return ExtendedTokenizer(WordTokenizer(tokenizer.vocabulary.with_new_tokens(new)), [[] for _ in new])
        case TaggedTokenizer():
            reason = "the ids behind its own are those of its tags"
        case ByteTokenizer():
            reason = "bytes spell every text: there is no token that they lack"
        case _:
            reason = "a Marian model's pieces are cut by one file and numbered by another, which others read too"
    raise ConfigError(
        f"a vocabulary of the kind {tokenizer.kind} is not extended: {reason}",
        where="start.new_tokens",
        fix="leave it out: the vocabulary is kept as it is",
    )


def _unknown(tokenizer: CharacterTokenizer | WordTokenizer, tokens: Iterable[str], most: int) -> list[str]:
    counts = Counter(tokens)
    lacking = [token for token, count in counts.items() if count >= MIN_COUNT and tokenizer.vocabulary.id(token) == UNK]
    return sorted(lacking, key=lambda token: (-counts[token], token))[:most]


Symbols = tuple[str, ...]  # a word as it is cut
Pair = tuple[str, str]


def _extend_subwords(old: SubwordTokenizer, texts: Iterable[str], most: int) -> ExtendedTokenizer:
    cut = _cut(old, Counter(word for text in texts for word in fold_spaces(text).split()))
    known = {piece: id for id, piece in enumerate(old.pieces(range(old.size)))}
    counts: Counter[str] = Counter()
    for symbols, number in cut.items():
        for symbol in symbols:
            counts[symbol] += number
    spelt = [one for one in sorted(counts, key=lambda one: (-counts[one], one)) if one not in known]
    characters = [one for one in spelt if counts[one] >= MIN_COUNT][:most]
    parts = {one: [known[f"<0x{byte:02X}>"] for byte in one.encode()] for one in characters}
    lowest = min(old.score(id) for id in range(len(SPECIAL), old.size))
    scores = dict.fromkeys(characters, lowest)
    for rank, (first, second) in enumerate(_merges(cut, known, set(spelt) - parts.keys(), most - len(parts)), start=1):
        pair = [
            (parts.get(one) or [known[one]], scores.get(one, old.score(known.get(one, 0)))) for one in (first, second)
        ]
        parts[first + second] = pair[0][0] + pair[1][0]
        scores[first + second] = pair[0][1] + pair[1][1] + MERGE_BONUS if old.kind == "unigram" else lowest - rank
    return ExtendedTokenizer(old.with_new_pieces(scores), list(parts.values()))


def _cut(old: SubwordTokenizer, words: Counter[str]) -> dict[Symbols, int]:
    """Words as old pieces, a character that is spelt in bytes as itself, and how often each comes."""
    bytewise = {f"<0x{byte:02X}>": byte for byte in range(256)}
    cut: dict[Symbols, int] = {}
    for word, count in words.items():
        if SPACE in word:
            continue  # the tokenizer itself spells it
        symbols: list[str] = []
        spelling = b""
        for piece in old.pieces(old.encode(word)):
            if piece not in bytewise:
                symbols.append(piece)
                continue
            spelling += bytes([bytewise[piece]])
            try:
                symbols.append(spelling.decode())
            except UnicodeDecodeError:
                continue
            spelling = b""
        cut[tuple(symbols)] = count
    return cut


class _Cut:
    """Words as they are cut, and how often two pieces stand side by side in them."""

    def __init__(self, cut: dict[Symbols, int]) -> None:
        self.words = [list(symbols) for symbols in cut]
        self.numbers = list(cut.values())
        self.counts: Counter[Pair] = Counter()
        self.places: defaultdict[Pair, set[int]] = defaultdict(set)
        for place in range(len(self.words)):
            self._count(place, 1)

    def _count(self, place: int, sign: int) -> set[Pair]:
        pairs = list(pairwise(self.words[place]))
        for pair in pairs:
            self.counts[pair] += sign * self.numbers[place]
            self.places[pair].add(place)
        return set(pairs)

    def merge(self, pair: Pair) -> set[Pair]:
        """Make every two neighbours that are written like this pair one; gives the pairs whose counts have changed."""
        whole = "".join(pair)
        changed: set[Pair] = set()
        for place in list(self.places[pair]):
            changed |= self._count(place, -1)
            self.words[place] = _merged(self.words[place], whole)
            changed |= self._count(place, 1)
        return changed


def _merges(cut: dict[Symbols, int], known: Container[str], closed: Container[str], most: int) -> Iterator[Pair]:
    """The pairs that become one, most frequent first; none with a part that is `closed` or a whole that is `known`."""
    text = _Cut(cut)

    def worth(pair: Pair) -> bool:
        whole = "".join(pair)
        return not (whole in known or pair[0] in closed or pair[1] in closed or len(whole) > MAX_PIECE_LENGTH)

    queue = [(-number, pair) for pair, number in text.counts.items() if number >= MIN_COUNT and worth(pair)]
    heapify(queue)
    done: set[str] = set()
    while queue and len(done) < most:
        number, pair = heappop(queue)
        if -number != text.counts[pair] or "".join(pair) in done:
            continue  # it has changed since, and stands in the queue again if it is still frequent
        yield pair
        done.add("".join(pair))
        for other in text.merge(pair):
            if text.counts[other] >= MIN_COUNT and worth(other):
                heappush(queue, (-text.counts[other], other))


def _merged(symbols: list[str], whole: str) -> list[str]:
    """With every two neighbours that make up `whole` as one."""
    merged: list[str] = []
    for symbol in symbols:
        if merged and merged[-1] + symbol == whole:
            merged[-1] = whole
        else:
            merged.append(symbol)
    return merged
