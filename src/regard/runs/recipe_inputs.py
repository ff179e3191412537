"""What a recipe for your own files is chosen by: pairs, their length, their alphabet, and whether there is a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from regard.config.schema import DataConfig, TokenizerConfig
from regard.corpus.paths import open_corpora
from regard.runs.column_scan import ColumnScan
from regard.runs.corpus_scan import scan_corpus
from regard.runs.holdout import held_out_size

LEARNABLE_PAIRS = 2_000  # from fewer, neither subwords nor the frequency of words can be learned
CLOSED_VOCABULARY = 1_000  # words
SPELLING_WORDS, SPELLING_CHARACTERS = 3, 60  # means below both are of words and their forms, not of sentences


@dataclass(frozen=True)
class RecipeInputs:
    """What a recipe is chosen by.

    Attributes:
        pairs: Pairs for training.
        mean_words: Mean whitespace-separated words of the longer side of a pair.
        mean_characters: Mean characters of the longer side.
        alphabet_size: Distinct characters.
        distinct_words: Distinct whitespace-separated words.
        has_gpu: Whether training runs on a GPU.
        dev_pairs: Pairs of the dev set.
        words_in_source: Share of the words of targets that also occur in their source.
        characters_in_source: Share of the characters of targets that also occur in their source.
        rare_words: Distinct words that occur in a single pair.
        excess_words: Words that almost all targets have at most beyond twice those of their source.
        excess_characters: The same in characters.
        long_words: Words that almost all lines have at most.
        long_characters: The same in characters.
        is_rushed: Whether an epoch of the model that suits the pairs takes longer than the time limit.
        columns: The columns of the source, if there are several; see CorpusScan for what the other values are then.
    """

    pairs: int
    mean_words: float
    mean_characters: float
    alphabet_size: int
    distinct_words: int
    has_gpu: bool
    dev_pairs: int = 0
    columns: tuple[ColumnScan, ...] = ()
    words_in_source: float = 0.0
    characters_in_source: float = 0.0
    rare_words: int = 0
    excess_words: int = 0
    excess_characters: int = 0
    long_words: int = 0
    long_characters: int = 0
    is_rushed: bool = False

    @property
    def is_spelling(self) -> bool:
        """Return whether the lines are of words and their forms, not of sentences."""
        return self.mean_words < SPELLING_WORDS and self.mean_characters < SPELLING_CHARACTERS

    @property
    def has_closed_vocabulary(self) -> bool:
        """Return whether the text has few words, each in several pairs, as an artificial language has."""
        is_small = self.distinct_words <= CLOSED_VOCABULARY and self.pairs >= LEARNABLE_PAIRS
        return is_small and not self.rare_words and not self.columns


def inspect_corpus(data: DataConfig, *, gpu: bool) -> RecipeInputs:
    """Read a corpus once and return what its recipe depends on. Raise DataError if it cannot be read."""
    scan = scan_corpus(data, seed=1)
    _, dev = open_corpora(data, seed=1)
    held_out = 0 if dev is not None else data.held_out or held_out_size(scan.pairs)
    return RecipeInputs(
        pairs=max(1, scan.pairs - held_out),
        mean_words=scan.mean_words,
        mean_characters=scan.mean_characters,
        alphabet_size=scan.alphabet_size,
        distinct_words=scan.distinct_words,
        has_gpu=gpu,
        dev_pairs=held_out if dev is None else sum(1 for _ in dev),
        columns=scan.columns,
        words_in_source=scan.words_in_source,
        characters_in_source=scan.characters_in_source,
        rare_words=scan.rare_words,
        excess_words=scan.excess_words,
        excess_characters=scan.excess_characters,
        long_words=scan.long_words,
        long_characters=scan.long_characters,
    )


def mean_length(inputs: RecipeInputs, tokenizer: TokenizerConfig) -> float:
    """Estimate the mean number of tokens of the longer side, EOS included."""
    target = _mean_tokens(tokenizer.kind, inputs.mean_words, inputs.mean_characters)
    columns = [
        scan.mean_items if column.kind == "list" else _mean_tokens(column.kind, scan.mean_words, scan.mean_characters)
        for column, scan in zip(tokenizer.source_columns, inputs.columns, strict=False)
    ]
    return max(sum(columns) + len(columns) - 1, target) + 1


def _mean_tokens(kind: str, words: float, characters: float) -> float:
    match kind:
        case "character" | "byte":
            return characters
        case "word":
            return words
        case _:
            return 1.4 * words
