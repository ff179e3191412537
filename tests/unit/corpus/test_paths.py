from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regard.config.schema import DataConfig
from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.formats.sides import Sides
from regard.corpus.parallel_text import ParallelText
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.errors import ConfigError

TABLE = {"file": "train.tsv.gz", "source_column": "1", "target_column": "3"}
KEYS = {"file": "train.jsonl", "source_column": "text.en", "target_column": "text.de"}


@pytest.mark.parametrize(
    ("data", "file", "requested", "expected"),
    [
        (TABLE, "test.tsv", {}, ("", "", "1", "3")),
        (TABLE, "test.CSV.xz", {}, ("", "", "1", "3")),
        (TABLE, "test.jsonl", {}, ("", "", "", "")),  # keys are not column numbers
        (TABLE, "test.tmx", {}, ("", "", "", "")),
        (TABLE, "test.tsv", {"source_column": "2"}, ("", "", "2", "3")),
        (KEYS, "test.parquet", {}, ("", "", "text.en", "text.de")),
        (KEYS, "test.tsv", {}, ("", "", "", "")),
        ({**KEYS, "file": None, "dataset": "some/set"}, "test.jsonl", {}, ("", "", "text.en", "text.de")),
        ({"file": "a.tmx", "source_language": "en", "target_language": "de"}, "x.de-en.tmx", {}, ("en", "de", "", "")),
        ({"file": "a.tmx", "source_language": "en"}, "x.en-de.tmx", {"target_language": "fr"}, ("en", "fr", "", "")),
        ({"file": "a.tmx"}, "x.de-en.tmx", {}, ("de", "en", "", "")),
        ({"corpus": "dates"}, "x.tsv", {}, ("", "", "", "")),
        (
            {"source_language": "en", "corpora": [{**TABLE, "target_language": "de"}, {"source": "a", "target": "b"}]},
            "x.tsv",
            {},
            ("", "", "1", "3"),  # the corpora have different target languages, so none is inferred
        ),
        (
            {"source_language": "en", "corpora": [{**TABLE, "target_language": "de"}] * 2},
            "x.tsv",
            {},
            ("en", "de", "1", "3"),
        ),
        ({"corpora": [TABLE, {**TABLE, "source_column": "2"}]}, "x.tsv", {}, ("", "", "", "")),
    ],
)
def test_another_file_is_read_like_the_files_of_the_recipe(
    data: dict[str, Any], file: str, requested: dict[str, str], expected: tuple[str, str, str, str]
) -> None:
    assert infer_sides(DataConfig.model_validate(data), Path(file), Sides(**requested)) == Sides(*expected)


def test_a_corpus_is_two_plain_files_or_one() -> None:
    a, b, labels = Path("a"), Path("b.tsv"), ("--x", "--y", "--z")
    assert CorpusPaths().open(Sides()) is None
    assert isinstance(CorpusPaths(a, b).open(Sides()), ParallelText)
    assert isinstance(CorpusPaths(data=b).open(Sides()), BilingualFile)
    for paths in (CorpusPaths(a, labels=labels), CorpusPaths(None, b, b, labels), CorpusPaths(a, b, b, labels)):
        with pytest.raises(ConfigError, match="give both --x and --y, or --z"):
            paths.open(Sides())
