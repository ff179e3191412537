import pytest

from regard.evaluation.degenerate_output import find_degeneration

SOURCE = "Ein Mann fährt auf einem Rad durch die Stadt"


def problems(text: str, source: str = SOURCE, *, finished: bool = True) -> tuple[str, ...]:
    return find_degeneration(source, text, text.split(), finished=finished)


def test_a_good_translation_has_no_problems() -> None:
    assert problems("A man rides a bicycle through the city") == ()
    assert problems("no no", "nein nein") == ()
    assert problems("New York", "New York") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man rides a a a a", ("loop",)),
        ("on the bike on the bike on the bike", ("loop",)),
        ("a man a man a man in a city", ("loop",)),
        ("A man a man in a city of a man", ()),
        ("so so so it goes on through the city", ()),
        (SOURCE, ("copy",)),
        ("", ("empty",)),
        ("A man", ("short",)),
        ("A man who rides a bicycle " + " ".join(f"word{number}" for number in range(20)), ("long",)),
    ],
)
def test_problems_are_named(text: str, expected: tuple[str, ...]) -> None:
    assert problems(text) == expected


def test_a_cut_translation_has_its_other_problems_too() -> None:
    assert problems("one two " * 30, finished=False) == ("cut", "loop", "long")


def test_a_source_without_text_has_no_problems() -> None:
    assert problems("", " ", finished=True) == ()
