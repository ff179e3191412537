"""The corpora that a recipe's [data] names, opened: they are read when they are gone through."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from regard.corpora import CorpusConfig, DataConfig
from regard.text.bilingual import Bilingual, BilingualFile
from regard.text.builtin import BUILTIN
from regard.text.corpus import Corpus, ParallelText
from regard.text.formats.huggingface import read_dataset
from regard.text.formats.mtdata import read_mtdata
from regard.text.formats.sides import Sides
from regard.text.tagged import TaggedCorpus
from regard.text.together import Together


def open_corpora(data: DataConfig, seed: int) -> tuple[Corpus, Corpus | None]:
    """The training corpus and the dev corpus, if the recipe names one. Raises DataError when they are read."""
    if data.corpus is not None:
        corpora = BUILTIN[data.corpus](seed)
        return corpora.train, corpora.dev
    if not data.corpora:
        return _train(data, data), _dev(data, data)
    dev = [_dev(data, each) for each in (data, *data.corpora)]
    return Together([_train(data, each) for each in data.corpora]), _joined([corpus for corpus in dev if corpus])


def _joined(corpora: Sequence[Corpus]) -> Corpus | None:
    return Together(corpora) if len(corpora) > 1 else corpora[0] if corpora else None


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
        return ParallelText(Path(source or ""), Path(target or ""))
    return BilingualFile(Path(file), sides)


def _dataset(one: CorpusConfig, split: str, sides: Sides) -> Corpus:
    name = one.dataset or ""
    read = partial(read_dataset, name, one.dataset_config, split, sides)
    return Bilingual(f"{Path(name).name} ({split})", f"{name} ({split})", read)


def _mtdata(name: str, sides: Sides) -> Corpus:
    return Bilingual(name, f"mtdata:{name}", partial(read_mtdata, name, sides))


def _sides(data: DataConfig, one: CorpusConfig) -> Sides:
    languages = one.source_language or data.source_language, one.target_language or data.target_language
    return Sides(*languages, one.source_column, one.target_column)
