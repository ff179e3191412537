"""`regard.attend`: the attention between a text and its translation, in Python."""

from __future__ import annotations

from typing import Unpack

from regard.attention.maps import AttentionMaps, compute_attention_maps
from regard.errors import DataError
from regard.inference.options import SearchOptions
from regard.inference.translator import Translator


def attend(
    translator: Translator, text: str, target: str | None = None, **search: Unpack[SearchOptions]
) -> AttentionMaps:
    """Return what each token of a translation attends to, in every layer and head.

    A notebook shows the result as the explorer of `regard attend -o attention.html`. For a model without attention it
    is the influence of each source token, from gradients.

    Example:
        >>> maps = regard.attend(translator, "A dog runs.")
        >>> maps.target.words, maps.mean.shape
        (('Ein', 'Hund', 'rennt.', '</s>'), (5, 5))

    Args:
        translator: The model.
        text: The source, as one segment.
        target: Its translation; None: the model's own.
        search: Search options, for the model's own translation.

    Raises:
        DataError: A side has more than `translator.longest` tokens.
        DecodingError: The text is empty, or the search fails.
    """
    tokenizers = translator.tokenizers
    for side, tokenizer in ((text, tokenizers.source), (target or "", tokenizers.target)):
        if not translator.fits(side, tokenizer):
            raise DataError(
                f"one side has more than {translator.longest:,} tokens",
                fix="give a part of it: translator.segments(text) has the spans of its sentences",
            )
    if target is None:
        ids = translator.translate(text, split_sentences=False, **search).ids
    else:
        ids = tuple(tokenizers.target.encode(target))
    return compute_attention_maps(translator, text, ids)
