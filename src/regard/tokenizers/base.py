"""How text becomes ids and ids become text again: the protocol, both sides together, training and files."""

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self

from regard.config.schema import TokenizerConfig
from regard.corpus.tagged import split_tags
from regard.errors import CheckpointError, ConfigError, DataError
from regard.files import read_regular_file
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

MAX_TRAINING_PAIRS = 300_000  # a random sample of a larger corpus; SentencePiece takes 5 kB for each
FILE = "tokenizer.json"
NAME = re.compile(r"\w[\w.-]*")  # of files next to it: never a path to another folder


class Tokenizer(Protocol):
    """Text to ids and back.

    decode(encode(text)) is the text: exact for characters and bytes (line breaks become spaces),
    with white space folded for words and subwords. Text never becomes a special id, save UNK for
    characters and words that training lacked.
    """

    @property
    def kind(self) -> str:
        """Its name in a recipe's `tokenizer.kind`."""
        ...

    @property
    def size(self) -> int:
        """Ids in all, the four special ones included."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without BOS and EOS."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Always one line of text; PAD, BOS and EOS are skipped."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The written form of each id, for display."""
        ...

    def save(self, folder: Path, name: str) -> None:
        """Writes what it needs into files whose names begin with `name`."""
        ...


@dataclass(frozen=True)
class Tokenizers:
    """Both sides' tokenizers.

    joint: they have one vocabulary; they are one and the same object too, unless each side was
    imported with its own way to split text.
    """

    source: Tokenizer
    target: Tokenizer
    joint: bool

    def prepend_tags(self, tags: Sequence[str]) -> Self:
        """The same with these tags before every source. Raises ConfigError where there are no such tags."""
        if not isinstance(self.source, TaggedTokenizer):
            raise ConfigError("the model was trained without tags", where="tags", fix="leave them out")
        return replace(self, source=TaggedTokenizer(self.source.inner, self.source.tags, tags))

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` and the files that it names."""
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
        (folder / FILE).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises CheckpointError."""
        path = folder / FILE
        try:
            table = json.loads(read_regular_file(path).decode())
            kind, joint, names = table["kind"], table["joint"], (table["source"], table["target"])
            target_kind, tags = table.get("target_kind", kind), table.get("tags", [])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _broken(path, f"{type(error).__name__}: {error}") from None
        if not isinstance(joint, bool) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
            raise _broken(path, "its values are not of the right types")
        source = _load(folder, names[0], kind)
        target = source if names[0] == names[1] else _load(folder, names[1], target_kind)
        if joint and source.size != target.size:
            raise _broken(path, f"one vocabulary cannot have both {source.size} and {target.size} ids")
        plain = cls(source, target, joint)
        return plain.with_tags(tags) if tags else plain

    def with_tags(self, tags: Sequence[str]) -> Self:
        """The same with ids for tags of sources; one vocabulary for both sides has them on both."""
        source = TaggedTokenizer(self.source, tags)
        if not self.joint:
            return type(self)(source, self.target, joint=False)
        target = source if self.target is self.source else TaggedTokenizer(self.target, tags)
        return type(self)(source, target, joint=True)


def _load(folder: Path, name: str, kind: object) -> Tokenizer:
    match kind:
        case "unigram" | "bpe":
            return SubwordTokenizer.load(folder, name, kind)
        case "character":
            return CharacterTokenizer.load(folder, name)
        case "word":
            return WordTokenizer.load(folder, name)
        case "byte":
            return ByteTokenizer()
        case "marian":
            return MarianTokenizer.load(folder, name)
    raise _broken(folder / FILE, f"there is no tokenizer of the kind {kind!r}")


def _broken(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"the tokenizer cannot be read: {reason}", where=path, fix="restore the file from the run it came from"
    )


def train_tokenizers(config: TokenizerConfig, pairs: Iterable[tuple[str, str]]) -> Tokenizers:
    """Both sides' tokenizers, learned from (source, target) texts, which are gone through once, without tags.

    The same pairs give the same tokenizers. Raises ConfigError where the vocabulary's size does not
    suit the text, and DataError where there is no text.
    """
    kind, size = config.kind, config.vocabulary_size
    if kind == "marian":
        raise ConfigError(
            "a tokenizer of the kind `marian` comes with an imported model and is not learned",
            where="tokenizer.kind",
            fix="choose another kind",
        )
    target_kind = config.target_kind or kind
    if kind == target_kind == "byte":
        bytewise = ByteTokenizer()
        return Tokenizers(bytewise, bytewise, config.joint)
    kept = _sample(pairs)
    if not kept:
        raise DataError("there are no pairs to learn a tokenizer from", fix="check the corpus")
    sources, targets = [split_tags(source)[1] for source, _ in kept], [target for _, target in kept]
    if config.joint:
        both = _train(kind, size, [*sources, *targets], "the text of both sides")
        return Tokenizers(both, both, joint=True)
    source = _train(kind, size, sources, "the source side's text")
    return Tokenizers(source, _train(target_kind, size, targets, "the target side's text"), joint=False)


def _train(
    kind: Literal["unigram", "bpe", "character", "word", "byte"], size: int, sentences: Sequence[str], text: str
) -> Tokenizer:
    if kind == "byte":
        return ByteTokenizer()
    if kind == "character":
        return CharacterTokenizer.train(sentences, size)
    if kind == "word":
        return WordTokenizer.train(sentences, size)
    return SubwordTokenizer.train(sentences, size, kind, text=text)


def _sample(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """All pairs, or MOST_PAIRS of them, each as likely as another (Vitter, 1985, Algorithm R)."""
    kept: list[tuple[str, str]] = []
    dice = random.Random(0)
    for number, pair in enumerate(pairs):
        if number < MAX_TRAINING_PAIRS:
            kept.append(pair)
        elif (place := dice.randrange(number + 1)) < MAX_TRAINING_PAIRS:
            kept[place] = pair
    return kept
