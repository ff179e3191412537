"""Corpora by their names in mtdata, with a script instead of its command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regard.config.data import DataConfig
from regard.corpus.corpus import Corpus
from regard.corpus.paths import open_corpora
from regard.errors import DataError

NAME = "Statmt-news_commentary-16-deu-eng"


@pytest.fixture
def mtdata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a script that is alone on the PATH; tests write it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path / "bin" / "mtdata"


def write(script: Path, body: str) -> None:
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)


def opened(name: str = NAME, source: str = "de", target: str = "en") -> Corpus:
    table = {"mtdata": name, "source_language": source, "target_language": target}
    return open_corpora(DataConfig.model_validate(table), seed=1)[0]


def test_its_lines_are_pairs(mtdata: Path) -> None:
    write(mtdata, r'[ "$1 $2" = "echo ' + NAME + r'" ] && printf "Haus\thouse\talso\nallein\n\tleer\nHund\tdog\n"')
    corpus = opened()
    assert [(pair.source, pair.target, pair.line) for pair in corpus] == [("Haus", "house", 1), ("Hund", "dog", 4)]
    assert corpus.skipped.reasons() == {"there is no column 2": [2], "the source is blank": [3]}


def test_the_other_direction(mtdata: Path) -> None:
    write(mtdata, r'printf "Haus\thouse\n"')
    for source, target in (("en", "de"), ("en", "")):
        assert [(pair.source, pair.target) for pair in opened(source=source, target=target)] == [("house", "Haus")]


def test_errors(mtdata: Path) -> None:
    with pytest.raises(DataError, match=r'pip install "regard\[mtdata\]"'):
        list(opened())
    write(mtdata, 'printf "Haus\\thouse\\n"; echo "no such corpus" >&2; exit 1')
    with pytest.raises(DataError, match=f"mtdata:{NAME}: mtdata failed: no such corpus"):
        list(opened())
    with pytest.raises(DataError, match="has deu and eng, but fr to en was requested"):
        list(opened(source="fr"))
    for name in ("news", "-a-b-c-d", "a-b-c-d-e-f"):
        with pytest.raises(DataError, match="GROUP-NAME-VERSION"):
            list(opened(name))


def test_the_command_ends_when_the_corpus_is_not_read_to_its_end(mtdata: Path) -> None:
    write(mtdata, r'while :; do printf "Haus\thouse\n"; done')
    assert next(iter(opened())).source == "Haus"
