from __future__ import annotations

import pytest
from tests.unit.corpus_checks.synthetic import Texts, faulty_lines, sentences

from regard.corpus_checks.misalignment import MisalignmentCheck


def misalign(texts: Texts, begin: int, end: int, shift: int) -> Texts:
    """Insert `shift` targets at `begin` and delete as many before `end`: the targets between move down."""
    sources, targets = [source for source, _ in texts], [target for _, target in texts]
    moved = [*targets[:begin], *["No one said this."] * shift, *targets[begin : end - shift], *targets[end:]]
    return list(zip(sources, moved, strict=True))


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("begin, end", [(700, 800), (1, 300), (1700, 1999), (400, 1600)])
def test_a_region_is_found_with_its_shift(begin: int, end: int, shift: int) -> None:
    texts = sentences(2000)
    for sign in (1, -1):
        moved = misalign(texts, begin, end, shift)
        if sign < 0:  # the same on the other side
            moved = [(target, source) for source, target in misalign([t[::-1] for t in texts], begin, end, shift)]
        check = MisalignmentCheck()
        lines = faulty_lines(check, moved)
        assert len(check.regions) == 1
        region = check.regions[0]
        assert region.shift == sign * shift
        assert abs(region.begin - (begin + 1)) <= 8 and abs(region.end - (end - shift * (sign > 0))) <= 12
        assert lines == list(range(region.begin, region.end + 1))


def test_two_regions() -> None:
    check = MisalignmentCheck()
    faulty_lines(check, misalign(misalign(sentences(3000), 500, 650, 1), 2000, 2200, 2))
    assert [region.shift for region in check.regions] == [1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_an_aligned_corpus_has_no_regions(seed: int) -> None:
    check = MisalignmentCheck()
    assert faulty_lines(check, sentences(3000, seed)) == []
    assert check.regions == []


def test_a_few_lines_are_not_checked() -> None:
    assert faulty_lines(MisalignmentCheck(), sentences(50)) == []
    assert faulty_lines(MisalignmentCheck(), []) == []
