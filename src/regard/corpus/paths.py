"""Open the corpora named in a recipe's [data] or by options; they are read when they are iterated over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from regard.config.data import DATA_PATHS, CorpusConfig, DataConfig, column_names
from regard.config.schema import RunConfig
from regard.corpus.bilingual_file import BilingualFile, ReaderCorpus, find_reader
from regard.corpus.builtin import BUILTIN
from regard.corpus.concat import ConcatCorpus
from regard.corpus.corpus import Corpus
from regard.corpus.formats.compressed import format_suffix, open_decompressed
from regard.corpus.formats.huggingface import read_dataset
from regard.corpus.formats.mtdata import read_mtdata
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES
from regard.corpus.formats.unsupported import refuse_as_lines
from regard.corpus.language_codes import languages_from_names
from regard.corpus.parallel_text import ParallelText
from regard.corpus.source_columns import ColumnsCorpus, requested_columns
from regard.corpus.tagged import TaggedCorpus
from regard.errors import ConfigError

COLUMNS = (".tsv", ".csv")  # formats whose sides are columns
KEYS = (".jsonl", ".parquet")  # formats whose sides are keys


@dataclass(frozen=True)
class CorpusPaths:
    """The paths of one corpus: two plain files, or one with both sides. `labels` name the three paths in errors."""

    source: Path | None = None
    target: Path | None = None
    data: Path | None = None
    labels: tuple[str, str, str] = ("source", "target", "data")

    def files(self) -> list[Path]:
        """Return the paths that are set."""
        return [path for path in (self.source, self.target, self.data) if path is not None]

    def open(self, sides: Sides) -> ParallelText | BilingualFile | None:
        """Return the corpus, or None if no path is set. Raises ConfigError for any other combination, and DataError."""
        if not self.files():
            return None
        if self.data is not None and len(self.files()) == 1:
            find_reader(self.data)
            return BilingualFile(self.data, sides)
        if self.data is None and self.source is not None and self.target is not None:
            return _lines(self.source, self.target, self.labels[2])
        raise ConfigError(
            "it is not clear which files the corpus consists of",
            where=", ".join(self.labels),
            fix="give both {} and {}, or {}".format(*self.labels),
        )


def _lines(source: Path, target: Path, data_label: str) -> ParallelText:
    """Return two plain files as a corpus. Raise DataError for a file whose suffix is that of another format."""
    for path in (source, target):
        refuse_as_lines(
            path,
            f"give its text, one segment per line; or give both sides in one file, as {data_label}: "
            f"{', '.join(BILINGUAL_SUFFIXES)}",
        )
    return ParallelText(source, target)


def infer_sides(data: DataConfig, file: Path, requested: Sides = Sides()) -> Sides:
    """Return how to read a file that is not in the recipe.

    What is not requested is read as the recipe reads files of the same format. Languages that are still unknown are
    those in the name of the file.
    """
    columns = {
        (corpus.source_column, corpus.target_column)
        for corpus in (data, *data.corpora)
        if corpus.has_files and _has_same_format(corpus, file)
    }
    languages = {
        (corpus.source_language or data.source_language, corpus.target_language or data.target_language)
        for corpus in data.corpora or [data]
    }
    pair = _unique(languages) if any(_unique(languages)) else languages_from_names(file)
    inferred = Sides(*pair, *_unique(columns))
    return replace(inferred, **{name: value for name, value in vars(requested).items() if value})


def check_source_columns(config: RunConfig, sides: Sides, file: Path) -> None:
    """Raise ConfigError if the requested source columns are not as many as those of the run, or a name is missing."""
    columns, names = len(config.tokenizer.source_columns), requested_columns(sides.source_column)
    if columns and names and len(names) != columns:
        raise ConfigError(
            f"the sources of the run have {columns} columns, but {sides.source_column!r} names {len(names)}",
            where=file,
            fix=f"name {columns} by --source-column, with commas between them",
        )


def _has_same_format(corpus: CorpusConfig, file: Path) -> bool:
    """Return whether the columns of a recipe's corpus can be those of another file."""
    formats = [suffixes for suffixes in (COLUMNS, KEYS) if format_suffix(file) in suffixes]
    if corpus.file is None:
        return corpus.dataset is not None and formats == [KEYS]
    return any(format_suffix(Path(corpus.file)) in suffixes for suffixes in formats)


