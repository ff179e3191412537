"""Lines of several sentences, lines that are too long, and searches that need too much memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Unpack

import pytest
from tests.unit.serving.runs import make_run, sentences

import regard.inference.batch_search
from regard.decoding.strategies import SearchInput
from regard.decoding.strategies import search as search_for
from regard.errors import DecodingError
from regard.inference.translation import Translation, join
from regard.inference.translator import Constraints, TranslateOptions, Translator

SEVERAL = "One two. Six ten.  Four five.\tNine."


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def translator(run: Path) -> Translator:
    return Translator.load(run, "cpu")


def best(translator: Translator, line: str, **options: Unpack[TranslateOptions]) -> Translation:
    return translator.translate(line, **options)


def test_no_sentence_of_a_line_is_lost(translator: Translator) -> None:
    assert best(translator, SEVERAL).text == "Eins zwei. Sechs zehn.  Vier fünf.\tNeun."
    assert best(translator, SEVERAL, split_sentences=False).text.count(".") < 4  # what it did before


def test_line_breaks_stay(translator: Translator) -> None:
    lines = [line for line in sentences(20, 4) for _ in range(2)]
    text = "\n".join(lines)
    assert best(translator, text).text.split("\n") == [best(translator, line).text for line in lines]
    assert best(translator, "one\r\n\r\n two\rsix").text == "eins\r\n\r\n zwei\rsechs"


def test_a_line_of_one_sentence_is_what_it_is_without_splitting(translator: Translator) -> None:
    lines = sentences(60, 5)
    assert translator.translate(lines) == translator.translate(lines, split_sentences=False)


@pytest.mark.parametrize(
    ("share", "languages", "expected"),
    [
        (None, ("en", "de"), "sentences"),
        (0.01, ("en", "de"), "sentences"),
        (0.4, ("en", "de"), "lines"),
        (0.01, ("", "de"), "lines"),
        (None, ("und", "und"), "lines"),
    ],
)
def test_whether_lines_are_split_is_as_the_run_was_trained(
    translator: Translator, share: float | None, languages: tuple[str, str], expected: str
) -> None:
    translator.several_sentences = share
    translator.source_language, translator.target_language = languages
    assert translator.division() == expected
    assert (translator.division(True), translator.division(False)) == ("sentences", "whole")
    joined = best(translator, SEVERAL, split_sentences=expected == "sentences")
    assert best(translator, SEVERAL).text == joined.text


def test_what_a_divided_line_says_of_itself(translator: Translator) -> None:
    joined = best(translator, SEVERAL, with_attention=True)
    apart = [best(translator, text, with_attention=True) for text in SEVERAL.replace(".", ".|").split("|")[:-1]]
    assert [part.translation.text for part in joined.parts] == [translation.text for translation in apart]
    assert [SEVERAL[slice(*part.source)] for part in joined.parts] == ["One two.", "Six ten.", "Four five.", "Nine."]
    assert [joined.text[slice(*part.target)] for part in joined.parts] == [translation.text for translation in apart]
    assert joined.score == pytest.approx(sum(translation.score for translation in apart), abs=1e-4)
    assert joined.log_probability == pytest.approx(sum(translation.log_probability for translation in apart), abs=1e-4)
    assert joined.tokens == tuple(token for translation in apart for token in translation.tokens)
    starts = [0, 2, 4, 6]  # words before each sentence, in the source as in the target
    assert joined.alignment == tuple(
        (start + source, start + target)
        for start, translation in zip(starts, apart, strict=True)
        for source, target in translation.alignment
    )
    assert joined.attention is None
    assert joined.attends
    assert all(part.translation.attention is not None for part in joined.parts)
    assert joined.finished


def scripted(scores: Sequence[tuple[float, bool]]) -> list[Translation]:
    return [Translation(f"{score}{finished}", score, score, finished=finished) for score, finished in scores]


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_best_translations_of_a_line_are_the_best_combinations_of_its_sentences(count: int) -> None:
    lists = [
        scripted([(-1.0, True), (-1.5, True), (-0.2, False)]),
        scripted([(-2.0, True), (-2.1, True)]),
        scripted([(-0.5, True), (-3.0, True), (-4.0, True)]),
    ]
    translations = join("A. B. C.", [(0, 2), (3, 5), (6, 8)], lists, count)
    every = sorted(
        product(*lists),
        key=lambda combination: (
            sum(not translation.finished for translation in combination),
            -sum(translation.score for translation in combination),
        ),
    )
    assert [translation.text for translation in translations] == [
        " ".join(part.text for part in combination) for combination in every[:count]
    ]
    assert [translation.finished for translation in translations] == [
        all(part.finished for part in combination) for combination in every[:count]
    ]
    drawn = join("A. B. C.", [(0, 2), (3, 5), (6, 8)], lists, 2, drawn=True)
    assert [[part.translation for part in translation.parts] for translation in drawn] == [
        list(combination) for combination in zip(*lists, strict=False)
    ][:2]


def test_several_translations_of_a_line_of_several_sentences(translator: Translator) -> None:
    translations = translator.translate(SEVERAL, top_beams=3).n_best
    assert len(translations) == 3
    assert translations[0].text == best(translator, SEVERAL).text
    assert [translation.score for translation in translations] == sorted(
        (translation.score for translation in translations), reverse=True
    )
    assert len({translation.text for translation in translations}) == 3


def test_constraints_go_with_their_sentences(translator: Translator) -> None:
    wished = Constraints(prefix="zehn", forbid=("Sechs",))
    text = best(translator, SEVERAL, constraints=[wished]).text
    assert text.startswith("zehn")
    assert "Sechs" not in text.split()
    located = best(translator, "Six two. Ten.", constraints=[Constraints(require=("Ten",))])
    assert len(located.parts) == 2
    unlocated = best(translator, "Six two. Ten.", constraints=[Constraints(require=("acht",))])
    assert not unlocated.parts
    assert "acht" in unlocated.text


def test_a_line_that_is_too_long_is_divided_and_none_is_lost(translator: Translator) -> None:
    translator.longest = 8
    long = " ".join(["one two three"] * 40)
    for split in (True, False, None):
        translations = best(translator, long, split_sentences=split)
        assert len(translations.parts) > 14
        assert all(len(part.translation.source_tokens) <= 8 + 1 for part in translations.parts)
        assert len(translations.text.split()) > 90
    with pytest.raises(DecodingError, match="line 2: the line has more than 8 tokens"):
        translator.translate(["one", long], constraints=[Constraints(), Constraints(require=("acht",))])


def test_draws_of_sentences_differ_and_repeat(translator: Translator) -> None:
    options: TranslateOptions = {"strategy": "sample", "temperature": 3.0}
    text = "One two. One two. One two. One two."
    translation = best(translator, text, **options)
    assert len({part.translation.text for part in translation.parts}) > 1
    assert translation == best(translator, text, **options)
    alone = best(translator, "One two.", **options)
    assert translation.parts[0].translation.tokens == alone.tokens


def test_fewer_sentences_than_the_source_are_told(translator: Translator) -> None:
    assert "fewer" in best(translator, SEVERAL, split_sentences=False).marks
    assert "fewer" not in best(translator, SEVERAL).marks


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"beam_size": 5_000}, "lower beam_size"),
        ({"strategy": "exact", "beam_size": 5_000}, "lower beam_size"),
        ({"strategy": "mbr", "samples": 5_000}, "lower samples"),
        ({"strategy": "lookahead", "lookahead_depth": 50, "lookahead_width": 50}, "lower lookahead_width"),
        ({"strategy": "lookahead", "lookahead_depth": 100, "lookahead_width": 2}, "lower lookahead_width"),
        ({"strategy": "sample", "top_beams": 5000}, "lower top_beams"),
    ],
)
def test_a_search_that_would_keep_too_many_hypotheses_is_refused(
    translator: Translator, options: dict[str, Any], fix: str
) -> None:
    with pytest.raises(DecodingError, match=fix) as refused:
        translator.stream(["one"], **options)
    assert "the limit is 2,048" in str(refused.value)


class OutOfMemory:
    """A search that runs out of memory above a number of sentences."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []

    def __call__(self, model: object, batch: Sequence[SearchInput], *arguments: Any, **options: Any) -> Any:
        self.sizes.append(len(batch))
        if len(batch) > self.room:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory")
        return search_for(model, batch, *arguments, **options)  # type: ignore[arg-type]


def test_a_batch_that_does_not_fit_in_memory_is_searched_in_halves(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = sentences(20, 6)
    expected = [translation.text for translation in translator.translate(lines)]
    search = OutOfMemory(3)
    monkeypatch.setattr(regard.inference.batch_search, "search", search)
    assert [translation.text for translation in translator.translate(lines)] == expected
    assert max(search.sizes) > 3 >= min(search.sizes)


def test_a_sentence_that_does_not_fit_alone_is_told_with_its_line(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regard.inference.batch_search, "search", OutOfMemory(0))
    with pytest.raises(DecodingError, match=r"line 2: out of memory during search: 3 source tokens, 3 hypotheses"):
        translator.translate(["", "one two six"])


def test_a_large_beam_makes_batches_small(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    search = OutOfMemory(10**9)
    monkeypatch.setattr(regard.inference.batch_search, "search", search)
    translator.translate(["one"] * 9, beam_size=2000)
    assert search.sizes == [4, 4, 1]
