"""Tokens and their ids."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from regard.errors import CheckpointError
from regard.files import read_regular_file
from regard.special_tokens import EOS, SPECIAL, UNK


def vocabulary_file(folder: Path, name: str) -> Path:
    """Return the file of a vocabulary in the folder of a checkpoint."""
    return folder / f"{name}.vocabulary.json"


def unreadable(part: str, reason: object, path: Path) -> CheckpointError:
    """Return the error for a part of a checkpoint that cannot be read, such as the tokenizer."""
    fix = "restore the file from the run it came from"
    return CheckpointError(f"the {part} cannot be read: {reason}", where=path, fix=fix)


class Vocabulary:
    """Maps tokens to ids and back. The special tokens come first, then `tokens`.

    Text never becomes a special id: a token `<s>` in the text is an ordinary token, with an id after the special ones
    if it is in `tokens`, and UNK otherwise.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._written = [*SPECIAL, *tokens]
        self._ids = {token: id for id, token in enumerate(tokens, start=len(SPECIAL))}
        if len(self._ids) < len(tokens):
            duplicate = next(token for token, count in Counter(tokens).items() if count > 1)
            raise ValueError(f"the token {duplicate!r} appears twice")

    @classmethod
    def count(cls, tokens: Iterable[str], size: int) -> Self:
        """Build a vocabulary of the most frequent tokens, with at most `size` ids; ties are ordered by code point."""
        counts = Counter(tokens)
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(ranked[: max(0, size - len(SPECIAL))])

    def with_new_tokens(self, tokens: Sequence[str]) -> Self:
        """Return a vocabulary with new tokens after the present ones."""
        return type(self)([*self._written[len(SPECIAL) :], *tokens])

    def __len__(self) -> int:
        return len(self._written)

    def id(self, token: str) -> int:
        """Return the id of a token; UNK if it is not in the vocabulary."""
        return self._ids.get(token, UNK)

    def token(self, id: int) -> str:
        """Return the token of an id."""
        return self._written[id]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens of a text, without PAD, BOS and EOS."""
        return [self._written[id] for id in ids if id > EOS]

    def save(self, path: Path) -> None:
        """Write one JSON file with all tokens in the order of their ids."""
        path.write_text(json.dumps(self._written, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        try:
            written = json.loads(read_regular_file(path).decode())
            if not (isinstance(written, list) and all(isinstance(token, str) for token in written)):
                raise ValueError("it is not a list of strings")
            if tuple(written[: len(SPECIAL)]) != SPECIAL:
                raise ValueError(f"it does not begin with {', '.join(SPECIAL)}")
            return cls(written[len(SPECIAL) :])
        except (OSError, ValueError, RecursionError) as error:
            raise unreadable("vocabulary", error, path) from None
