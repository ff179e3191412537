from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regard.documents.document import render
from regard.documents.inline_markup import parse_tags, project_markup


def carried(source: str, target: str, *pairs: tuple[int, int]) -> str:
    marked = project_markup(parse_tags(source), target, pairs)
    assert marked is not None
    return render(marked)


def test_a_pair_goes_around_the_words_that_belong_to_its_own() -> None:
    pairs = ((0, 0), (3, 1), (1, 2), (2, 3))
    assert carried("We <b>have seen</b> it", "Wir es haben gesehen", *pairs) == "Wir es <b>haben gesehen</b>"
    assert (
        carried("the <i>red</i> <b>house</b>", "Haus das rote", (2, 0), (0, 1), (1, 2)) == "<b>Haus</b> das <i>rote</i>"
    )


def test_pairs_nest() -> None:
    source = "see <a>the <b>new</b> page</a> now"
    assert carried(source, "nun die neue Seite sehen", (4, 0), (1, 1), (2, 2), (3, 3), (0, 4)) == (
        "nun <a>die <b>neue</b> Seite</a> sehen"
    )


def test_a_pair_around_all_stays_around_all() -> None:
    assert carried("<b>Some words.</b>", "Einige Wörter hier.") == "<b>Einige Wörter hier.</b>"


def test_punctuation_outside_stays_outside() -> None:
    assert carried("Read <b>this</b>, now", "Lies <b>das</b>, nun".replace("<b>", "").replace("</b>", "")) == (
        "Lies <b>das</b>, nun"
    )
    assert carried("(<b>bold</b>)", "(fett)") == "(<b>fett</b>)"
    assert carried("<b>Stop.</b> Go.", "Halt. Los.") == "<b>Halt.</b> Los."


def test_one_that_stands_alone_stays_by_its_word() -> None:
    assert carried("first<x/> second", "zweites erstes", (1, 0), (0, 1)) == "zweites erstes<x/>"
    assert carried("<x/>first second", "zweites erstes", (1, 0), (0, 1)) == "<x/>zweites erstes"
    assert carried("first second<x/>", "zweites erstes", (1, 0), (0, 1)) == "zweites erstes<x/>"


def test_code_is_no_text_to_translate() -> None:
    marked = parse_tags("Run <command>ls -l</command> now")
    assert marked.text == "Run ls -l now"
    assert carried("Run <command>ls -l</command> now", "Nun ls -l ausführen") == (
        "Nun <command>ls -l</command> ausführen"
    )
    assert project_markup(marked, "Nun ausführen", ()) is None


def test_a_tag_without_its_other_half_is_text() -> None:
    marked = parse_tags("use <file> and <b>this</b>")
    assert marked.text == "use <file> and this"
    assert [mark.markup for mark in marked.tags] == ["<b>", "</b>"]


def test_a_pair_for_which_no_word_speaks_takes_one() -> None:
    assert carried("a <b>b</b> c", "x y z", (0, 0), (0, 1), (0, 2)).count("<b>") == 1
    assert "<b>y</b>" in carried("a <b>b</b> c", "x y z", (0, 0), (0, 1), (0, 2))


TREES = st.recursive(
    st.sampled_from(["one", "two ", " three", "x.", " ", "<x/>"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join).map("<a>{}</a> ".format)
        | st.lists(inner, min_size=1, max_size=3).map("".join).map("<b>{}</b>".format)
    ),
    max_leaves=12,
)


@given(
    TREES,
    st.lists(st.sampled_from(["eins", "zwei,", "(drei)", "."]), max_size=8),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12),
)
def test_whatever_the_alignment_no_tag_is_lost_and_all_nest(
    source: str, words: list[str], pairs: list[tuple[int, int]]
) -> None:
    marked = parse_tags(source)
    projected = project_markup(marked, " ".join(words), tuple(pairs))
    assert projected is not None
    assert projected.text == " ".join(words)
    assert sorted(mark.markup for mark in projected.tags) == sorted(mark.markup for mark in marked.tags)
    assert [mark.position for mark in projected.tags] == sorted(mark.position for mark in projected.tags)
    stack: list[int] = []
    for mark in projected.tags:
        if mark.pair and mark.is_opening:
            stack.append(mark.pair)
        elif mark.pair:
            assert stack.pop() == mark.pair
    assert not stack
