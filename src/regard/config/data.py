"""[data] of a recipe: where pairs come from, and how they are read."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MOST_LENGTH = 1 << 20  # tokens of a sentence
DATA_PATHS = ("source", "target", "dev_source", "dev_target", "file", "dev_file")


def _no_spaces(tag: str) -> str:
    if not re.fullmatch("[!-~]+", tag):
        raise ValueError(f"a tag is written in ASCII, without spaces, and {tag!r} is not")
    return tag


Tag = Annotated[str, AfterValidator(_no_spaces)]


class Section(BaseModel):
    """What every table of a recipe is: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CorpusConfig(Section):
    """Where pairs come from: [data] itself, or one of several [[data.corpora]]."""

    source: str | None = None  # plain text, one segment a line; .gz, .xz and .zst too
    target: str | None = None
    file: str | None = None  # one file with both sides, in their place: see regard.corpus.bilingual_file
    dev_source: str | None = None  # without a dev set, pairs are held out of training
    dev_target: str | None = None
    dev_file: str | None = None
    dataset: str | None = None  # of Hugging Face, in their place: its name on the hub, or a folder
    dataset_config: str | None = None  # which of its parts, where it has several
    dataset_split: str | None = None  # default: train
    dev_split: str | None = None  # of the same dataset
    mtdata: str | None = None  # or a corpus that mtdata fetches, by its name there
    dev_mtdata: str | None = None
    source_language: str = ""  # of one of several: default that of [data]
    target_language: str = ""
    source_column: str = ""  # of a table: its name, or its number from 1
    target_column: str = ""
    weight: float = Field(1.0, gt=0, le=1e6)  # how often each pair comes in an epoch
    tags: tuple[Tag, ...] = Field((), strict=False)  # what its sources begin with, as a target language or a domain

    @model_validator(mode="after")
    def _two_sides(self) -> Self:
        if (self.source is None) != (self.target is None):
            raise ValueError("`source` and `target` go together")
        if (self.dev_source is None) != (self.dev_target is None):
            raise ValueError("`dev_source` and `dev_target` go together")
        if bool(self.source_column) != bool(self.target_column):
            raise ValueError("`source_column` and `target_column` go together")
        if sum(origin is not None for origin in (self.source, self.file, self.dataset, self.mtdata)) > 1:
            raise ValueError("give either `source` and `target`, or `file`, or `dataset`, or `mtdata`")
        if sum(origin is not None for origin in self._dev) > 1:
            raise ValueError(
                "give either `dev_source` and `dev_target`, or `dev_file`, or `dev_split`, or `dev_mtdata`"
            )
        if self.dataset is None and (self.dataset_config or self.dataset_split or self.dev_split):
            raise ValueError("`dataset_config`, `dataset_split` and `dev_split` go with `dataset`")
        return self

    @property
    def has_files(self) -> bool:
        """Whether it names files, or a dataset, to train on."""
        return any(origin is not None for origin in (self.source, self.file, self.dataset, self.mtdata))

    @property
    def has_dev(self) -> bool:
        """Whether it names a dev set."""
        return any(origin is not None for origin in self._dev)

    @property
    def _dev(self) -> tuple[str | None, ...]:
        return self.dev_source, self.dev_file, self.dev_split, self.dev_mtdata


class DataConfig(CorpusConfig):
    """[data]: all pairs, and how they are read."""

    corpus: Literal["dates", "numbers"] | None = None  # an embedded corpus, in the place of files
    corpora: tuple[CorpusConfig, ...] = Field((), strict=False)  # several, in the place of one
    temperature: float = Field(
        1.0, ge=1, le=1e6
    )  # of several: each as often as its size to the power of 1 / temperature
    streaming: bool = False  # train on the corpora as they are read again and again, and prepare nothing
    max_length: int = Field(256, ge=1, le=MOST_LENGTH)  # tokens; a pair longer on either side is left aside and counted
    held_out: int = Field(0, ge=0, le=10**9)  # pairs held out for dev where no dev set is given; 0: chosen by size

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.corpus is not None) + self.has_files + bool(self.corpora) != 1:
            raise ValueError(
                "give either both `source` and `target`, or `file`, `dataset`, `mtdata`, `corpora`, or `corpus`"
            )
        if not all(corpus.has_files for corpus in self.corpora):
            raise ValueError("each of `corpora` needs both `source` and `target`, or `file`, `dataset`, `mtdata`")
        if self.weight != 1 or (self.temperature != 1 and not self.corpora):
            raise ValueError("`weight` is said in each of several `corpora`, and `temperature` of several")
        if self.has_dev and self.corpus is not None:
            raise ValueError("give no dev set beside `corpus`, which has its own")
        if self.has_dev and any(corpus.has_dev for corpus in self.corpora):
            raise ValueError("give dev sets either in [data] or in `corpora`")
        return self

    @model_validator(mode="after")
    def _can_be_streamed(self) -> Self:
        if self.streaming and not self.has_any_dev:
            raise ValueError("`streaming` needs a dev set: none can be held out of what is read as it comes")
        return self

    @property
    def all_tags(self) -> tuple[str, ...]:
        """Those of all corpora, each once, in their order."""
        return tuple(dict.fromkeys(tag for corpus in (self, *self.corpora) for tag in corpus.tags))

    @property
    def has_any_dev(self) -> bool:
        """Whether pairs need not be held out of training."""
        return self.has_dev or any(corpus.has_dev for corpus in self.corpora)
