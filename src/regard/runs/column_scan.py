"""What the columns of a source are: lists of few items, or text."""

from __future__ import annotations

from dataclasses import dataclass

DELIMITERS = (";", "|", ",", " ")  # between the items of a list, in the order in which they are tried
MAX_ITEMS = 1000  # distinct items of a list
MEAN_ITEMS = 1.5  # items of a list at least, on average
MEAN_COUNT = 20  # occurrences of an item of a list at least, on average


@dataclass(frozen=True)
class ColumnScan:
    """What is known about a column of the source.

    Attributes:
        delimiter: What is between its items; empty if it is not a list.
        distinct_items: The number of distinct items of a list.
        mean_items: Mean items of a list.
        mean_words: Mean whitespace-separated words.
        mean_characters: Mean characters.
    """

    delimiter: str
    distinct_items: int
    mean_items: float
    mean_words: float
    mean_characters: float


class ColumnStatistics:
    """Counts the words, the characters and the items of a column."""

    def __init__(self) -> None:
        self.texts = self.words = self.characters = 0
        self.alphabet: set[str] = set()
        self.distinct_words: set[str] = set()
        self._items: dict[str, set[str]] = {delimiter: set() for delimiter in DELIMITERS}
        self._counts = dict.fromkeys(DELIMITERS, 0)

    def add(self, text: str) -> None:
        """Count a text."""
        words = text.split()
        self.texts += 1
        self.words += len(words)
        self.characters += len(text)
        self.alphabet.update(text)
        self.distinct_words.update(words)
        for delimiter, distinct in self._items.items():
            if len(distinct) <= MAX_ITEMS:
                items = text.split(delimiter)
                distinct.update(items)
                self._counts[delimiter] += len(items)

    def scan(self) -> ColumnScan:
        """Return what the column is: a list if it has few items, each of them in many texts."""
        delimiter = next(filter(self._is_list, DELIMITERS), "")
        texts = max(1, self.texts)
        return ColumnScan(
            delimiter=delimiter,
            distinct_items=len(self._items.get(delimiter, ())),
            mean_items=self._counts.get(delimiter, 0) / texts,
            mean_words=self.words / texts,
            mean_characters=self.characters / texts,
        )

    def _is_list(self, delimiter: str) -> bool:
        distinct, count = len(self._items[delimiter]), self._counts[delimiter]
        return 0 < distinct <= MAX_ITEMS and count >= MEAN_ITEMS * self.texts and count >= MEAN_COUNT * distinct
