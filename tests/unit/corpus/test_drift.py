import random
from pathlib import Path

import pytest

from regard.corpus.drift import MAX_SHIFT, find_drift
from regard.corpus.formats.plain import read_lines

DATA = Path(__file__).parents[3] / "../shared/data"
Sides = tuple[list[int], list[int]]


def made(count: int) -> Sides:
    dice = random.Random(3)
    source = [dice.randint(10, 150) for _ in range(count)]
    return source, [round(length * dice.uniform(0.9, 1.3)) for length in source]


def stored(name: str) -> Sides:
    paths = [DATA / f"{name}.{language}.gz" for language in ("de", "en")]
    if not all(path.exists() for path in paths):
        pytest.skip(f"needs {name} in ../shared/data")
    source, target = ([len(line) for line in read_lines(path)] for path in paths)
    return source, target


@pytest.fixture(params=["made", "multi30k/val"])
def sides(request: pytest.FixtureRequest) -> Sides:
    return made(400) if request.param == "made" else stored(request.param)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("lost", [1, 3])
def test_lost_lines_are_found(sides: Sides, share: float, lost: int) -> None:
    source, target = sides
    place = int(share * len(source))
    for shorter, longer in ((source, target), (target, source)):
        found = find_drift(longer, shorter[:place] + shorter[place + lost :])
        assert found is not None
        assert abs(found - (place + 1)) <= 6


def test_an_additional_blank_line_is_found_exactly(sides: Sides) -> None:
    source, target = sides
    for place in (0, 57, len(source) // 2):
        assert find_drift(source, [*target[:place], 0, *target[place:]]) == place + 1


@pytest.mark.parametrize("lost", [1, 20])
def test_a_side_that_ends_too_early_is_told_from_a_drift(sides: Sides, lost: int) -> None:
    source, target = sides
    assert find_drift(source, target[:-lost]) == len(source) - lost + 1


def test_where_the_end_explains_it_as_well_the_side_ends_too_early() -> None:
    source, target = made(100)
    source, target = [*source, *[50] * 4], [*target, *[55] * 4]
    assert find_drift(source, target[:-1]) == 104


def test_unrelated_sides_do_not_drift() -> None:
    source, target = made(400)
    for seed in range(30):
        unrelated = random.Random(seed).sample(target, 80)
        assert find_drift(source[:81], unrelated) is None


def test_nothing_is_said_where_nothing_is_clear() -> None:
    source, target = made(400)
    assert find_drift([40] * 100, [40] * 99) is None
    assert find_drift(source, target) is None
    assert find_drift(source, target[: -MAX_SHIFT - 1]) is None
    assert find_drift(source[:10], target[:9]) is None
    assert find_drift(source, []) is None


def test_a_line_lost_among_many_of_one_length_has_no_place() -> None:
    source, target = made(200)
    source[70:130], target[70:130] = [50] * 60, [55] * 60
    del target[100]
    assert find_drift(source, target) is None
