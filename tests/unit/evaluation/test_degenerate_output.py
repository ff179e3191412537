import pytest

from regard.evaluation.degenerate_output import marks

SOURCE = "Ein Mann fährt auf einem Rad durch die Stadt"


def told(text: str, source: str = SOURCE, *, finished: bool = True) -> tuple[str, ...]:
    return marks(source, text, text.split(), finished=finished)


def test_a_good_translation_has_none() -> None:
    assert told("A man rides a bicycle through the city") == ()
    assert told("no no", "nein nein") == ()
    assert told("New York", "New York") == ()


@pytest.mark.parametrize(
    ("text", "found"),
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
def test_what_has_gone_wrong_is_named(text: str, found: tuple[str, ...]) -> None:
    assert told(text) == found


def test_what_the_limit_cut_is_marked_beside_the_rest() -> None:
    assert told("one two " * 30, finished=False) == ("cut", "loop", "long")


def test_a_line_without_text_has_nothing_to_go_wrong() -> None:
    assert told("", " ", finished=True) == ()
