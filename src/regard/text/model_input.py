"""What a model reads for a sentence: without emoji and capitals that its vocabulary lacks, and without other spans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from regard.text.capitals import is_upper, lower_capitals, to_normal_case, to_upper
from regard.text.emoji import EmojiFreeText, Links, RestoredText, compile_runs, remove_runs, remove_unknown_emoji
from regard.text.emoji_pattern import PATTERN
from regard.text.numbers import localize
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.columns import count_columns

Languages = tuple[str, str]


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

    def encode(self) -> list[int]:
        """Return the tokens that the model reads: those of `text`, or of the sentence itself if it has only emoji."""
        return self.tokenizers.source.encode(self.text or self.emoji_free.source)

    def phrase(self, phrase: str) -> str:
        """Return a phrase of the translation as the model writes it."""
        return to_normal_case(phrase, self.tokenizers.target, self.languages[1]) if self.capitals else phrase

    def reference(self, translation: str) -> EmojiFreeText:
        """Return a reference translation as the model writes it."""
        if count_columns(self.tokenizers.source) > 1:
            return EmojiFreeText(translation, translation)
        return remove_unknown_emoji(self.phrase(translation), self.tokenizers)

    def restore(self, translation: str, alignment: Links = ()) -> tuple[str, Links]:
        """Return the translation of the sentence, given that of `text`, and its alignment with the sentence's words."""
        restored = self.insert(translation, alignment)
        return restored.text, restored.align(alignment)

    def insert(self, translation: str, alignment: Links = ()) -> RestoredText:
        """Return the translation of the sentence, given that of `text`, and where emoji are inserted."""
        if self.capitals:
            translation = to_upper(translation, self.languages[1])
        return self.emoji_free.insert(translation, alignment)


def prepare_input(
    text: str,
    tokenizers: Tokenizers,
    phrases: Sequence[str] = (),
    languages: Languages = ("", ""),
    *,
    removed: Sequence[str] = (),
) -> ModelInput:
    """Return what a model reads for a sentence; a source with several columns is unchanged.

    Args:
        text: The sentence.
        tokenizers: The tokenizers of the model.
        phrases: Phrases that constrain the translation. A sentence in capitals is unchanged unless all of them are.
        languages: Codes of the source and the target language, empty if unknown.
        removed: Numbers and addresses that the model must not read. They are restored in the translation, numbers as
            the target language writes them.
    """
    if count_columns(tokenizers.source) > 1:
        return ModelInput(EmojiFreeText(text, text), tokenizers, languages)
    lowered = text
    if all(phrase == phrase.upper() for phrase in phrases):
        lowered = lower_capitals(text, tokenizers.source, languages[0])
    emoji_free = _remove(lowered, removed, languages) if removed else remove_unknown_emoji(lowered, tokenizers, phrases)
    return ModelInput(emoji_free, tokenizers, languages, capitals=lowered != text and is_upper(text))


def _remove(text: str, removed: Sequence[str], languages: Languages) -> EmojiFreeText:
    """Remove numbers and addresses, and all emoji."""
    longest_first = sorted(removed, key=lambda span: (-len(span), span))
    spans = "|".join(re.escape(span) for span in longest_first)
    emoji_free = remove_runs(text, compile_runs(rf"(?<![^\W_])(?:{spans})(?![^\W_])|{PATTERN}"))
    localized = dict(zip(removed, (localize(span, *languages) for span in removed), strict=True))
    pattern = re.compile(spans)
    runs = (
        replace(run, text=pattern.sub(lambda match: localized[match[0]], run.text)) for run in emoji_free.runs
    )  # of the same lengths
    return replace(emoji_free, runs=tuple(runs))
