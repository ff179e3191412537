"""What a model reads for a sentence: without emoji and capitals that its vocabulary lacks, and without addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regard.text.capitals import is_upper, lower_capitals, to_normal_case, to_upper
from regard.text.emoji import PATTERN, EmojiFreeText, Links, compile_runs, remove_runs, remove_unknown_emoji
from regard.text.placeholders import ADDRESS
from regard.tokenizers.base import Tokenizers

Languages = tuple[str, str]
_ADDRESSES = compile_runs(f"{ADDRESS}|{PATTERN}")


@dataclass(frozen=True)
class ModelInput:
    """A sentence as the model reads it.

    Attributes:
        emoji_free: The sentence without emoji that the vocabulary lacks.
        tokenizers: The tokenizers of the model.
        languages: Codes of the source and the target language, empty if unknown.
        capitals: Whether the sentence was in capitals, and its translation will be.
    """

    emoji_free: EmojiFreeText
    tokenizers: Tokenizers
    languages: Languages = ("", "")
    capitals: bool = False

    @property
    def text(self) -> str:
        """The text to encode; empty if the sentence has only emoji."""
        return self.emoji_free.text

    def phrase(self, phrase: str) -> str:
        """Return a phrase of the translation as the model writes it."""
        return to_normal_case(phrase, self.tokenizers.target, self.languages[1]) if self.capitals else phrase

    def restore(self, translation: str, alignment: Links = ()) -> tuple[str, Links]:
        """Return the translation of the sentence, given that of `text`, and its alignment with the sentence's words."""
        if self.capitals:
            translation = to_upper(translation, self.languages[1])
        return self.emoji_free.restore(translation, alignment)


def prepare_input(
    text: str,
    tokenizers: Tokenizers,
    phrases: Sequence[str] = (),
    languages: Languages = ("", ""),
    *,
    without_addresses: bool = False,
) -> ModelInput:
    """Return what a model reads for a sentence.

    Args:
        text: The sentence.
        tokenizers: The tokenizers of the model.
        phrases: Phrases that constrain the translation. A sentence in capitals is unchanged unless all of them are.
        languages: Codes of the source and the target language, empty if unknown.
        without_addresses: Remove URLs and e-mail addresses, and all emoji, and restore them in the translation.
    """
    lowered = text
    if all(phrase == phrase.upper() for phrase in phrases):
        lowered = lower_capitals(text, tokenizers.source, languages[0])
    if without_addresses:
        emoji_free = remove_runs(lowered, _ADDRESSES)
    else:
        emoji_free = remove_unknown_emoji(lowered, tokenizers, phrases)
    return ModelInput(emoji_free, tokenizers, languages, capitals=lowered != text and is_upper(text))
