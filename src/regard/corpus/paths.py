"""The corpora that a recipe's [data] or options name, opened: they are read when they are gone through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from regard.config.data import CorpusConfig, DataConfig
from regard.corpus.bilingual_file import BilingualFile, ReaderCorpus, find_reader
from regard.corpus.builtin import BUILTIN
from regard.corpus.concat import ConcatCorpus
from regard.corpus.corpus import Corpus
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.huggingface import read_dataset
from regard.corpus.formats.mtdata import read_mtdata
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES
from regard.corpus.formats.unsupported import refuse_as_lines
from regard.corpus.language_codes import languages_from_names
from regard.corpus.parallel_text import ParallelText
from regard.corpus.tagged import TaggedCorpus
from regard.errors import ConfigError

COLUMNS = (".tsv", ".csv")  # formats whose sides are columns,
KEYS = (".jsonl", ".parquet")  # or keys


@dataclass(frozen=True)
class CorpusPaths:
    """Where one corpus lies: two plain files, or one with both sides. `options` are what they were named by."""

    source: Path | None = None
    target: Path | None = None
    data: Path | None = None
    labels: tuple[str, str, str] = ("--source", "--target", "--data")

    def files(self) -> list[Path]:
        """Those that were named."""
        return [path for path in (self.source, self.target, self.data) if path is not None]

    def open(self, sides: Sides) -> ParallelText | BilingualFile | None:
        """The corpus; None where nothing was named. Raises ConfigError where that is not clear, and DataError."""
        if not self.files():
            return None
        if self.data is not None and len(self.files()) == 1:
            find_reader(self.data)
            return BilingualFile(self.data, sides)
        if self.data is None and self.source is not None and self.target is not None:
            return _lines(self.source, self.target)
        raise ConfigError(
            "it is not clear where the corpus lies",
            where=", ".join(self.labels),
            fix="give both {} and {}, or {}".format(*self.labels),
        )


def _lines(source: Path, target: Path) -> ParallelText:
    """Two plain files as a corpus. Raises DataError for a file whose name says that it is none."""
    for path in (source, target):
        refuse_as_lines(
            path,
            f"give its text, a segment a line; or both sides in one file by --data: {', '.join(BILINGUAL_SUFFIXES)}",
        )
    return ParallelText(source, target)


def infer_sides(data: DataConfig, file: Path, asked: Sides = Sides()) -> Sides:
    """How to read another file than those of a recipe: as is asked, else as the recipe reads files of such a format.

    Languages that neither tells are those of the file's name.
    """
    columns = {
        (one.source_column, one.target_column) for one in (data, *data.corpora) if one.has_files and _alike(one, file)
    }
    languages = {
        (one.source_language or data.source_language, one.target_language or data.target_language)
        for one in data.corpora or [data]
    }
    told = _only(languages) if any(_only(languages)) else languages_from_names(file)
    known = Sides(*told, *_only(columns))
    given = {name: value for name, value in vars(asked).items() if value}
    return replace(known, **given)


def _alike(one: CorpusConfig, file: Path) -> bool:
    """Whether what a recipe calls columns of its own file can be those of another."""
    kinds = [kind for kind in (COLUMNS, KEYS) if format_suffix(file) in kind]
    if one.file is None:
        return one.dataset is not None and kinds == [KEYS]
    return any(format_suffix(Path(one.file)) in kind for kind in kinds)


def _only(found: set[tuple[str, str]]) -> tuple[str, str]:
    return next(iter(found)) if len(found) == 1 else ("", "")


def open_corpora(data: DataConfig, seed: int) -> tuple[Corpus, Corpus | None]:
    """The training corpus and the dev corpus, if the recipe names one. Raises DataError when they are read."""
    if data.corpus is not None:
        corpora = BUILTIN[data.corpus](seed)
        return corpora.train, corpora.dev
    if not data.corpora:
        return _train(data, data), _dev(data, data)
    dev = [_dev(data, each) for each in (data, *data.corpora)]
    return ConcatCorpus([_train(data, each) for each in data.corpora]), _joined([corpus for corpus in dev if corpus])


def _joined(corpora: Sequence[Corpus]) -> Corpus | None:
    return ConcatCorpus(corpora) if len(corpora) > 1 else corpora[0] if corpora else None


def _train(data: DataConfig, one: CorpusConfig) -> Corpus:
    sides = _sides(data, one)
    if one.dataset is not None:
        return _tagged(_dataset(one, one.dataset_split or "train", sides), one)
    if one.mtdata is not None:
        return _tagged(_mtdata(one.mtdata, sides), one)
    return _tagged(_files(one.file, one.source, one.target, sides), one)


def _dev(data: DataConfig, one: CorpusConfig) -> Corpus | None:
    sides = _sides(data, one)
    if one.dev_split is not None:
        return _tagged(_dataset(one, one.dev_split, sides), one)
    if one.dev_mtdata is not None:
        return _tagged(_mtdata(one.dev_mtdata, sides), one)
    return _tagged(_files(one.dev_file, one.dev_source, one.dev_target, sides), one) if one.has_dev else None


def _tagged(corpus: Corpus, one: CorpusConfig) -> Corpus:
    return TaggedCorpus(corpus, one.tags) if one.tags else corpus


def _files(file: str | None, source: str | None, target: str | None, sides: Sides) -> Corpus:
    if file is None:
        return _lines(Path(source or ""), Path(target or ""))
    return BilingualFile(Path(file), sides)


def _dataset(one: CorpusConfig, split: str, sides: Sides) -> Corpus:
    name = one.dataset or ""
    read = partial(read_dataset, name, one.dataset_config, split, sides)
    return ReaderCorpus(f"{Path(name).name} ({split})", f"{name} ({split})", read)


def _mtdata(name: str, sides: Sides) -> Corpus:
    return ReaderCorpus(name, f"mtdata:{name}", partial(read_mtdata, name, sides))


def _sides(data: DataConfig, one: CorpusConfig) -> Sides:
    languages = one.source_language or data.source_language, one.target_language or data.target_language
    return Sides(*languages, one.source_column, one.target_column)
