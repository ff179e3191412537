import random
from pathlib import Path

import pytest

from regard.corpus.drift import MAX_SHIFT, find_drift
from regard.corpus.formats.plain import read_lines

DATA = Path(__file__).parents[3] / "../shared/data"
Sides = tuple[list[int], list[int]]


def make_sides(count: int) -> Sides:
    rng = random.Random(3)
    source = [rng.randint(10, 150) for _ in range(count)]
    return source, [round(length * rng.uniform(0.9, 1.3)) for length in source]


def stored(name: str) -> Sides:
    paths = [DATA / f"{name}.{language}.gz" for language in ("de", "en")]
    if not all(path.exists() for path in paths):
        pytest.skip(f"needs {name} in ../shared/data")
    source, target = ([len(line) for line in read_lines(path)] for path in paths)
    return source, target


@pytest.fixture(params=["generated", "multi30k/val"])
def sides(request: pytest.FixtureRequest) -> Sides:
    return make_sides(400) if request.param == "generated" else stored(request.param)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("lost", [1, 3])
def test_lost_lines_are_found(sides: Sides, share: float, lost: int) -> None:
    source, target = sides
    place = int(share * len(source))
    for shorter, longer in ((source, target), (target, source)):
        line = find_drift(longer, shorter[:place] + shorter[place + lost :])
        assert line is not None
        assert abs(line - (place + 1)) <= 6


def test_an_additional_blank_line_is_found_exactly(sides: Sides) -> None:
    source, target = sides
    for place in (0, 57, len(source) // 2):
        assert find_drift(source, [*target[:place], 0, *target[place:]]) == place + 1


@pytest.mark.parametrize("lost", [1, 20])
def test_a_side_that_ends_too_early_is_not_a_drift(sides: Sides, lost: int) -> None:
    source, target = sides
    assert find_drift(source, target[:-lost]) == len(source) - lost + 1


def test_an_early_end_is_preferred_where_it_explains_as_much() -> None:
    source, target = make_sides(100)
    source, target = [*source, *[50] * 4], [*target, *[55] * 4]
    assert find_drift(source, target[:-1]) == 104


def test_unrelated_sides_do_not_drift() -> None:
    source, target = make_sides(400)
    for seed in range(30):
        unrelated = random.Random(seed).sample(target, 80)
        assert find_drift(source[:81], unrelated) is None


def test_without_evidence_there_is_no_drift() -> None:
    source, target = make_sides(400)
    assert find_drift([40] * 100, [40] * 99) is None
    assert find_drift(source, target) is None
    assert find_drift(source, target[: -MAX_SHIFT - 1]) is None
    assert find_drift(source[:10], target[:9]) is None
    assert find_drift(source, []) is None


def test_a_line_lost_among_many_of_one_length_has_no_place() -> None:
    source, target = make_sides(200)
    source[70:130], target[70:130] = [50] * 60, [55] * 60
    del target[100]
    assert find_drift(source, target) is None
