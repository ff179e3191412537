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
    """Compute equations 14 to 17 of Brown et al. 1993 in plain loops."""
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        for source, target in pairs:
            for target_id in target:
                total = sum(t[source_id, target_id] for source_id in [NULL, *source])
                for source_id in [NULL, *source]:
                    counts[source_id, target_id] += t[source_id, target_id] / total
        sums: dict[int, float] = defaultdict(float)
        for (source_id, _target_id), count in counts.items():
            sums[source_id] += count
        t = defaultdict(float, {key: count / sums[key[0]] for key, count in counts.items()})
    return dict(t)


def test_a_book_is_ein_buch(tmp_path: Path) -> None:
    lexicon = ibm_model_1(sentences(tmp_path, TOY), vocabulary_size=8, iterations=30)
    best = lexicon.most_probable(sources=9, count=1)[:, 0].tolist()
    assert (best[DAS], best[HAUS], best[BUCH], best[EIN]) == (THE, HOUSE, BOOK, A)
    assert best[NULL] == best[NEVER] == 0
    sure = table(lexicon)
    assert sure[DAS, THE] > 0.9 and sure[BUCH, BOOK] > 0.9 and sure[DAS, HOUSE] < 0.05


@pytest.mark.parametrize("pairs", [TOY, ODD])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_it_agrees_with_plain_loops(tmp_path: Path, pairs: list[tuple[list[int], list[int]]], iterations: int) -> None:
    messages: list[str] = []
    best = table(ibm_model_1(sentences(tmp_path, pairs), 8, iterations, messages.append))
    assert best == pytest.approx(by_hand(pairs, iterations))
    assert len(messages) == 1 + iterations


@pytest.mark.parametrize("chunk", [1, 5, 7])
def test_the_chunk_size_does_not_matter(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = sentences(tmp_path, [*ODD, *TOY])
    expected = table(ibm_model_1(pairs, 8))
    monkeypatch.setattr(ibm_model1, "CHUNK_CELLS", chunk)
    assert len(ibm_model1._chunks(pairs)) > 2
    assert table(ibm_model_1(pairs, 8)) == pytest.approx(expected)


def test_every_nth_of_too_many_pairs_is_taken(tmp_path: Path) -> None:
    pairs = [([4 + place], [10 + place]) for place in range(6)]  # two cells each, one of them with NULL
    assert sentences(tmp_path, pairs, max_cells=12).target.tolist() == [10, 11, 12, 13, 14, 15]
    sample = sentences(tmp_path, pairs, max_cells=11)
    assert sample.target.tolist() == [10, 12, 14]
    assert sample.source.tolist() == [NULL, 4, NULL, 6, NULL, 8]
    assert (sample.source_offsets.tolist(), sample.target_offsets.tolist()) == ([0, 2, 4, 6], [0, 1, 2, 3])


def test_the_best_come_first_and_the_lower_id_of_equals() -> None:
    source, target = np.array([0, 4, 4, 4, 4, 6]), np.array([9, 4, 5, 6, 7, 4])
    lexicon = Lexicon(source, target, np.array([1.0, 0.2, 0.3, 0.3, 0.0, 1.0]))
    assert lexicon.most_probable(7, 2).tolist() == [[0, 0]] * 4 + [[5, 6], [0, 0], [4, 0]]
    assert lexicon.most_probable(7, 5)[4].tolist() == [5, 6, 4, 0, 0]
