"""Change pairs of text as people do: capitals, typos, missing stops, doubled spaces, emoji, URLs and unknown names.

Training on changed pairs makes a model robust (regard.data.augmentation); translating changed sources measures it
(regard.reports.analyze). Where a translation should follow the change, as with capitals, the target changes too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from regard.corpus.source_columns import SEPARATOR
from regard.text.capitals import to_upper, words_outside_placeholders
from regard.text.placeholders import find_placeholders

TextPair = tuple[str, str]  # source, target
Perturbation = Callable[[str, str, Random], TextPair]
"""Changes a source and its target, unless it does not suit them. The result depends only on the arguments."""

_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_PUNCTUATION = re.compile(r"(?<!\w)[^\w\s]+|[^\w\s]+(?!\w)")  # not inside a word, as in `don't`
_NUMBER = re.compile(r"\d+(?:[.,:\u00a0\u202f]\d+)*")
_STOPS = ".。।۔։"
_CLOSING = "\"'”’»«“)]"
_EMOJI = "😀😂🙂😉😍🤔👍👏🙏❤🎉🔥✨😢😎🚀"
_CONSONANTS, _VOWELS = "bdfghjklmnprstvwz", "aeiou"
_DOMAINS = ("com", "org", "net", "de", "eu", "io", "info")
WORDS_PER_TYPO = 8  # training text has at most one typo in this many words, and at least one


def upper_case(source: str, target: str, random: Random) -> TextPair:
    """Write both sides in capitals."""
    return to_upper(source), to_upper(target)


def title_case(source: str, target: str, random: Random) -> TextPair:
    """Capitalize each word of the source, as in English headlines, which most languages write like other sentences."""
    parts, at = [], 0
    for word in words_outside_placeholders(source):
        parts += [source[at : word.start()], word[0][0].title()]
        at = word.start() + 1
    return "".join([*parts, source[at:]]), target


def no_final_stop(source: str, target: str, random: Random) -> TextPair:
    """Remove the full stop at the end of both sides."""
    stripped = source.rstrip(), target.rstrip()
    if all(side[-1:] in _STOPS and side[-2:-1] not in _STOPS for side in stripped if side):
        return stripped[0][:-1], stripped[1][:-1]
    return source, target


def no_punctuation(source: str, target: str, random: Random) -> TextPair:
    """Remove the punctuation of both sides."""
    return _remove_punctuation(source), _remove_punctuation(target)


def one_typo(source: str, target: str, random: Random) -> TextPair:
    """Make one typo in the source."""
    return _add_typos(source, 1, random), target


def typos(source: str, target: str, random: Random) -> TextPair:
    """Make one typo in the source, or more if it is long."""
    return _add_typos(source, random.randint(1, max(1, len(source.split()) // WORDS_PER_TYPO)), random), target


def doubled_spaces(source: str, target: str, random: Random) -> TextPair:
    """Double some of the spaces of the source, at least one."""
    words = source.split(" ")
    if len(words) < 2:
        return source, target
    doubled = random.randrange(1, len(words))
    parts = (" " * (1 + (index == doubled or random.random() < 0.2)) + word for index, word in enumerate(words[1:], 1))
    return words[0] + "".join(parts), target


def emoji(source: str, target: str, random: Random) -> TextPair:
    """Insert an emoji at the same place of both sides."""
    return _insert(source, target, random.choice(_EMOJI), random)


def urls(source: str, target: str, random: Random) -> TextPair:
    """Insert a URL or an e-mail address at the same place of both sides."""
    name, domain = _invent_name(random).lower(), random.choice(_DOMAINS)
    kind = random.randrange(4)
    if kind == 0:
        address = f"{_invent_name(random).lower()}@{name}.{domain}"
    else:
        path = f"/{_invent_name(random).lower()}" * (kind > 1) + f"/{random.randrange(10_000)}" * (kind > 2)
        address = random.choice(("https://", "http://", "https://www.", "www.")) + f"{name}.{domain}{path}"
    return _insert(source, target, address, random)


def names(source: str, target: str, random: Random) -> TextPair:
    """Replace a word that both sides share by an invented name; insert a name if they share none."""
    name = _invent_name(random)
    shared = sorted(_unique_words(source) & _unique_words(target))
    if not shared:
        return _insert(source, target, name, random)
    pattern = re.compile(rf"\b{re.escape(random.choice(shared))}\b")
    return pattern.sub(name, source), pattern.sub(name, target)


def numbers(source: str, target: str, random: Random) -> TextPair:
    """Replace the digits of a number of two or more digits that both sides share, each in its own format."""
    in_source, in_target = ({_digits(match[0]): match for match in _NUMBER.finditer(side)} for side in (source, target))
    shared = sorted(digits for digits in in_source.keys() & in_target.keys() if len(digits) > 1)
    if not shared:
        return source, target
    old = random.choice(shared)
    new = str(random.randrange(1, 10)) + "".join(str(random.randrange(10)) for _ in old[1:])
    return _replace_digits(source, in_source[old], new), _replace_digits(target, in_target[old], new)


TRAINING: Final[dict[str, Perturbation]] = {
    "names": names,
    "numbers": numbers,
    "urls": urls,
    "emoji": emoji,
    "typos": typos,
    "no_final_stop": no_final_stop,
    "doubled_spaces": doubled_spaces,
    "title_case": title_case,
    "upper_case": upper_case,
}
"""The changes of training pairs, in the order in which they are applied."""


def _placeholder_spans(text: str) -> list[tuple[int, int]]:
    return [(placeholder.start, placeholder.end) for placeholder in find_placeholders(text)]


def _is_within(match: re.Match[str], spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < match.end() and match.start() < end for start, end in spans)


def _remove_punctuation(text: str) -> str:
    return SEPARATOR.join(map(_remove_from_column, text.split(SEPARATOR)))


def _remove_from_column(text: str) -> str:
    spans = _placeholder_spans(text)
    parts = _PUNCTUATION.sub(lambda match: match[0] if _is_within(match, spans) else " ", text)
    return " ".join(parts.split()) or text


def _add_typos(text: str, count: int, random: Random) -> str:
    for _ in range(count):
        spans = _placeholder_spans(text)
        words = [match for match in _LONG_WORD.finditer(text) if not _is_within(match, spans)]
        if not words:
            return text
        word = random.choice(words)
        text = text[: word.start()] + _misspell(word[0], random) + text[word.end() :]
    return text


def _misspell(word: str, random: Random) -> str:
    """Swap two letters of a word, drop, double or replace one. A letter is replaced by another of the word."""
    kind = random.randrange(4)
    at = random.randrange(len(word) - 1)
    first, second = word[at], word[at + 1]
    if kind == 0 and first != second:
        return word[:at] + second + first + word[at + 2 :]
    if kind == 1:
        return word[:at] + first + word[at:]
    letters = sorted({letter.lower() for letter in word} - {second.lower()})
    if kind == 2 and letters:
        return word[: at + 1] + random.choice(letters) + word[at + 2 :]
    return word[: at + 1] + word[at + 2 :]


def _insert(source: str, target: str, text: str, random: Random) -> TextPair:
    """Insert a text at the beginning, at the end, or before the final punctuation of both sides."""
    place = random.randrange(3)
    if place == 0:
        return f"{text} {source}", f"{text} {target}"
    if place == 1:
        return f"{source} {text}", f"{target} {text}"
    return _insert_last(source, text), _insert_last(target, text)


def _insert_last(text: str, inserted: str) -> str:
    """Insert before the final punctuation of a text."""
    body = text.rstrip()
    words = body.rstrip(_STOPS + "!?！？" + _CLOSING)
    return f"{words} {inserted}{body[len(words) :]}"


def _invent_name(random: Random) -> str:
    syllables = [random.choice(_CONSONANTS) + random.choice(_VOWELS) for _ in range(random.randint(2, 3))]
    return ("".join(syllables) + random.choice(("", "", "n", "r", "s", "x"))).capitalize()


def _unique_words(text: str) -> set[str]:
    """Return the capitalized words of three or more letters that occur once in a text."""
    words = [match[0] for match in _LONG_WORD.finditer(text)]
    return {word for word in words if word[0].isupper() and words.count(word) == 1}


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)


def _replace_digits(text: str, number: re.Match[str], digits: str) -> str:
    remaining = iter(digits)
    replaced = re.sub(r"\d", lambda match: next(remaining), number[0])
    return text[: number.start()] + replaced + text[number.end() :]
