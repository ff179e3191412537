"""The [data] section of a recipe: where the sentence pairs come from and how they are read."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_LENGTH = 1 << 20  # tokens of a sentence
DATA_PATHS = ("source", "target", "dev_source", "dev_target", "file", "dev_file")


def _check_tag(tag: str) -> str:
    if not re.fullmatch("[!-~]+", tag):
        raise ValueError(f"a tag must be ASCII without spaces, but this one is {tag!r}")
    return tag


Tag = Annotated[str, AfterValidator(_check_tag)]


def column_names(column: str) -> tuple[str, ...]:
    """Return the names in a `source_column`: `1,3` names two columns. Raise ValueError for an empty name."""
    names = tuple(name.strip() for name in column.split(",")) if column else ()
    if len(names) > 1 and not all(names):
        raise ValueError(f"a name is missing in the columns {column!r}")
    return names


class Section(BaseModel):
    """Base class of the tables of a recipe: frozen, strict about types; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CorpusConfig(Section):
    """One of several corpora to train on; `[data]` itself if there is only one."""

    source: str | None = Field(
        None,
        description="Plain text file with the source sentences, one per line; `.gz`, `.xz` and `.zst` are read too.",
    )
    target: str | None = Field(
        None, description="Plain text file with the target sentences; line n translates line n of `source`."
    )
    file: str | None = Field(
        None,
        description="One file that holds both sides, instead of `source` and `target`: `.tsv`, `.csv`, `.jsonl`, "
        "`.parquet`, `.tmx`, `.xlf`, `.xliff`, `.po`, `.mo`, or `.sqlite` (corrections).",
    )
    dev_source: str | None = Field(
        None, description="Source side of the dev set. Without a dev set, pairs are held out of the training corpus."
    )
    dev_target: str | None = Field(None, description="Target side of the dev set.")
    dev_file: str | None = Field(None, description="One file that holds both sides of the dev set.")
    dataset: str | None = Field(
        None, description="Hugging Face dataset to train on: its name on the hub, or a local folder."
    )
    dataset_config: str | None = Field(None, description="Configuration (subset) of the Hugging Face dataset.")
    dataset_split: str | None = Field(
        None, description="Split of the Hugging Face dataset to train on; by default `train`."
    )
    dev_split: str | None = Field(None, description="Split of the same dataset to use as dev set.")
    mtdata: str | None = Field(None, description="Corpus to download with mtdata, by its mtdata identifier.")
    dev_mtdata: str | None = Field(None, description="Dev set to download with mtdata, by its mtdata identifier.")
    source_language: str = Field(
        "", description="Language code of the source side, e.g. `en`. A corpus without one has that of `[data]`."
    )
    target_language: str = Field(
        "", description="Language code of the target side, e.g. `de`. A corpus without one has that of `[data]`."
    )
    source_column: str = Field(
        "",
        description="Column of a table that holds the source: a name, or a number counted from 1. Several, with "
        "commas between them, are joined to one source: see `tokenizer.source_columns`.",
    )
    target_column: str = Field(
        "", description="Column of a table that holds the target: a name, or a number counted from 1."
    )
    weight: float = Field(
        1.0,
        gt=0,
        le=1e6,
        description="How many times an epoch contains each pair of this corpus, for one of several `corpora`. "
        "With 2.5, each pair occurs twice and a random half of them a third time.",
    )
    tags: tuple[Tag, ...] = Field(
        (),
        strict=False,
        description="Tags that precede each source sentence, e.g. the target language or the domain. "
        "Each tag becomes one token.",
    )

    @model_validator(mode="after")
    def _check_both_sides(self) -> Self:
        if (self.source is None) != (self.target is None):
            raise ValueError("`source` and `target` go together")
        if (self.dev_source is None) != (self.dev_target is None):
            raise ValueError("`dev_source` and `dev_target` go together")
        if bool(self.source_column) != bool(self.target_column):
            raise ValueError("`source_column` and `target_column` go together")
        column_names(self.source_column)
        if sum(value is not None for value in (self.source, self.file, self.dataset, self.mtdata)) > 1:
            raise ValueError("give only one of `source` and `target`, `file`, `dataset`, `mtdata`")
        if sum(value is not None for value in self._dev) > 1:
            raise ValueError("give only one of `dev_source` and `dev_target`, `dev_file`, `dev_split`, `dev_mtdata`")
        if self.dataset is None and (self.dataset_config or self.dataset_split or self.dev_split):
            raise ValueError("`dataset_config`, `dataset_split` and `dev_split` require `dataset`")
        return self

    @property
    def has_files(self) -> bool:
        """Return whether files or a dataset to train on are given."""
        return any(value is not None for value in (self.source, self.file, self.dataset, self.mtdata))

    @property
    def has_dev(self) -> bool:
        """Return whether a dev set is given."""
        return any(value is not None for value in self._dev)

    @property
    def _dev(self) -> tuple[str | None, ...]:
        return self.dev_source, self.dev_file, self.dev_split, self.dev_mtdata


