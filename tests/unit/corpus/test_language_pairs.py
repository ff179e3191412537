"""Which languages the corpora of a recipe have."""

from __future__ import annotations

import pytest

from regard.config.data import CorpusConfig, DataConfig
from regard.corpus.language_pairs import language_name, language_pairs


def test_a_tag_names_the_target() -> None:
    corpora = tuple(CorpusConfig(source="a", target="b", tags=(tag,)) for tag in ("de", "fr", "de"))
    assert language_pairs(DataConfig(corpora=corpora, source_language="en")) == [
        ("en", "de", ("de",)),
        ("en", "fr", ("fr",)),
    ]
    domain = CorpusConfig(source="a", target="b", source_language="fi", target_language="pt_BR", tags=("laws",))
    assert language_pairs(DataConfig(corpora=(domain,))) == [("fi", "pt-br", ("laws",))]
    assert language_pairs(DataConfig(corpus="dates")) == [("und", "und", ())]


@pytest.mark.parametrize(("code", "name"), [("en", "English"), ("pt-br", "Portuguese (BR)"), ("iso", "iso")])
def test_languages_have_names(code: str, name: str) -> None:
    assert language_name(code) == name
