"""What names of files with both sides end in, apart from the readers, so that `--help` need not load them."""

from typing import Final

BILINGUAL_SUFFIXES: Final = (".tsv", ".csv", ".tmx", ".po", ".mo", ".xlf", ".xliff", ".jsonl", ".parquet")
