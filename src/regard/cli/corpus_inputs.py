"""The corpus that `regard inspect` and `regard clean` read, and the dev and test sets that it must not contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regard.config.data_folder import find_data_file
from regard.console import status
from regard.corpus.formats.sides import Sides, direction
from regard.corpus.language_codes import languages_from_names
from regard.corpus.paths import CorpusPaths
from regard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from regard.corpus.bilingual_file import BilingualFile
    from regard.corpus.parallel_text import ParallelText
    from regard.corpus_checks.inspection import CorpusInspector

Files = tuple[Path | None, Path | None, Path | None]  # source, target, or one file with both


@dataclass(frozen=True)
class CorpusInputs:
    """A training corpus, dev and test sets, and the languages and columns of all of them."""

    train: CorpusPaths
    dev: CorpusPaths
    test: CorpusPaths
    sides: Sides

    @classmethod
    def of(cls, train: Files, dev: Files, test: Files, sides: Sides) -> CorpusInputs:
        """Return the inputs that the command line names. Languages that it leaves out are those in the file names."""
        corpus = CorpusPaths(*train, ("--source", "--target", "--data"))
        return cls(
            corpus,
            CorpusPaths(*dev, ("--dev-source", "--dev-target", "--dev-data")),
            CorpusPaths(*test, ("--test-source", "--test-target", "--test-data")),
            _add_languages(sides, corpus.files()),
        )

    def files(self) -> list[Path]:
        """Return all files that are read."""
        return [path for place in (self.train, self.dev, self.test) for path in place.files()]

    def open_train(self) -> ParallelText | BilingualFile:
        """Return the training corpus, which can be read repeatedly.

        Raises:
            ConfigError: It is not clear what to read.
            DataError: A file has an unknown format, or can be read only once.
        """
        corpus = self.train.open(self.sides)
        if corpus is None:
            raise ConfigError("no corpus is given", fix="give --source and --target, or --data")
        for path in self.train.files():
            _refuse_stream(path)
        return corpus

    def read(self) -> CorpusInspector:
        """Read the corpus once.

        Raises:
            ConfigError: It is not clear what to read.
            DataError: A file cannot be read.
        """
        from regard.corpus_checks.inspection import CorpusInspector

        corpus = self.open_train()
        held_out = {}
        for name, place in (("dev", self.dev), ("test", self.test)):
            if (held_out_corpus := place.open(self.sides)) is not None:
                held_out[name] = held_out_corpus
        languages = (self.sides.source_language, self.sides.target_language)
        with status("reading ...") as update:
            return CorpusInspector(corpus, held_out, languages, lambda text: update(f"{text} ..."))


def _add_languages(sides: Sides, files: Sequence[Path]) -> Sides:
    """Return the sides with the languages in the names of the files, where no languages are requested."""
    source, target = languages_from_names(*files) if files else ("", "")
    if direction(sides, source, target) == "backward":
        source, target = target, source
    return replace(
        sides, source_language=sides.source_language or source, target_language=sides.target_language or target
    )


def _refuse_stream(path: Path) -> None:
    """Raise DataError for a pipe or a device, which is empty when it is read again."""
    place = find_data_file(path)
    if place.exists() and not place.is_file() and not place.is_dir():
        raise DataError(
            "this is not a regular file, and the corpus is read more than once",
            where=path,
            fix="write it to a file first",
        )