def _unique(pairs: set[tuple[str, str]]) -> tuple[str, str]:
    return next(iter(pairs)) if len(pairs) == 1 else ("", "")


def check_files(data: DataConfig) -> None:
    """Raise DataError if a file that [data] names is missing, so that the user need not wait to learn it."""
    paths = [path for corpus in (data, *data.corpora) for key in DATA_PATHS if (path := getattr(corpus, key))]
    for path in map(Path, paths):
        if not path.exists():
            with open_decompressed(path):  # raises the error
                pass


def open_corpora(data: DataConfig, seed: int, columns: int | None = None) -> tuple[Corpus, Corpus | None]:
    """Return the training corpus, and the dev corpus if the recipe names one. Reading them raises DataError.

    Args:
        data: The corpora.
        seed: Seed of a built-in corpus.
        columns: The number of columns that the tokenizer expects in a source, 0 for plain text; None: any number.
    """
    if data.corpus is not None:
        corpora = BUILTIN[data.corpus](seed)
        return corpora.train, corpora.dev
    if not data.corpora:
        return _train(data, data, columns), _dev(data, data, columns)
    train = ConcatCorpus([_train(data, config, columns) for config in data.corpora])
    dev = [corpus for config in (data, *data.corpora) if (corpus := _dev(data, config, columns))]
    return train, ConcatCorpus(dev) if len(dev) > 1 else dev[0] if dev else None


def _train(data: DataConfig, config: CorpusConfig, columns: int | None) -> Corpus:
    sides = _sides(data, config)
    if config.dataset is not None:
        split = config.dataset_split or "train"
        return _checked(_dataset(config, split, sides), config, columns, config.dataset)
    if config.mtdata is not None:
        return _checked(_mtdata(config.mtdata, sides), config, columns, config.mtdata)
    corpus = _files(config.file, config.source, config.target, sides)
    return _checked(corpus, config, columns, config.file or config.source)


def _dev(data: DataConfig, config: CorpusConfig, columns: int | None) -> Corpus | None:
    sides = _sides(data, config)
    if config.dev_split is not None:
        return _checked(_dataset(config, config.dev_split, sides), config, columns, config.dataset)
    if config.dev_mtdata is not None:
        return _checked(_mtdata(config.dev_mtdata, sides), config, columns, config.dev_mtdata)
    if not config.has_dev:
        return None
    corpus = _files(config.dev_file, config.dev_source, config.dev_target, sides)
    return _checked(corpus, config, columns, config.dev_file or config.dev_source)


def _checked(corpus: Corpus, config: CorpusConfig, columns: int | None, where: str | None) -> Corpus:
    """Return a corpus whose sources are checked for the number of columns, and have the tags of the recipe."""
    if columns or (columns == 0 and len(column_names(config.source_column)) > 1):
        corpus = ColumnsCorpus(corpus, columns or 1, where or corpus.name)
    return TaggedCorpus(corpus, config.tags) if config.tags else corpus


def _files(file: str | None, source: str | None, target: str | None, sides: Sides) -> Corpus:
    if file is None:
        return _lines(Path(source or ""), Path(target or ""), "data.file (--data)")
    return BilingualFile(Path(file), sides)


def _dataset(config: CorpusConfig, split: str, sides: Sides) -> Corpus:
    name = config.dataset or ""
    read = partial(read_dataset, name, config.dataset_config, split, sides)
    return ReaderCorpus(f"{Path(name).name} ({split})", f"{name} ({split})", read)


def _mtdata(name: str, sides: Sides) -> Corpus:
    return ReaderCorpus(name, f"mtdata:{name}", partial(read_mtdata, name, sides))


def _sides(data: DataConfig, config: CorpusConfig) -> Sides:
    languages = config.source_language or data.source_language, config.target_language or data.target_language
    return Sides(*languages, config.source_column, config.target_column)
