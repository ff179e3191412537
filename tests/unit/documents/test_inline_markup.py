from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regard.documents.document import render
from regard.documents.inline_markup import parse_tags, project_markup


def transfer(source: str, target: str, *pairs: tuple[int, int]) -> str:
    content = project_markup(parse_tags(source), target, pairs)
    assert content is not None
    return render(content)


def test_a_pair_surrounds_the_words_aligned_with_its_own() -> None:
    pairs = ((0, 0), (3, 1), (1, 2), (2, 3))
    assert transfer("We <b>have seen</b> it", "Wir es haben gesehen", *pairs) == "Wir es <b>haben gesehen</b>"
    reordered = transfer("the <i>red</i> <b>house</b>", "Haus das rote", (2, 0), (0, 1), (1, 2))
    assert reordered == "<b>Haus</b> das <i>rote</i>"


def test_pairs_nest() -> None:
    source = "see <a>the <b>new</b> page</a> now"
    assert transfer(source, "nun die neue Seite sehen", (4, 0), (1, 1), (2, 2), (3, 3), (0, 4)) == (
        "nun <a>die <b>neue</b> Seite</a> sehen"
    )


def test_a_pair_around_everything_stays_around_everything() -> None:
    assert transfer("<b>Some words.</b>", "Einige Wörter hier.") == "<b>Einige Wörter hier.</b>"


def test_punctuation_outside_stays_outside() -> None:
    assert transfer("Read <b>this</b>, now", "Lies <b>das</b>, nun".replace("<b>", "").replace("</b>", "")) == (
        "Lies <b>das</b>, nun"
    )
    assert transfer("(<b>bold</b>)", "(fett)") == "(<b>fett</b>)"
    assert transfer("<b>Stop.</b> Go.", "Halt. Los.") == "<b>Halt.</b> Los."


def test_a_single_tag_stays_next_to_its_word() -> None:
    assert transfer("first<x/> second", "zweites erstes", (1, 0), (0, 1)) == "zweites erstes<x/>"
    assert transfer("<x/>first second", "zweites erstes", (1, 0), (0, 1)) == "<x/>zweites erstes"
    assert transfer("first second<x/>", "zweites erstes", (1, 0), (0, 1)) == "zweites erstes<x/>"


def test_a_single_tag_between_spaces_stays_between_spaces() -> None:
    pairs = ((0, 0), (1, 1), (2, 2))
    assert transfer("on <x/> by me", "am von mir", *pairs) == "am <x/> von mir"
    assert transfer("on <x/> <y/> by me", "am von mir", *pairs) == "am <x/> <y/> von mir"
    assert transfer("on <x/> <b>by</b> <code>me</code>", "am von me", *pairs) == "am <x/> <b>von</b> <code>me</code>"
    assert transfer("on <x/> by me", "am (von mir)", *pairs) == "am <x/> (von mir)"
    assert transfer("on <x/> by me", "在由我", (0, 0)) == "在由我<x/>"


def test_an_unchanged_text_keeps_its_markup() -> None:
    for source in ("<i><</i><b>a@example.org</b><i>></i>", "un<b>break</b>able", "a <x/><b>b</b> <code>c</code>"):
        assert transfer(source, parse_tags(source).text) == source


def test_code_is_protected() -> None:
    content = parse_tags("Run <command>ls -l</command> now")
    assert content.text == "Run ls -l now"
    assert transfer("Run <command>ls -l</command> now", "Nun ls -l ausführen") == (
        "Nun <command>ls -l</command> ausführen"
    )
    assert project_markup(content, "Nun ausführen", ()) is None


def test_a_tag_without_a_partner_is_text() -> None:
    content = parse_tags("use <file> and <b>this</b>")
    assert content.text == "use <file> and this"
    assert [tag.markup for tag in content.tags] == ["<b>", "</b>"]


def test_a_pair_without_an_aligned_word_takes_the_nearest() -> None:
    assert transfer("a <b>b</b> c", "x y z", (0, 0), (0, 1), (0, 2)).count("<b>") == 1
    assert "<b>y</b>" in transfer("a <b>b</b> c", "x y z", (0, 0), (0, 1), (0, 2))


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
def test_no_tag_is_lost_and_all_tags_nest_for_any_alignment(
    source: str, words: list[str], pairs: list[tuple[int, int]]
) -> None:
    content = parse_tags(source)
    projected = project_markup(content, " ".join(words), tuple(pairs))
    assert projected is not None
    assert projected.text.split() == words
    assert sorted(tag.markup for tag in projected.tags) == sorted(tag.markup for tag in content.tags)
    assert [tag.position for tag in projected.tags] == sorted(tag.position for tag in projected.tags)
    stack: list[int] = []
    for tag in projected.tags:
        if tag.pair and tag.is_opening:
            stack.append(tag.pair)
        elif tag.pair:
            assert stack.pop() == tag.pair
    assert not stack
