"""The suffixes of files with both sides; separate from the readers, so that `--help` does not load them."""

from typing import Final

BILINGUAL_SUFFIXES: Final = (".tsv", ".csv", ".tmx", ".po", ".mo", ".xlf", ".xliff", ".jsonl", ".parquet")
