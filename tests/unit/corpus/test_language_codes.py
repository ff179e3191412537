from __future__ import annotations

import pytest

from regard.corpus.language_codes import languages_from_names


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("train.en", "en"),
        ("some/where.de/train.de.gz", "de"),
        ("news.pt-BR.txt", "pt-BR"),
        ("news.zh_Hans", "zh_Hans"),
        ("europarl.en-de.de", "de"),
        ("europarl.tok.en", "en"),
        ("train.en.tok", "en"),
        ("train.no", "no"),
        ("train.deu.txt.gz", "deu"),
        ("train.txt", ""),
        ("train.src", ""),
        ("train.tgt.gz", ""),
        ("train.en-de.gz", ""),
        ("train", ""),
        ("train.2014", ""),
        (".en", "en"),
    ],
)
def test_language_of_a_file(name: str, language: str) -> None:
    assert languages_from_names(name, name) == (language, language)


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("memory.en-de.tmx", ("en", "de")),
        ("some-thing.en-de.de-fr.tsv.gz", ("de", "fr")),
        ("all.en-de.old.csv", ("en", "de")),
        ("memory.tmx", ("", "")),
        ("en-de.tmx", ("", "")),
    ],
)
def test_languages_of_a_file_with_both_sides(name: str, languages: tuple[str, str]) -> None:
    assert languages_from_names(name) == languages