class DataConfig(CorpusConfig):
    """[data]: the corpus or the corpora to train on, and how they are read."""

    corpus: Literal["dates", "numbers"] | None = Field(
        None, description="Built-in corpus to train on, instead of files."
    )
    corpora: tuple[CorpusConfig, ...] = Field(
        (),
        strict=False,
        description="Several corpora to train on, each a table `[[data.corpora]]` with the keys of a corpus.",
    )
    temperature: float = Field(
        1.0,
        ge=1,
        le=1e6,
        description="Sampling temperature T over several `corpora`: each is drawn in proportion to its size to the "
        "power 1 / T.",
    )
    streaming: bool = Field(
        False,
        description="Read the corpora again in each epoch and encode pairs on the fly, instead of storing all of them "
        "as token ids before training.",
    )
    max_length: int = Field(
        256,
        ge=1,
        le=MAX_LENGTH,
        description="Maximum tokens of a sentence. Pairs with a longer side are skipped and counted.",
    )
    held_out: int = Field(
        0,
        ge=0,
        le=10**9,
        description="Pairs held out of the training corpus as dev set, if no dev set is given. "
        "0: a twentieth, at most 1,000.",
    )

    @model_validator(mode="after")
    def _check_one_origin(self) -> Self:
        if (self.corpus is not None) + self.has_files + bool(self.corpora) != 1:
            raise ValueError(
                "give exactly one of `source` and `target`, `file`, `dataset`, `mtdata`, `corpora`, `corpus`"
            )
        if not all(corpus.has_files for corpus in self.corpora):
            raise ValueError("each of `corpora` needs `source` and `target`, `file`, `dataset` or `mtdata`")
        if self.weight != 1 or (self.temperature != 1 and not self.corpora):
            raise ValueError("`weight` belongs in one of several `corpora`, and `temperature` needs `corpora`")
        if self.has_dev and self.corpus is not None:
            raise ValueError("a built-in `corpus` has its own dev set: do not give another one")
        if self.has_dev and any(corpus.has_dev for corpus in self.corpora):
            raise ValueError("give dev sets either in [data] or in `corpora`, not in both")
        return self

    @model_validator(mode="after")
    def _check_streaming(self) -> Self:
        if self.streaming and not self.has_any_dev:
            raise ValueError("`streaming` needs a dev set, because no pairs can be held out of a streamed corpus")
        return self

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The distinct tags of all corpora, in the order of the recipe."""
        return tuple(dict.fromkeys(tag for corpus in (self, *self.corpora) for tag in corpus.tags))

    @property
    def has_any_dev(self) -> bool:
        """Return whether [data] or one of its corpora gives a dev set."""
        return self.has_dev or any(corpus.has_dev for corpus in self.corpora)
