from __future__ import annotations

import pytest
from tests.unit.corpus_checks.made import Texts, lines, sentences

from regard.corpus_checks.misalignment import MisalignmentCheck


def out_of_step(texts: Texts, begin: int, end: int, shift: int) -> Texts:
    """A target more at `begin`, and one less at `end`: those between stand `shift` lines further down."""
    sources, targets = [source for source, _ in texts], [target for _, target in texts]
    moved = [*targets[:begin], *["Nobody said this."] * shift, *targets[begin : end - shift], *targets[end:]]
    return list(zip(sources, moved, strict=True))


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("begin, end", [(700, 800), (1, 300), (1700, 1999), (400, 1600)])
def test_a_region_is_found_with_its_shift(begin: int, end: int, shift: int) -> None:
    texts = sentences(2000)
    for way in (1, -1):
        moved = out_of_step(texts, begin, end, shift)
        if way < 0:  # the same on the other side
            moved = [(target, source) for source, target in out_of_step([t[::-1] for t in texts], begin, end, shift)]
        check = MisalignmentCheck()
        found = lines(check, moved)
        assert len(check.regions) == 1
        region = check.regions[0]
        assert region.shift == way * shift
        assert abs(region.begin - (begin + 1)) <= 8 and abs(region.end - (end - shift * (way > 0))) <= 12
        assert found == list(range(region.begin, region.end + 1))


def test_two_regions() -> None:
    check = MisalignmentCheck()
    lines(check, out_of_step(out_of_step(sentences(3000), 500, 650, 1), 2000, 2200, 2))
    assert [region.shift for region in check.regions] == [1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_in_step_is_let_be(seed: int) -> None:
    check = MisalignmentCheck()
    assert lines(check, sentences(3000, seed)) == []
    assert check.regions == []


def test_few_lines_tell_nothing() -> None:
    assert lines(MisalignmentCheck(), sentences(50)) == []
    assert lines(MisalignmentCheck(), []) == []
