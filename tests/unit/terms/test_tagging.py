"""Training with terms: words are aligned, forms are learned, and tags are drawn from the seed."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.config.recipe import parse_config
from regard.config.schema import TokenizerConfig
from regard.corpus.tagged import add_tags
from regard.data.batch import Batch
from regard.data.loader import BatchSize, Loader, Position
from regard.data.store import PairStore
from regard.errors import ConfigError
from regard.models import ARCHITECTURES
from regard.terms.alignment import align
from regard.terms.glossary import Term
from regard.terms.learned import LearnedTerms, learn_terms, load_forms
from regard.terms.offsets import find_terms, token_spans
from regard.terms.tagging import MARKERS, TermSampler, TermTagger, WantedTerm, has_markers
from regard.terms.word_forms import learn_word_forms
from regard.tokenizers.base import Tokenizers, train_tokenizers

NOUNS = ["table", "garden", "window", "river", "basket", "candle", "mirror", "pencil", "bottle", "carpet", "ladder"]
NOUNS += ["button", "hammer", "kettle", "marble", "pillow", "saddle", "tunnel", "wallet"]
WORDS = {noun: f"{noun[::-1].capitalize()}" for noun in NOUNS}
WORDS |= {f"{noun}s": f"{noun[::-1].capitalize()}en" for noun in NOUNS}
FRAMES = [("we see the {} and the {}", "wir sehen {} und {}"), ("the {} is near the {}", "nahe {} ist {}")]


def make_pairs(count: int = 300) -> list[tuple[str, str]]:
    rng = random.Random(1)
    pairs = []
    for _ in range(count):
        (source, target), words = rng.choice(FRAMES), rng.sample(list(WORDS), 2)
        pairs.append((source.format(*words), target.format(*(WORDS[word] for word in words))))
    return pairs


PAIRS = make_pairs()


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind="unigram", vocabulary_size=340), PAIRS).with_tags(["x", *MARKERS])


@pytest.fixture(scope="module")
def store(tokenizers: Tokenizers, tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    encoded = [
        (tokenizers.source.encode(add_tags(source, ["x"])), tokenizers.target.encode(target))
        for source, target in PAIRS
    ]
    return PairStore.write(tmp_path_factory.mktemp("store"), "train", encoded)


@pytest.fixture(scope="module")
def terms(store: PairStore, tokenizers: Tokenizers, tmp_path_factory: pytest.TempPathFactory) -> LearnedTerms:
    return learn_terms(tmp_path_factory.mktemp("terms"), store, tokenizers, lambda text: None)


def test_terms_are_words_and_their_translations(terms: LearnedTerms, store: PairStore, tokenizers: Tokenizers) -> None:
    texts = [
        (
            tokenizers.source.decode(store.source(index)[span.start : span.end].tolist()),
            tokenizers.target.decode(store.target(index)[span.target_start : span.target_end].tolist()),
        )
        for index in range(len(store))
        for span in terms.spans.of(index)
    ]
    nouns = [(source, target) for source, target in texts if source in WORDS]
    assert len(nouns) > 1.8 * len(store)
    assert sum(WORDS[source] == target for source, target in nouns) > 0.97 * len(nouns)


def test_forms_are_learned_from_both_sides(terms: LearnedTerms) -> None:
    assert set(terms.forms.target.forms("Elbaten")) >= {"Elbat", "Elbaten"}
    assert set(terms.forms.source.forms("river")) >= {"river", "rivers"}
    assert terms.forms.target.base("Elbaten") in ("Elbat", "Elbaten")
    assert "Rednac" not in terms.forms.target.forms("Elbat")
    assert terms.forms.source.is_form("rockets", "rocket")  # neither is in the corpus
    assert not terms.forms.source.is_form("rocking", "rocket")


def test_words_that_are_translated_differently_are_not_forms() -> None:
    stems = [f"{a}{b}{c}n" for a in "bdfg" for b in "aeiou" for c in "lmnr"]
    counts = {f"{stem}{ending}": 5 for stem in stems for ending in ("", "s", "er")}
    same = {f"{stem}{ending}": {number: 4} for number, stem in enumerate(stems) for ending in ("", "s")}
    different = {f"{stem}er": {number + 1000: 4} for number, stem in enumerate(stems)}
    forms = learn_word_forms(counts, {word: Counter(links) for word, links in (same | different).items()})
    assert forms.forms("baln") == ("baln", "balns")
    assert forms.forms("balner") == ("balner",)


def test_what_was_learned_is_read_again(
    store: PairStore, tokenizers: Tokenizers, terms: LearnedTerms, tmp_path: Path
) -> None:
    messages: list[str] = []
    first = learn_terms(tmp_path, store, tokenizers, messages.append)
    assert len(messages) == 2
    again = learn_terms(tmp_path, store, tokenizers, messages.append)
    assert len(messages) == 2
    assert np.array_equal(first.spans.table, again.spans.table)
    assert first.forms == again.forms == terms.forms
    assert load_forms(tmp_path, "another fingerprint") is None


def sampler(terms: LearnedTerms, tokenizers: Tokenizers, share: float = 0.5) -> TermSampler:
    return TermSampler(tokenizers, terms.spans, terms.forms.target, share, 100)


def rows(batch: Batch) -> list[list[int]]:
    source: list[list[int]] = batch.source.tolist()
    return source


def test_tags_are_drawn_from_the_seed_alone(terms: LearnedTerms, store: PairStore, tokenizers: Tokenizers) -> None:
    def loader(position: Position = Position(0, 0), rank: int = 0, size: int = 1) -> Loader:
        loader = Loader(store, BatchSize(400), seed=1, position=position, rank=rank, size=size)
        loader.tag_terms = sampler(terms, tokenizers)
        return loader

    count = loader().batches_per_epoch
    batches = [rows(batch) for batch in islice(loader(), 2 * count)]
    resumed = [rows(batch) for batch in islice(loader(Position(1, 2)), count - 2)]
    assert resumed == batches[count + 2 :]
    first, second = (sorted(str(row) for part in epoch for row in part) for epoch in (batches[:count], batches[count:]))
    assert first != second
    halves = [next(iter(loader(rank=rank, size=2))) for rank in (0, 1)]
    shared = sorted(sum(map(sum, rows(half))) for half in halves)
    assert sum(shared) == sum(map(sum, batches[0]))
    begin = tokenizers.source.size - 3
    share = np.mean([begin in row for batch in batches for row in batch])
    assert 0.4 < share < 0.6


def test_a_tagged_source_has_its_words_its_tags_and_the_wanted_terms(
    terms: LearnedTerms, store: PairStore, tokenizers: Tokenizers
) -> None:
    pairs = [(store.source(index), store.target(index)) for index in range(len(store))]
    tagged = sampler(terms, tokenizers, 1.0)(pairs, range(len(store)), (1, 2, 3))
    size = tokenizers.source.size
    x, begin, as_, end = size - 4, size - 3, size - 2, size - 1
    exact = 0
    for (old, _), (new, target) in zip(pairs, tagged, strict=True):
        ids = list(new)
        assert ids[0] == x
        while begin in ids:
            start, middle, stop = ids.index(begin), ids.index(as_), ids.index(end)
            assert start < middle < stop
            term = tokenizers.source.decode(ids[middle + 1 : stop])
            exact += term in tokenizers.target.decode([*target]).split()
            ids[start : stop + 1] = ids[start + 1 : middle]
        assert ids == old.tolist()
    assert exact > len(pairs) / 2
    unchanged = sampler(terms, tokenizers, 1.0)(pairs, [None] * len(pairs), (1, 2, 3))
    assert all(new is old for (new, _), (old, _) in zip(unchanged, pairs, strict=True))


def test_markers_show_how_a_run_was_trained(tokenizers: Tokenizers) -> None:
    assert has_markers(tokenizers)
    assert not has_markers(tokenizers.without_tags())
    assert not has_markers(tokenizers.without_tags().with_tags(["x"]))


def test_origins_say_which_token_a_tag_belongs_to(tokenizers: Tokenizers) -> None:
    tagger = TermTagger(tokenizers)
    ids, origins = tagger.tag_with_origins([10, 11, 12, 13], [WantedTerm(0, 1, (7,)), WantedTerm(2, 4, (8, 9))])
    begin, as_, end = (tokenizers.source.size - offset for offset in (3, 2, 1))
    assert ids == (begin, 10, as_, 7, end, 11, begin, 12, 13, as_, 8, 9, end)
    assert origins == (0, 0, 0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 3)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "character", "word", "byte"])
def test_token_spans_cover_the_text(kind: str) -> None:
    texts = ["the Köln garden", "a 猫 ▁ x", "word  more\u3000words", "é"]
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 330, "joint": True})
    pairs = [*PAIRS, *((text, text) for text in texts)]
    tokenizer = train_tokenizers(config, pairs).source
    for text in texts:
        ids = tokenizer.encode(text)
        spans = token_spans(tokenizer, ids, text)
        assert spans is not None and len(spans) == len(ids)
        covered = {place for start, end in spans for place in range(start, end)}
        assert covered == {place for place, character in enumerate(text) if not character.isspace()}
    assert token_spans(tokenizer, tokenizer.encode("other text"), "the") is None


@pytest.mark.parametrize("text", ["the hotdog and the dog", "İki İri İyi the dog"])  # `İ`.lower() has two characters
def test_a_term_is_a_word_of_the_text(text: str) -> None:
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    ((_, place),) = find_terms([Term("dog", "Hund", ("Hund",))], spans, text)
    assert place == slice(4, 5)


def test_an_empty_side_is_aligned_with_nothing(tokenizers: Tokenizers, tmp_path: Path) -> None:
    pairs = [([], [5]), ([6], []), (tokenizers.source.encode("the table"), tokenizers.target.encode("Elbat"))]
    alignment = align(PairStore.write(tmp_path, "train", pairs), tokenizers)
    assert not alignment.is_mutual[: alignment.source.units.offsets[1]].any()


def test_terms_need_a_stored_corpus_without_sampling() -> None:
    table: dict[str, dict[str, Any]] = {
        "data": {"file": "a.tsv"},
        "model": {"architecture": "modern", "preset": "tiny"},
    }
    for section, key, value in (("train", "subword_sampling", 0.1), ("data", "streaming", True)):
        sections = {name: dict(values) for name, values in table.items()}
        sections.setdefault("train", {})["terms"] = 0.4
        sections[section][key] = value
        sections["data"]["dev_file"] = "b.tsv"
        with pytest.raises(ConfigError, match="terms cannot be combined"):
            parse_config(sections, ARCHITECTURES, where="recipe")
