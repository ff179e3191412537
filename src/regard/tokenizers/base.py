"""Tokenizers: the protocol, the pair of both sides, training, saving and loading."""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from regard.config.schema import ColumnTokenizerConfig, TokenizerConfig
from regard.corpus.source_columns import split_columns
from regard.corpus.tagged import split_tags
from regard.errors import CheckpointError, ConfigError, DataError
from regard.files import read_regular_file
from regard.plugins.registry import WithPlugins
from regard.tokenizers.columns import ColumnsTokenizer, JointTargetTokenizer, find_columns_tokenizer
from regard.tokenizers.item_list import ListTokenizer
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.pattern import PatternTokenizer
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.tokenizers.vocabulary import unreadable

MAX_TRAINING_PAIRS = 300_000  # a random sample of a larger corpus; SentencePiece takes 5 kB for each
FILE = "tokenizer.json"
NAME = re.compile(r"\w[\w.-]*")  # a file name in the same folder, never a path to another folder


class Tokenizer(Protocol):
    """Converts text to ids and back.

    decode(encode(text)) restores the text: exactly for characters and bytes (line breaks become spaces), with white
    space folded for words and subwords. Text never becomes a special id, except UNK for characters and words that are
    not in the training text.
    """

    @property
    def kind(self) -> str:
        """The name in a recipe's `tokenizer.kind`."""
        ...

    @property
    def size(self) -> int:
        """The number of ids, including the four special ones."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text; PAD, BOS and EOS are skipped."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id, for display."""
        ...

    def save(self, folder: Path, name: str) -> None:
        """Write what the tokenizer needs into files whose names begin with `name`."""
        ...


class TokenizerClass(Protocol):
    """A class of tokenizers that are trained on text."""

    def train(self, sentences: Sequence[str], size: int) -> Tokenizer:
        """Return a tokenizer of these sentences, with at most `size` ids."""
        ...

    def load(self, folder: Path, name: str) -> Tokenizer:
        """Read what `save` wrote. Raises CheckpointError."""
        ...


_CLASSES: Mapping[str, TokenizerClass] = {"character": CharacterTokenizer, "word": WordTokenizer}
CLASSES: Mapping[str, TokenizerClass] = WithPlugins("tokenizers", _CLASSES)
"""The classes of all kinds that are trained in the same way; SentencePiece, bytes and Marian are not."""


