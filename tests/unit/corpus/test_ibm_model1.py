from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from regard.corpus import ibm_model1
from regard.corpus.ibm_model1 import NULL, Lexicon, Sentences, ibm_model_1
from regard.data.store import PairStore
from regard.inference.shortlist import sentences_of

DAS, HAUS, BUCH, EIN, NEVER = 4, 5, 6, 7, 8
THE, HOUSE, BOOK, A = 4, 5, 6, 7
TOY = [([DAS, HAUS], [THE, HOUSE]), ([DAS, BUCH], [THE, BOOK]), ([EIN, BUCH], [A, BOOK])]  # Koehn 2010, figure 4.4
ODD = [([4, 4, 5], [6]), ([], [4, 5]), ([5], []), ([6, 7, 4], [7, 7, 5, 4]), ([3], [3, 6])]


def sentences(folder: Path, pairs: list[tuple[list[int], list[int]]], **options: int) -> Sentences:
    return sentences_of(PairStore.write(folder, "train", pairs), **options)


def table(lexicon: Lexicon) -> dict[tuple[int, int], float]:
    entries = zip(lexicon.source.tolist(), lexicon.target.tolist(), lexicon.probability.tolist(), strict=True)
    return {(source, target): probability for source, target, probability in entries}


def by_hand(pairs: list[tuple[list[int], list[int]]], iterations: int) -> dict[tuple[int, int], float]:
    """Brown et al. 1993, equations 14 to 17, in loops."""
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        for source, target in pairs:
            for one in target:
                total = sum(t[other, one] for other in [NULL, *source])
                for other in [NULL, *source]:
                    counts[other, one] += t[other, one] / total
        sums: dict[int, float] = defaultdict(float)
        for (other, _one), count in counts.items():
            sums[other] += count
        t = defaultdict(float, {key: count / sums[key[0]] for key, count in counts.items()})
    return dict(t)


def test_a_book_is_ein_buch(tmp_path: Path) -> None:
    lexicon = ibm_model_1(sentences(tmp_path, TOY), vocabulary=8, iterations=30)
    found = lexicon.most_probable(sources=9, count=1)[:, 0].tolist()
    assert (found[DAS], found[HAUS], found[BUCH], found[EIN]) == (THE, HOUSE, BOOK, A)
    assert found[NULL] == found[NEVER] == 0
    sure = table(lexicon)
    assert sure[DAS, THE] > 0.9 and sure[BUCH, BOOK] > 0.9 and sure[DAS, HOUSE] < 0.05


@pytest.mark.parametrize("pairs", [TOY, ODD])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_it_is_what_loops_find(tmp_path: Path, pairs: list[tuple[list[int], list[int]]], iterations: int) -> None:
    told: list[str] = []
    found = table(ibm_model_1(sentences(tmp_path, pairs), 8, iterations, told.append))
    assert found == pytest.approx(by_hand(pairs, iterations))
    assert len(told) == 1 + iterations


@pytest.mark.parametrize("chunk", [1, 5, 7])
def test_how_the_pairs_are_parted_changes_nothing(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sentences(tmp_path, [*ODD, *TOY])
    expected = table(ibm_model_1(whole, 8))
    monkeypatch.setattr(ibm_model1, "CHUNK_CELLS", chunk)
    assert len(ibm_model1._chunks(whole)) > 2
    assert table(ibm_model_1(whole, 8)) == pytest.approx(expected)


def test_of_too_many_pairs_every_nth_is_taken(tmp_path: Path) -> None:
    pairs = [([4 + place], [10 + place]) for place in range(6)]  # two cells each, one of them with NULL
    assert sentences(tmp_path, pairs, most_cells=12).target.tolist() == [10, 11, 12, 13, 14, 15]
    some = sentences(tmp_path, pairs, most_cells=11)
    assert some.target.tolist() == [10, 12, 14]
    assert some.source.tolist() == [NULL, 4, NULL, 6, NULL, 8]
    assert (some.source_offsets.tolist(), some.target_offsets.tolist()) == ([0, 2, 4, 6], [0, 1, 2, 3])


def test_the_best_come_first_and_of_equals_the_lower_id() -> None:
    source, target = np.array([0, 4, 4, 4, 4, 6]), np.array([9, 4, 5, 6, 7, 4])
    lexicon = Lexicon(source, target, np.array([1.0, 0.2, 0.3, 0.3, 0.0, 1.0]))
    assert lexicon.most_probable(7, 2).tolist() == [[0, 0]] * 4 + [[5, 6], [0, 0], [4, 0]]
    assert lexicon.most_probable(7, 5)[4].tolist() == [5, 6, 4, 0, 0]
