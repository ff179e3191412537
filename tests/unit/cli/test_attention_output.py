"""`regard attend --pharaoh` links the words that `regard translate --alignments` links."""

from __future__ import annotations

import pytest
from tests.unit.reports.untrained import translator

from regard.cli.attend import View
from regard.cli.attention_output import show_attention

MEAN = View("source", None, None, tokens=False, every=False)


@pytest.mark.parametrize(
    "line",
    [
        "one 🙂 two three 🙂.",
        "🙂 one 🙂🙂 two",
        "three",  # a single word, whose tokens are shown separately
        "ONE TWO 🙂 THREE",
        "One half. A half 🙂 one two.",  # two segments
    ],
)
def test_links_are_those_of_translations(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    untrained = translator(1, max_length_factor=1, max_length_addend=2)
    untrained.source_language = "en"
    best = untrained.translate(line, with_attention=True)
    assert best.alignment
    show_attention(untrained, line, None, MEAN, [], "pharaoh", {})
    assert capfd.readouterr().out.split() == [f"{source}-{target}" for source, target in best.alignment]


def test_links_with_a_given_translation_count_the_words_of_the_source(capfd: pytest.CaptureFixture[str]) -> None:
    untrained = translator()
    links = []
    for line in ("two three half", "🙂 two 🙂 three half"):
        show_attention(untrained, line, "ein kleiner Satz", MEAN, [], "pharaoh", {})
        links.append([tuple(map(int, link.split("-"))) for link in capfd.readouterr().out.split()])
    assert [target for _, target in links[0]] == [0, 1, 2]
    assert links[1] == [((1, 3, 4)[source], target) for source, target in links[0]]