@dataclass(frozen=True)
class Tokenizers:
    """The tokenizers of both sides.

    Attributes:
        source: The tokenizer of sources.
        target: The tokenizer of targets.
        joint: Whether both sides share a vocabulary. They are then the same object, unless they were imported from
            Marian, where each side may split text differently, or the source has several columns.
    """

    source: Tokenizer
    target: Tokenizer
    joint: bool

    def describe_sizes(self) -> str:
        """Return for example `8,000`, or `8,000 and 6,000` if both sides have their own vocabulary."""
        return f"{self.source.size:,}" + ("" if self.joint else f" and {self.target.size:,}")

    def prepend_tags(self, tags: Sequence[str]) -> Self:
        """Return tokenizers that put these tags before every source. Raise ConfigError for unknown tags."""
        if not isinstance(self.source, TaggedTokenizer):
            raise ConfigError("the model was trained without tags", where="tags", fix="leave them out")
        return replace(self, source=TaggedTokenizer(self.source.inner, self.source.tags, tags))

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and the files that it names."""
        names = {"source": "tokenizer", "target": "tokenizer"}
        if self.source is not self.target:
            names = {"source": "tokenizer.source", "target": "tokenizer.target"}
            self.target.save(folder, names["target"])
        self.source.save(folder, names["source"])
        table: dict[str, object] = {"kind": self.source.kind, "joint": self.joint, **names}
        if self.target.kind != self.source.kind:
            table["target_kind"] = self.target.kind
        if isinstance(self.source, TaggedTokenizer):
            table["tags"] = list(self.source.tags)
        if (columns := find_columns_tokenizer(self.source)) is not None:
            files = columns.names(names["source"], names["target"])
            table["columns"] = [
                {"kind": tokenizer.kind, "name": name} for tokenizer, name in zip(columns.columns, files, strict=True)
            ]
        (folder / FILE).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        path = folder / FILE
        try:
            table = json.loads(read_regular_file(path).decode())
            kind, joint, names = table["kind"], table["joint"], (table["source"], table["target"])
            target_kind, tags = table.get("target_kind", kind), table.get("tags", [])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise unreadable("tokenizer", f"{type(error).__name__}: {error}", path) from None
        if not isinstance(joint, bool) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
            raise unreadable("tokenizer", "its values are not of the right types", path)
        source: Tokenizer
        if kind == ColumnsTokenizer.kind:
            inner = _load(folder, names[1], target_kind)
            source = columns = _load_columns(folder, table, names[1], inner)
            target = inner if columns.target is None else JointTargetTokenizer(columns)
        else:
            source = _load(folder, names[0], kind)
            target = source if names[0] == names[1] else _load(folder, names[1], target_kind)
        if joint and source.size != target.size:
            reason = f"a joint vocabulary cannot have both {source.size} and {target.size} ids"
            raise unreadable("tokenizer", reason, path)
        plain = cls(source, target, joint)
        return plain.with_tags(tags) if tags else plain

    def with_tags(self, tags: Sequence[str]) -> Self:
        """Return tokenizers with ids for source tags; a joint vocabulary has these ids on both sides."""
        source = TaggedTokenizer(self.source, tags)
        if not self.joint:
            return type(self)(source, self.target, joint=False)
        target = source if self.target is self.source else TaggedTokenizer(self.target, tags)
        return type(self)(source, target, joint=True)

    def without_tags(self) -> Self:
        """Return tokenizers without ids for tags."""
        source, target = (
            side.inner if isinstance(side, TaggedTokenizer) else side for side in (self.source, self.target)
        )
        return type(self)(source, target, self.joint)


def _load_columns(folder: Path, table: Mapping[str, object], target_name: str, target: Tokenizer) -> ColumnsTokenizer:
    """Return the tokenizer of the columns that `tokenizer.json` lists. Raises CheckpointError."""
    columns = table.get("columns")
    if not (isinstance(columns, list) and len(columns) > 1 and all(isinstance(column, dict) for column in columns)):
        raise unreadable("tokenizer", "it has no list of columns", folder / FILE)
    tokenizers = []
    for column in columns:
        name = column.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise unreadable("tokenizer", f"{name!r} is not the name of a column's files", folder / FILE)
        tokenizers.append(target if name == target_name else _load(folder, name, column.get("kind")))
    return ColumnsTokenizer(tokenizers, target if any(tokenizer is target for tokenizer in tokenizers) else None)


def _load(folder: Path, name: str, kind: object) -> Tokenizer:
    match kind:
        case "unigram" | "bpe":
            return SubwordTokenizer.load(folder, name, kind)
        case "byte":
            return ByteTokenizer()
        case "marian":
            return MarianTokenizer.load(folder, name)
        case "pattern":
            return PatternTokenizer.load(folder, name)
        case "list":
            return ListTokenizer.load(folder, name)
        case str() if kind in CLASSES:
            return CLASSES[kind].load(folder, name)
    raise CheckpointError(
        f"the tokenizer cannot be read: unknown kind of tokenizer {kind!r}",
        where=folder / FILE,
        fix="if the run has a plugin, give it: --plugin FILE; or restore the file from the run it came from",
    )


def train_tokenizers(config: TokenizerConfig, pairs: Iterable[tuple[str, str]]) -> Tokenizers:
    """Train the tokenizers of both sides from (source, target) texts; tags are removed from the sources.

    Iterates over the pairs once. The same pairs give the same tokenizers. Raises ConfigError if the vocabulary size
    does not suit the text, and DataError if there is no text.
    """
    kind = config.kind
    if kind == "marian":
        raise ConfigError(
            "a tokenizer of the kind `marian` comes with an imported model and cannot be trained",
            where="tokenizer.kind",
            fix="choose another kind",
        )
    if kind == config.target == "byte" and not config.source_columns:
        tokenizer = ByteTokenizer()
        return Tokenizers(tokenizer, tokenizer, config.joint)
    sample = _sample(pairs)
    if not sample:
        raise DataError("there are no pairs to train a tokenizer on", fix="check the corpus")
    sources, targets = [split_tags(source)[1] for source, _ in sample], [target for _, target in sample]
    if config.source_columns:
        return _train_columns(config, sources, targets)
    if config.joint:
        both = _train(kind, config, [*sources, *targets], "the text of both sides")
        return Tokenizers(both, both, joint=True)
    source = _train(kind, config, sources, "the source side's text")
    return Tokenizers(source, _train(config.target, config, targets, "the target side's text"), joint=False)


def _train_columns(config: TokenizerConfig, sources: Sequence[str], targets: Sequence[str]) -> Tokenizers:
    """Train the tokenizers of a source with several columns, and that of the target."""
    count = len(config.source_columns)
    texts = list(zip(*(split_columns(source, count) for source in sources), strict=True))  # of each column
    shared = [text for text, column in zip(texts, config.source_columns, strict=True) if config.is_shared(column)]
    sentences = [sentence for text in (*shared, targets) for sentence in text]
    target = _train(config.kind, config, sentences, "the target side's text")
    tokenizers = [
        target
        if config.is_shared(column)
        else _train(column.kind, _fill_size(column, config), text, f"the text of source column {number}")
        for number, (text, column) in enumerate(zip(texts, config.source_columns, strict=True), start=1)
    ]
    if not config.joint:
        return Tokenizers(ColumnsTokenizer(tokenizers), target, joint=False)
    source = ColumnsTokenizer(tokenizers, target)
    return Tokenizers(source, JointTargetTokenizer(source), joint=True)


def _fill_size(column: ColumnTokenizerConfig, config: TokenizerConfig) -> ColumnTokenizerConfig:
    return column.model_copy(update={"vocabulary_size": column.vocabulary_size or config.vocabulary_size})


def _train(
    kind: str, config: TokenizerConfig | ColumnTokenizerConfig, sentences: Sequence[str], text: str
) -> Tokenizer:
    size = config.vocabulary_size or 0
    match kind:
        case "unigram" | "bpe":
            return SubwordTokenizer.train(sentences, size, kind, text=text)
        case "byte":
            return ByteTokenizer()
        case "pattern":
            return PatternTokenizer.train(sentences, size, config.pattern or "")
        case "list":
            return ListTokenizer.train(sentences, size, config.delimiter or "")
    return CLASSES[kind].train(sentences, size)


def _sample(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return all pairs, or a uniform sample of MAX_TRAINING_PAIRS (Vitter 1985, Algorithm R)."""
    sample: list[tuple[str, str]] = []
    rng = random.Random(0)
    for number, pair in enumerate(pairs):
        if number < MAX_TRAINING_PAIRS:
            sample.append(pair)
        elif (index := rng.randrange(number + 1)) < MAX_TRAINING_PAIRS:
            sample[index] = pair
    return sample
