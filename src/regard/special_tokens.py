"""The four ids that every vocabulary begins with; text and tensors agree on them here."""

from typing import Final

PAD: Final = 0  # fills a batch behind a sequence's end; never produced, never attended to
BOS: Final = 1  # what the decoder is fed first
EOS: Final = 2  # ends every target (and every source that a model reads)
UNK: Final = 3  # a token that the vocabulary lacks

SPECIAL: Final = ("<pad>", "<s>", "</s>", "<unk>")  # their written forms, by id
