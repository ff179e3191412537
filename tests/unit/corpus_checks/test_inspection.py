"""A corpus as a whole: which pairs are checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from regard.corpus.corpus import Pair, SingleCorpus, SkipReport
from regard.corpus_checks.inspection import CheckedPair, CorpusInspector


class GrowingCorpus(SingleCorpus):
    """Has one more pair whenever it is read, as a store of corrections may have."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.name, self.skipped = "growing", SkipReport()
        self.pairs = list(pairs)

    def __iter__(self) -> Iterator[Pair]:
        yield from self.pairs
        self.pairs = [*self.pairs, Pair("another text", "noch ein Text", len(self.pairs) + 1)]


def test_pairs_that_are_added_meanwhile_are_left_out() -> None:
    pairs = [Pair(f"text {number}", f"Text {number}", number) for number in range(1, 11)]
    inspector = CorpusInspector(GrowingCorpus(pairs), {}, ("", ""))
    for _ in range(2):
        assert [item.pair for item in inspector.check_pairs() if isinstance(item, CheckedPair)] == pairs
    assert inspector.inspect().read == 10
