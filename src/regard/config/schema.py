"""The schema of a recipe: one frozen model per section, with a description, a default and a range for every key.

regard.config.recipe reads a TOML file into a `RunConfig`. docs/reference.md lists all keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from regard.config.augmentation import AugmentationConfig
from regard.config.data import DATA_PATHS as DATA_PATHS
from regard.config.data import MAX_LENGTH, column_names
from regard.config.data import CorpusConfig as CorpusConfig
from regard.config.data import DataConfig as DataConfig
from regard.config.data import Section as Section
from regard.config.names import NameOf, used_plugins
from regard.config.optimization import MAX_EPOCHS, MAX_STEPS, OptimizationConfig, SecondStageConfig
from regard.config.tokenizer import MAX_VOCABULARY as MAX_VOCABULARY
from regard.config.tokenizer import ColumnTokenizerConfig as ColumnTokenizerConfig
from regard.config.tokenizer import TokenizerConfig as TokenizerConfig
from regard.plugins.registry import find_plugin

MAX_WIDTH = 1 << 17  # of a layer, an embedding or a feed-forward network
MAX_LAYERS = 1000
MAX_HEADS = 4096
MAX_KERNEL = 1023
MAX_POSITIONS = MAX_LENGTH  # learned positions, and positions in an attention window
COPYING_NEEDS_JOINT = "`model.copy_attention` needs `tokenizer.joint = true`: copied source tokens become target tokens"


class ModelConfig(Section):
    """[model]: the architecture and its sizes. Each architecture adds its own keys (see regard.models)."""

    architecture: str = Field(description="Name of the architecture.")

    @property
    def copies_source(self) -> bool:
        """Whether the model copies source tokens, which needs a vocabulary that source and target share."""
        return bool(getattr(self, "copy_attention", False))


COPY_ATTENTION = Field(
    False,
    description="Copy source tokens by attention: a pointer-generator (See et al. 2017), for names and identifiers of "
    "programs. Requires `tokenizer.joint = true`.",
)
"""The field of an architecture that can copy source tokens: see regard.nn.copying."""


class TrainConfig(OptimizationConfig):
    """[train]: the batches, the optimizer, the schedule, and when to validate and stop."""

    seed: int = Field(1, ge=0, lt=2**63, description="Seed of the initial weights, the batch order and dropout.")
    max_steps: int = Field(100_000, ge=1, le=MAX_STEPS, description="Optimizer steps after which training stops.")
    max_minutes: float | None = Field(
        None,
        gt=0,
        le=1e8,
        description="Minutes of training after which it stops, summed over all resumes. Without it there is no limit.",
    )
    max_epochs: float | None = Field(
        None, gt=0, le=MAX_EPOCHS, description="Epochs after which training stops. Without it there is no limit."
    )
    tokens_per_batch: int = Field(
        4096,
        ge=1,
        le=10**9,
        description="Tokens in one batch, padding included, counted on the longer side.",
    )
    pairs_per_batch: int | None = Field(
        None,
        ge=1,
        le=10**7,
        description="Pairs in one batch of training, however long they are. `tokens_per_batch` then only limits the "
        "batches of validation.",
    )
    accumulate: int = Field(1, ge=1, le=10**6, description="Batches whose gradients are summed in one optimizer step.")
    subword_sampling: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Subword regularization: sample another segmentation each time a pair is used. Alpha of a unigram "
        "model (Kudo 2018) or dropout of BPE merges (Provilkov et al. 2020). Off by default.",
    )
    terms: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training sources that carry wanted target terms in tags, from which the model learns "
        "to follow a glossary. 0: none; `regard train --terms` sets 0.4.",
    )
    clip_norm: float = Field(
        1.0,
        ge=0,
        description="Maximum norm of the gradient; larger gradients are scaled down. 0: no clipping.",
    )
    loss_per: Literal["token", "pair"] = Field(
        "token",
        description="The gradient of a step is that of the mean loss per target `token`, or per sentence `pair`. The "
        "second is larger by about the length of a target.",
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="Probability mass that the loss spreads evenly over the vocabulary."
    )
    checkpoint_every: int = Field(
        500, ge=1, le=MAX_STEPS, description="Steps between checkpoints. Each checkpoint is validated on the dev set."
    )
    checkpoint_each_epoch: bool = Field(False, description="Also save and validate a checkpoint after each epoch.")
    average_checkpoints: int = Field(
        1, ge=1, le=1000, description="Checkpoints whose weights are averaged to give the weights that are saved."
    )
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of an exponential moving average of the weights over all steps, saved instead of the last "
        "weights. 0: off.",
    )
    freeze: tuple[str, ...] = Field(
        (),
        strict=False,
        description='Parameters that are not trained: names of modules or parameters, or patterns, e.g. `["encoder", '
        '"decoder.embedding", "*.bias"]`.',
    )
    min_learning_rate: float = Field(
        0.0, ge=0, description="Learning rate below which training stops, with the schedules `halving` and `plateau`."
    )
    patience: int = Field(
        10,
        ge=0,
        le=10**9,
        description="Consecutive checkpoints without a better score after which training stops. 0: never.",
    )
    metric: Annotated[str, NameOf("metrics")] = Field(
        "chrf", description="Dev-set metric that selects the best checkpoint."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Device to train on. `auto` takes a GPU if there is one."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of matrix products; weights stay in float32. `auto` is decided by a short measurement "
        "when the run starts.",
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="Parallelism under torchrun: `ddp` copies the weights to each process, `fsdp` shards them.",
    )

    second_stage: SecondStageConfig | None = Field(
        None, description="[train.second_stage]: another optimizer and schedule after some steps. Off by default."
    )

    @model_validator(mode="after")
    def _check_averaging(self) -> Self:
        if self.average_decay and self.average_checkpoints > 1:
            raise ValueError("give either `average_checkpoints` or `average_decay`, not both")
        return self

    def stage(self, step: int) -> OptimizationConfig:
        """Return the optimizer and the schedule of a step, counted from 1."""
        second = self.second_stage
        return self if second is None or step <= second.after_steps else second

    def stage_start(self, step: int) -> int:
        """Return the steps before the stage of a step, counted from 1."""
        second = self.second_stage
        return 0 if second is None or step <= second.after_steps else second.after_steps

    @property
    def last_stage(self) -> OptimizationConfig:
        """The optimizer and the schedule of the last steps."""
        return self.second_stage or self

    @property
    def has_fractional_epochs(self) -> bool:
        """Whether the schedule or the end of training depends on parts of an epoch."""
        later = self.second_stage is not None and self.second_stage.has_fractional_epochs
        return super().has_fractional_epochs or later or bool(self.max_epochs is not None and self.max_epochs % 1)


class SearchConfig(Section):
    """[search]: how `translate` decodes by default. Validation uses it with greedy search and without a shortlist."""

    strategy: Annotated[str, NameOf("searches")] = Field(
        "beam",
        description="Search strategy: `beam` search, `diverse` beam search, greedy search with `lookahead`, `exact` "
        "search, `sample`, or minimum Bayes risk (`mbr`).",
    )
    beam_size: int = Field(5, ge=1, le=10_000, description="Hypotheses in the beam. 1 is greedy search.")
    length_penalty: float = Field(
        0.6, ge=0, description="Exponent alpha of the length normalization of scores. 0: none."
    )
    length_norm: Literal["gnmt", "average"] = Field(
        "gnmt",
        description="Length normalization of a hypothesis Y: divide its log-probability by ((5 + |Y|) / 6)^alpha "
        "(`gnmt`) or by |Y|^alpha (`average`).",
    )
    patience: float = Field(
        1.0,
        ge=0,
        description="Finished hypotheses with which a beam stops, as a multiple of `beam_size`, unless a prefix scores "
        "higher so far. 0: it stops only when no better hypothesis is possible.",
    )
    max_length_factor: float = Field(
        2.0,
        ge=0,
        le=100,
        description="A translation of S source tokens has at most `max_length_factor` * S + `max_length_addend` "
        "tokens.",
    )
    max_length_addend: int = Field(20, ge=1, le=10_000, description="Tokens added to that limit.")
    allow_empty: bool = Field(
        False, description="Let a beam return an empty translation. Greedy search may always return one."
    )
    coverage_penalty: float = Field(
        0.0, ge=0, description="Weight beta of the GNMT coverage penalty in beam search. 0: off."
    )
    no_repeat: int = Field(
        0, ge=0, le=10_000, description="Size of n-grams that beam search may not generate twice. 0: off."
    )
    keep_numbers: bool = Field(
        False,
        description="Where a translation lacks a number, URL or e-mail address of its source, translate again without "
        "it, and put it back at its place.",
    )
    groups: int = Field(
        5, ge=1, le=10_000, description="Groups of diverse beam search. The number must divide `beam_size`."
    )
    diversity: float = Field(
        0.5,
        ge=0,
        description="Penalty of diverse beam search on a token for each earlier group that chose it in the same step.",
    )
    lookahead_depth: int = Field(2, ge=1, le=100, description="Steps that lookahead search looks ahead.")
    lookahead_width: int = Field(3, ge=1, le=100, description="Continuations that lookahead search tries per step.")
    exact_steps: int = Field(
        2000,
        ge=1,
        le=10**9,
        description="Prefixes per sentence that exact search expands before it returns the best translation so far.",
    )
    candidates: Literal["samples", "beam"] = Field(
        "samples", description="Candidates of `mbr`, which returns the one most similar to the others."
    )
    samples: int = Field(16, ge=1, le=10_000, description="Samples drawn for `mbr`.")
    temperature: float = Field(1.0, gt=0, description="Sampling temperature.")
    top_k: int = Field(
        0, ge=0, le=MAX_VOCABULARY, description="Sample among this many most probable tokens. 0: all tokens."
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Sample among the most probable tokens whose probabilities sum to this value (nucleus sampling).",
    )
    seed: int = Field(
        1, ge=0, lt=2**32, description="Seed of sampling. The samples of a line depend on it and on the line number."
    )
    shortlist: bool = Field(
        False, description="Restrict the output vocabulary to the tokens that the run's shortlist gives for a source."
    )

    @model_validator(mode="after")
    def _check_groups(self) -> SearchConfig:
        if self.strategy == "diverse" and self.beam_size % self.groups:
            raise ValueError(f"groups ({self.groups}) must divide beam_size ({self.beam_size})")
        return self


class StartConfig(Section):
    """[start]: the checkpoint whose weights and vocabulary training starts from (fine-tuning)."""

    checkpoint: str = Field(description="Folder of a checkpoint, or of a run, whose best checkpoint is taken.")
    new_tokens: int = Field(
        0,
        ge=0,
        le=MAX_VOCABULARY,
        description="Maximum number of tokens to add to the vocabulary (to each of two) for frequent words of the new "
        "corpus.",
    )


class RunConfig(Section):
    """A whole recipe."""

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: SerializeAsAny[ModelConfig]
    train: TrainConfig = TrainConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    search: SearchConfig = SearchConfig()
    start: StartConfig | None = None

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of the plugins that the recipe uses, sorted."""
        sections = (self.tokenizer, *self.tokenizer.source_columns, self.model, self.train, self.search)
        names = {name for section in sections for name in used_plugins(section)}
        names.add(find_plugin("architectures", self.model.architecture) or "")
        for corpus in (self.data, *self.data.corpora):
            suffixes = (suffix for file in (corpus.file, corpus.dev_file) if file for suffix in Path(file).suffixes)
            names.update(find_plugin("formats", suffix.lower()) or "" for suffix in suffixes)
        return tuple(sorted(names - {""}))

    @model_validator(mode="after")
    def _check_copying(self) -> Self:
        if self.model.copies_source and not self.tokenizer.joint:
            raise ValueError(COPYING_NEEDS_JOINT)
        return self

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        if self.train.terms and (self.train.subword_sampling is not None or self.data.streaming):
            key = "data.streaming" if self.data.streaming else "train.subword_sampling"
            raise ValueError(f"train.terms cannot be combined with {key}")
        return self

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.data.streaming and self.train.has_fractional_epochs:
            raise ValueError(
                "a streamed corpus has no known length: train.max_epochs and halvings must be whole epochs"
            )
        return self

    @model_validator(mode="after")
    def _check_subword_sampling(self) -> Self:
        kinds = {*self.tokenizer.source_kinds, self.tokenizer.target}
        if self.train.subword_sampling is not None and not kinds <= {"unigram", "bpe"}:
            raise ValueError(
                "train.subword_sampling needs a unigram or bpe tokenizer, but tokenizer.kind is "
                f"{' and '.join(sorted(kinds))}"
            )
        return self

    @model_validator(mode="after")
    def _check_source_columns(self) -> Self:
        columns = len(self.tokenizer.source_columns)
        if not columns:
            return self
        for corpus in (self.data, *self.data.corpora):
            if corpus.source_column and len(column_names(corpus.source_column)) != columns:
                raise ValueError(
                    f"there are {columns} tables [[tokenizer.source_columns]], and data.source_column is "
                    f"{corpus.source_column!r}: name {columns} columns, with commas between them"
                )
        if self.data.corpus is not None:
            raise ValueError(f"the corpus `{self.data.corpus}` has no columns: remove [[tokenizer.source_columns]]")
        keys = {
            "train.subword_sampling": self.train.subword_sampling is not None,
            "train.terms": bool(self.train.terms),
            "augmentation": bool(self.augmentation.rates),
        }
        for key, is_set in keys.items():
            if is_set:
                raise ValueError(f"{key} is for sentences, and cannot be combined with [[tokenizer.source_columns]]")
        return self
