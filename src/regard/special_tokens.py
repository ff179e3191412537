"""The four special tokens that come first in every vocabulary."""

from typing import Final

PAD: Final = 0  # fills a batch after the end of a sequence; it is never produced and never attended to
BOS: Final = 1  # the first input of a decoder
EOS: Final = 2  # the end of every target and of every source
UNK: Final = 3  # a token that is not in the vocabulary

SPECIAL: Final = ("<pad>", "<s>", "</s>", "<unk>")  # as text, by id
